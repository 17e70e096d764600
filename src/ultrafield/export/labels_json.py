"""labels.json, which lies beside every export: what each id in it means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..io import write_json
from ..removal import files_below
from .segments import Segments
from .target import FORMAT, LABELS, VERSION

_READABLE = 2000  # nodes up to which the file is laid out for people


def explained(segments: Segments) -> dict[str, Any]:
    """What labels.json says of segments, in any format: their levels and nodes.

    A node has id, parent (an id; null for the root), height, size (points), name (empty without one), color (sRGB) and
    the levels of which it is a segment. A node may be the parent of segments and no segment of any level itself.
    """
    columns = [level.column for level in segments.levels]
    levels = [
        {"column": level.column, "height": level.height, "segments": int(segments.member[:, index].sum())}
        for index, level in enumerate(segments.levels)
    ]
    parents, ids = segments.parents.tolist(), segments.ids.tolist()
    nodes = [
        {
            "id": ids[index],
            "parent": None if parents[index] < 0 else ids[parents[index]],
            "height": float(f"{segments.heights[index]:.6g}"),
            "size": int(segments.sizes[index]),
            "name": segments.names[index],
            "color": segments.colors[index].tolist(),
            "levels": [column for column, inside in zip(columns, segments.member[index], strict=True) if inside],
        }
        for index in range(len(segments))
    ]
    return {"levels": levels, "nodes": nodes}


def write_labels_json(
    folder: Path, explanation: dict[str, Any], to: str, *, besides: Sequence[str] = (), **others: Any
) -> None:
    """Write labels.json: the nodes of an export, its levels, and the files that lie below `folder` by then.

    Args:
        folder: Where the export lies.
        explanation: Levels and nodes, as `explained` gives them.
        to: The format.
        besides: Files of earlier exports that the same labels.json explains.
        others: What the format has to say besides.
    """
    files = sorted({*besides, *(file.relative_to(folder).as_posix() for file in files_below(folder))})
    levels, nodes = explanation["levels"], explanation["nodes"]
    content = {"format": FORMAT, "version": VERSION, "ultrafield": __version__, "to": to, "levels": levels}
    content |= others | {"files": files, "nodes": nodes}
    write_json(folder / LABELS, content, indent=1 if len(nodes) <= _READABLE else None)
