"""The contact sheet of a run: what came out, at a glance."""

from __future__ import annotations

import numpy as np

from ..export.renderings import color_picture
from ..parallel import in_threads
from ..scene import Scene, View
from .folder import RunFolder

_MOST_VIEWS = 4


def write_contact_sheet(run: RunFolder, scene: Scene, colors: np.ndarray) -> None:
    """Write contact_sheet.png: a few views, one per row; photograph, rendering, and the automatic levels.

    Args:
        run: The run folder, with label maps.
        scene: Its scene.
        colors: Colour of every node id [K, 3], uint8.
    """
    from ..export import contact_sheet, label_picture, overlay

    split = "val" if len(scene.splits.get("val", ())) > 0 else "train"
    views = scene.splits[split].views
    chosen = np.unique(np.linspace(0, len(views) - 1, min(_MOST_VIEWS, len(views))).round().astype(int))

    def row(view: View) -> tuple[list[np.ndarray], np.ndarray]:
        """The pictures of a view, and the heights of the automatic levels."""
        rendered, labelled = color_picture(run.read_render(split, view.name)), run.read_labels(split, view.name)
        image, heights = view.image, labelled.heights[labelled.is_level]
        photo = rendered if image is None else image
        levelled = labelled.levels
        maps = [levelled.map(level) for level in range(len(heights))]
        levels = [label_picture(labels, colors) for labels in maps]
        return [photo, rendered, *levels, overlay(photo, maps[len(levels) // 2], colors)], heights

    made = list(in_threads(row, [views[index] for index in chosen]))
    contact_sheet(
        run.root / "contact_sheet.png",
        [pictures for pictures, _ in made],
        title=f"{scene.name}: photograph, rendering, and the tree of segments cut at its automatic levels",
        row_captions=[f"{split} {views[index].name}" for index in chosen],
        column_captions=["photograph", "rendering", *(f"height {height:.3f}" for height in made[-1][1]), "overlay"],
    )
