"""The cameras of a run in the scene: what is drawn of each, and which one a click means."""

from __future__ import annotations

import numpy as np

from ..cameras import Cameras

MOST = 300  # cameras that are drawn unless the user says otherwise
_PLAIN, _HELD_OUT, _CHOSEN = (48, 79, 158), (173, 79, 30), (255, 214, 10)  # lines are drawn brighter than that
_SPACED, _LEAST, _LARGEST = 0.4, 0.02, 0.12  # depth of a frustum: of the distance of cameras; units shown
_WIDEST = 1.5  # tangent of half the angle that is drawn: wide lenses see more
_AROUND = 0.55  # of its depth: how near to a frustum's middle a click must be
_NEAR = 2.0  # depths: frustums nearer than that are those that the window looks through
_EDGES = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1]])


class Frustums:
    """Cameras as pyramids of lines.

    Args:
        cameras: V cameras of the frame shown; None for none.
        trained: Which of them the run was trained on [V], bool.

    Attributes:
        edges: Their lines [8 V, 2, 3], float32.
    """

    def __init__(self, cameras: Cameras | None, trained: np.ndarray) -> None:
        self._trained = trained
        if cameras is None:
            self._centers, self._middles, self._depth = np.zeros((0, 3)), np.zeros((0, 3)), 0.0
            self.edges = np.zeros((0, 2, 3), np.float32)
            return
        self._centers = cameras.c2w[:, :, 3]
        self._depth = _depth(self._centers)
        self._middles = self._centers + 0.5 * self._depth * cameras.c2w[:, :, 2]
        corners = np.concatenate([self._centers[:, None], _corners(cameras, self._depth)], axis=1)
        self.edges = corners[:, _EDGES].reshape(-1, 2, 3).astype(np.float32)

    def __len__(self) -> int:
        return len(self._centers)

    def colors(self, chosen: int) -> np.ndarray:
        """Colours of the lines [8 V, 2, 3], uint8; chosen is the camera that stands out, −1 for none."""
        each = np.where(self._trained[:, None], _PLAIN, _HELD_OUT)
        if chosen >= 0:
            each[chosen] = _CHOSEN
        return np.repeat(each.astype(np.uint8), 2 * len(_EDGES), axis=0).reshape(-1, 2, 3)

    def met(self, origin: np.ndarray, direction: np.ndarray) -> tuple[int, float]:
        """The camera that a ray meets first and how far away it is; −1 and infinity for none.

        Args:
            origin: Where the ray begins [3], frame shown.
            direction: Where it leads [3], any length but 0.
        """
        along = np.asarray(direction, np.float64) / np.linalg.norm(direction)
        offsets = self._middles - np.asarray(origin, np.float64)
        depths = offsets @ along
        off = np.linalg.norm(offsets - depths[:, None] * along, axis=1)
        depths = np.where((off <= _AROUND * self._depth) & (depths > _NEAR * self._depth), depths, np.inf)
        if not np.isfinite(depths).any():
            return -1, float("inf")
        nearest = int(depths.argmin())
        return nearest, float(depths[nearest])


def _depth(centers: np.ndarray) -> float:
    """How deep frustums are drawn, so that neighbours do not hide one another."""
    if len(centers) < 2:
        return _LARGEST
    from scipy.spatial import cKDTree

    apart = np.asarray(cKDTree(centers).query(centers, 2)[0])[:, 1]
    return float(np.clip(_SPACED * np.median(apart), _LEAST, _LARGEST))


def _corners(cameras: Cameras, depth: float) -> np.ndarray:
    """The corners of what cameras see at a depth [V, 4, 3], without their lenses' distortion."""
    fx, fy, cx, cy = cameras.intrinsics.T
    width, height = cameras.sizes.T.astype(np.float64)
    left, right = (np.clip(edge, -_WIDEST, _WIDEST) for edge in (-cx / fx, (width - cx) / fx))
    top, bottom = (np.clip(edge, -_WIDEST, _WIDEST) for edge in (-cy / fy, (height - cy) / fy))
    ones = np.ones(len(cameras))
    rays = np.stack([[left, top, ones], [right, top, ones], [right, bottom, ones], [left, bottom, ones]])  # [4, 3, V]
    seen = depth * np.moveaxis(rays, 2, 0)  # [V, 4, 3], the cameras' axes
    turned: np.ndarray = seen @ np.swapaxes(cameras.c2w[:, :, :3], 1, 2) + cameras.c2w[:, None, :, 3]
    return turned
