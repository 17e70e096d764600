"""How far the depth maps of the training views contradict each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import project
from ..parallel import in_threads, workers_for
from ..scene import Scene
from ..surface.samples import surface_samples
from ..surface.sight import look

_ASKED, _WITNESSES = 12, 48  # views whose pixels are looked at, and views that are asked about them; at most
_PIXELS = 500  # of each view
_DISTRUST = 2  # a pixel is contradicted if half as many views see through its place as see it,
_FEW = 1 / 12  # or if so few of those that look there see it: what lies behind a surface is seen through holes only
_BYTES_PER_PIXEL = 300


@dataclass(frozen=True)
class DepthAgreement:
    """What training views say of each other's depth.

    Attributes:
        contradicted: Part of the pixels on continuous patches that other views contradict: more than half as many of
            them look through the pixel's place as see it, or hardly any that look there see it; NaN without such
            pixels.
        views: How many views' pixels were looked at.
    """

    contradicted: float
    views: int


def depth_agreement(scene: Scene, depth_of: Callable[[str, int], np.ndarray]) -> DepthAgreement | None:
    """Ask training views about the depth of each other's pixels, within one footprint of a pixel.

    Args:
        scene: The scene; of at most 48 of its training views, evenly spread.
        depth_of: z-depth of a view of a split [H, W], as the field shows it; called in several threads.

    Returns:
        None with less than two training views.
    """
    train = scene.train
    if len(train) < 2:
        return None
    witnesses = np.unique(np.linspace(0, len(train) - 1, min(_WITNESSES, len(train))).round().astype(np.int64))
    workers = workers_for(_BYTES_PER_PIXEL * train.cameras.most_pixels)
    depths = list(in_threads(lambda index: depth_of("train", int(index)), witnesses, workers=workers))
    cameras = train.normalised_cameras[witnesses].resized([depth.shape[::-1] for depth in depths])
    asked = np.unique(np.linspace(0, len(depths) - 1, min(_ASKED, len(depths))).round().astype(np.int64))
    tables = list(in_threads(lambda index: _samples(depths[index], cameras, int(index)), asked, workers=workers))
    owner = np.repeat(asked, [len(table) for table in tables])
    points, normals, _, footprint, _ = np.split(np.concatenate(tables), [3, 6, 9, 10], axis=1)

    def sight(index: int) -> np.ndarray:
        depth, others = depths[index], owner != index
        sees = look(points, normals, depth, cameras, index, footprint[:, 0]).sees
        # Within a pixel of an outline, nobody can tell on which side of it a place lies.
        passes = look(points, normals, _nearest_around(depth), cameras, index, footprint[:, 0]).passes
        pixels, z = project(cameras, index, points)
        framed = (z > 0) & ((pixels >= 0) & (pixels < cameras.sizes[index])).all(axis=1)
        return np.stack([sees, passes, framed]) & others

    counts = np.zeros((3, len(points)), np.int64)
    for flags in in_threads(sight, range(len(depths)), workers=workers):
        counts += flags
    sees, passes, framed = counts
    bad = (_DISTRUST * passes > sees) | (sees < np.maximum(1, _FEW * framed))
    return DepthAgreement(float(bad.mean()) if len(bad) else float("nan"), len(asked))


def _nearest_around(depth: np.ndarray) -> np.ndarray:
    """The nearest depth that a pixel [H, W] or one of its eight neighbours shows; 0 where none shows anything."""
    import cv2

    nearest = cv2.erode(np.where(depth > 0, depth, np.float32(np.inf)), np.ones((3, 3), np.uint8))
    return np.where(np.isfinite(nearest), nearest, np.float32(0))


def _samples(depth: np.ndarray, cameras: Cameras, index: int) -> np.ndarray:
    """Some rows of `surface_samples` [P, 11], without colours, drawn evenly over the picture's rows."""
    table = surface_samples(depth, np.zeros((*depth.shape, 3), np.uint8), cameras, index)
    return table[np.unique(np.linspace(0, len(table) - 1, min(_PIXELS, len(table))).round().astype(np.int64))]
