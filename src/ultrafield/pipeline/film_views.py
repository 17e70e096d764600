"""What the cameras of a film see: a radiance field, or the points of the surface where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras, RenderedView
from ..export.colors import node_colors
from ..export.pictures import overlay
from ..export.renderings import color_picture
from ..labels import ViewLabeller, view_points
from ..labels.stack import LabelStack
from ..labels.views import vote
from ..surface import Surface
from ..surface.discs import SurfaceDiscs
from .fields import fields_of
from .folder import RunFolder

if TYPE_CHECKING:
    from ..field import RadianceField
    from .segmentation import Segmentation

_CELL, _REACH = 0.5, 3.0  # cells by which a node is cut out of the field, and how far its light reaches, in spacings
_OPACITY, _BORDERS = 0.75, 0.4  # of segments over colours, and of their borders, which would flicker otherwise
_FAINT = 1e-3  # opacity below which a pixel has no colour of its own


def film_views(
    segmentation: Segmentation, cameras: Cameras, points: np.ndarray | None, device: str
) -> Iterator[RenderedView]:
    """What each camera sees.

    Args:
        segmentation: Of a run folder with a radiance field; otherwise the points of its surface are drawn.
        cameras: F cameras, the surface's frame.
        points: Which points of the surface are shown alone [N] bool; None for all there is.
        device: Where to compute.

    Yields:
        Views; what is behind everything is white, or black where points are shown alone.
    """
    field = load_geometry(segmentation, device)
    surface = segmentation.surface
    if field is not None:
        from ..field.render import render_views

        if points is not None:
            from ..field.part import part_of_field

            spacing = surface.voxel
            field = part_of_field(field, surface.points, points, cell=_CELL * spacing, reach=_REACH * spacing)
        yield from render_views(field, cameras, range(len(cameras)))
        return
    discs = SurfaceDiscs(surface if points is None else _some(surface, points))
    for index in range(len(cameras)):
        view = discs.view(cameras, index)
        yield view if points is not None else replace(view, color=view.color + (1.0 - view.opacity[..., None]))


def load_geometry(segmentation: Segmentation, device: str) -> RadianceField | None:
    """The radiance field that a segmentation is from, None if there is none.

    Raises:
        RunError: The field in the run folder is damaged, or not the one that the segmentation is from.
    """
    if segmentation.load_field is None:
        return None
    if segmentation.folder is None:
        return segmentation.load_field()
    return fields_of(RunFolder(segmentation.folder), device=device).geometry


def _some(surface: Surface, chosen: np.ndarray) -> Surface:
    """Some points of a surface, which no view is said to see."""
    points, normals, colors = (getattr(surface, name)[chosen] for name in ("points", "normals", "colors"))
    visible = np.zeros((0, (len(points) + 7) // 8), np.uint8)
    return replace(surface, points=points, normals=normals, colors=colors, visible=visible)


class FilmPanels:
    """The pictures of a film, side by side: colours, and segments laid over them at some cuts.

    Args:
        segmentation: Whose segments are shown.
        alone: Whether a node is shown alone: what is around it is transparent.
    """

    def __init__(self, segmentation: Segmentation, *, alone: bool) -> None:
        surface, tree = segmentation.surface, segmentation.tree
        self._tree, self._alone = tree, alone
        self._labeller = ViewLabeller(surface, tree, np.zeros(1), segmentation.config)
        self._colors = node_colors(tree)
        self._cuts: dict[float, LabelStack] = {}
        self.labelled = 0  # pixels with a label so far

    def pictures(
        self, view: RenderedView, cameras: Cameras, index: int, heights: tuple[float, ...]
    ) -> list[np.ndarray]:
        """Colours, and segments at each height, [H, W, 3] uint8; [H, W, 4] of a node alone.

        Args:
            view: What the camera sees.
            cameras: The film's cameras, the surface's frame.
            index: Which of them.
            heights: Where to cut the tree.
        """
        if self._alone:
            view = replace(view, color=view.color / view.opacity.clip(min=_FAINT)[..., None])
        color = color_picture(view)
        shown = [color]
        if heights:
            voters = self._labeller.nearest(view_points(view.depth, cameras, index))
            self.labelled += int((voters[..., 0] >= 0).sum())
            shown += [
                overlay(color, self._labels(voters, height), self._colors, opacity=_OPACITY) for height in heights
            ]
        if not self._alone:
            return shown
        alpha = np.rint(255.0 * view.opacity.clip(0.0, 1.0)).astype(np.uint8)[..., None]
        return [np.concatenate([np.where(alpha > 0, picture, 0), alpha], axis=2) for picture in shown]

    def _labels(self, voters: np.ndarray, height: float) -> np.ndarray:
        if height not in self._cuts:
            self._cuts.clear()  # a sweep goes on from cut to cut, and each takes as much room as the surface
            self._cuts[height] = LabelStack.of(self._tree.cut(height).astype(np.int32)[None, :, None])
        return vote(self._cuts[height], voters).map(0)


def side_by_side(pictures: list[np.ndarray], gap: int) -> np.ndarray:
    """Pictures of one size in a row; what is between them is white, or transparent where they are."""
    height, _, channels = pictures[0].shape
    space = np.full((height, gap, channels), 0 if channels == 4 else 255, np.uint8)
    row = [part for picture in pictures for part in (space, picture)]
    return np.concatenate(row[1:], axis=1)


def over_white(picture: np.ndarray) -> np.ndarray:
    """A picture [H, W, 4] on white [H, W, 3]."""
    alpha = picture[..., 3:].astype(np.float32) / 255.0
    return np.rint(alpha * picture[..., :3] + (1.0 - alpha) * 255.0).astype(np.uint8)
