"""What is selected as one file to take away, made by the exporters of `ultrafield export`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from ..export.point_files import plain_name
from ..pipeline.console import Report
from ..pipeline.export import ExportOptions, Format, export_segmentation
from .session import Session

FORMATS: tuple[Format, ...] = ("ply", "glb", "usd", "laz", "png", "coco", "panoptic", "scannet")
_LONGEST = 60  # characters of a file's name


def export_archive(session: Session, to: Format) -> tuple[str, bytes]:
    """Export the selected nodes, or everything if none is, as a ZIP file with a folder for each node.

    Returns:
        Its name and content.

    Raises:
        UltrafieldError: The run lacks what the format needs, or a package is not installed.
    """
    segmentation = session.segmentation
    chosen: Sequence[int | None] = session.selected or (None,)
    titles = ["scene" if node is None else session.title(node) for node in chosen]
    stem = plain_name(titles[0], _LONGEST) or "segment"
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="ultrafield-") as place, ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for node, title in zip(chosen, titles, strict=True):
            folder = (plain_name(title, _LONGEST) or "segment") + ("" if node is None else f"_{node}")
            options = ExportOptions(to=to, node=node)
            export_segmentation(segmentation, Path(place) / folder, options, report=Report.silent())
        for file in sorted(Path(place).rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(place))
    return f"{stem}_{to}.zip", buffer.getvalue()
