"""The views of a run: their cameras, pictures and depth, and which point each pixel shows."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras
from ..cameras.pixels import resize_nearest
from ..errors import UltrafieldError
from ..export.renderings import color_picture
from ..labels import ViewLabeller
from ..pipeline.cameras import StoredViews, camera_file, read_cameras
from ..pipeline.console import Report
from ..pipeline.job import stored_scene
from .storage import OpenedRun

if TYPE_CHECKING:
    from ..scene import Scene

EDGE = 360  # pixels of the longer edge of pictures
_KEPT = 24  # views whose pixels are kept


@dataclass(frozen=True, eq=False)
class SeenView:
    """What a camera sees, reduced.

    Attributes:
        photo: Its colours [h, w, 3], uint8.
        depth: z-depth [h, w], float32, normalised units; 0 or not finite where nothing is seen.
        voters: The surface points nearest to what each pixel shows [h, w, K], int64, nearest first; −1 after the last.
        points: What each pixel sees [h, w, 3], float32, normalised frame; NaN where nothing.
        source: What the colours are of: "photograph", "radiance field" or "points".
    """

    photo: np.ndarray
    depth: np.ndarray
    voters: np.ndarray
    points: np.ndarray
    source: str

    @property
    def leaf(self) -> np.ndarray:
        """The surface point that each pixel shows [h, w], int64; −1 for none."""
        return self.voters[..., 0]


class ViewBook:
    """The views of an opened run, those that the surface was made from first.

    Args:
        opened: The run.

    Attributes:
        views: Split and name of each view [V]; none where the folder holds no cameras.
    """

    def __init__(self, opened: OpenedRun) -> None:
        self._run, self._tree, self._surface = opened.run, opened.segmentation.tree, opened.segmentation.surface
        self._config = opened.segmentation.config
        groups = _stored_views(opened)
        self.views = tuple((split, name) for split, stored in groups.items() for name in stored.names)
        self._cameras = Cameras.joined([stored.cameras for stored in groups.values()]) if groups else None
        self._seen: OrderedDict[int, SeenView] = OrderedDict()
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self.views)

    def title(self, index: int) -> str:
        """What a view is called, with its split."""
        split, name = self.views[index]
        return f"{split} / {name}"

    def camera(self, index: int) -> Cameras:
        """The camera of a view, user's frame."""
        assert self._cameras is not None
        return self._cameras[index].moved(self._surface.to_user)

    def cameras(self) -> Cameras | None:
        """The cameras of all views, user's frame; None where there are none."""
        return None if self._cameras is None else self._cameras.moved(self._surface.to_user)

    def best(self, inside: np.ndarray) -> tuple[int, int]:
        """The view that sees most of some points.

        Args:
            inside: Which points [N], bool.

        Returns:
            Its index, −1 if none sees any of them, and how many it sees.
        """
        seen = self._surface.visible
        train = [index for index, (split, _) in enumerate(self.views) if split == "train"]
        if len(seen) == 0 or len(train) != len(seen):
            return -1, 0
        counts = np.bitwise_count(seen & np.packbits(inside, bitorder="little")).sum(axis=1, dtype=np.int64)
        best = int(counts.argmax())
        return (train[best], int(counts[best])) if counts[best] else (-1, 0)

    def see(self, index: int) -> SeenView:
        """What a view sees, by the depth that the run rendered for it, or else by the surface's points.

        Raises:
            RunError: Its rendering is broken.
        """
        with self._lock:
            if index not in self._seen:
                self._seen[index] = self._look(index)
                if len(self._seen) > _KEPT:
                    self._seen.popitem(last=False)
            self._seen.move_to_end(index)
            return self._seen[index]

    def look_from(self, camera: Cameras) -> SeenView:
        """What a camera of the user's frame sees of the surface's points, drawn as discs."""
        from ..surface import surface_depths

        small = camera.resized(reduced_size(camera, EDGE))
        depth = (surface_depths(self._surface, small)[0] / self._surface.to_user.scale).astype(np.float32)
        normalised = small.moved(self._surface.to_user.inverse())
        return self.seen(normalised, depth, None, "points")

    def seen(self, camera: Cameras, depth: np.ndarray, photo: np.ndarray | None, source: str) -> SeenView:
        """A view of a camera of the normalised frame with its depth; colours are those of the points if None."""
        from ..cameras import back_project

        points = back_project(camera, 0, depth)
        voters = self._labeller.nearest(points).astype(np.int64)
        if photo is None:
            colors = np.concatenate([self._surface.colors, np.zeros((1, 3), np.uint8)])
            photo = colors[voters[..., 0]]
        return SeenView(photo, depth, voters, points, source)

    def _look(self, index: int) -> SeenView:
        split, name = self.views[index]
        if not self._run.render_file(split, name).is_file():
            return self.look_from(self.camera(index))
        view = self._run.read_render(split, name)
        assert self._cameras is not None
        full = self._cameras[index].resized(np.array([view.depth.shape[::-1]]))
        small = full.resized(reduced_size(full, EDGE))
        width, height = (int(edge) for edge in small.sizes[0])
        depth = view.opaque_depth(self._config.min_opacity)
        depth = resize_nearest(depth, (height, width))
        photo = self._photograph(split, name)
        source = "radiance field" if photo is None else "photograph"
        if photo is None:
            photo = color_picture(view)
        return self.seen(small, depth, _reduced_picture(photo, width, height), source)

    def _photograph(self, split: str, name: str) -> np.ndarray | None:
        """The photograph of a view; None where the scene is not on this machine, or no longer what it was."""
        scene = self._scene
        if scene is None or split not in scene.splits:
            return None
        try:
            return next((view.image for view in scene.splits[split] if view.name == name), None)
        except UltrafieldError:  # a picture that is read anew and was changed
            return None

    @cached_property
    def _scene(self) -> Scene | None:
        try:
            return stored_scene(self._run, Report.silent())
        except (UltrafieldError, OSError):  # moved, or on another machine
            return None

    @cached_property
    def _labeller(self) -> ViewLabeller:
        table = np.zeros((len(self._surface), 1), np.int32)  # only its k-d tree is wanted
        return ViewLabeller(self._surface, self._tree, np.zeros(0), self._config, table=table)


def _stored_views(opened: OpenedRun) -> dict[str, StoredViews]:
    """Views of each split that the folder has cameras of, "train" first; none for a folder without."""
    if not camera_file(opened.run).is_file():
        return {}
    try:
        groups = read_cameras(opened.run)
    except UltrafieldError:
        return {}
    return dict(sorted(groups.items(), key=lambda item: item[0] != "train"))


def reduced_size(camera: Cameras, longest: int) -> np.ndarray:
    """Width and height [1, 2] of a camera's picture whose longer edge has at most so many pixels."""
    width, height = (int(edge) for edge in camera.sizes[0])
    factor = min(1.0, longest / max(width, height))
    return np.array([[max(1, round(width * factor)), max(1, round(height * factor))]])


def _reduced_picture(photo: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2

    return (
        photo
        if photo.shape[:2] == (height, width)
        else cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    )
