"""A small scene of two boxes on a floor, ray-cast exactly, with masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ultrafield.cameras import Cameras, RenderedView, Similarity
from ultrafield.config import SegmentConfig
from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, Split, View
from ultrafield.surface import Surface, surface_from_views

SIZE = 48
BOXES = np.array(  # lowest and highest corner, normalised units: a floor, and two boxes on it
    [
        [[-0.4, -0.4, -0.25], [0.4, 0.4, -0.2]],
        [[-0.25, -0.1, -0.2], [-0.05, 0.1, 0.1]],
        [[0.05, -0.1, -0.2], [0.25, 0.1, 0.0]],
    ]
)
COLORS = np.array([[255, 255, 255], [200, 180, 160], [220, 40, 40], [40, 60, 220]], np.uint8)
TO_USER = Similarity(2.0, np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([3.0, -1.0, 0.5]))


@dataclass(frozen=True)
class Toy:
    """The scene, what its cameras see exactly, and the ids of the boxes (1 … 3, 0 for nothing) [V, H, W]."""

    scene: Scene
    views: list[RenderedView]
    ids: np.ndarray

    @property
    def cameras(self) -> Cameras:
        return self.scene.train.normalised_cameras

    def surface(self, config: SegmentConfig | None = None) -> Surface:
        images = [view.image for view in self.scene.train]
        return surface_from_views(
            self.views, self.cameras, to_user=TO_USER, config=config or SegmentConfig(), images=images
        )


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """OpenCV camera-to-world pose [3, 4] with world z up."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward, position], axis=1)


def ring(count: int, *, turn: float = 0.0) -> Cameras:
    """Cameras on a circle around the scene, alternately higher and lower."""
    angles = turn + 2 * np.pi * np.arange(count) / count
    positions = np.stack([1.2 * np.cos(angles), 1.2 * np.sin(angles), np.where(np.arange(count) % 2 == 0, 0.9, 0.5)], 1)
    poses = np.stack([look_at(position, np.array([0.0, 0.0, -0.15])) for position in positions])
    return Cameras.pinhole(poses, [60.0, 60.0, SIZE / 2, SIZE / 2], [SIZE, SIZE])


def cast(cameras: Cameras, index: int, boxes: np.ndarray = BOXES) -> tuple[np.ndarray, np.ndarray]:
    """z-depth and box ids [H, W] by the slab method, 0 where nothing is hit."""
    columns, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    fx, fy, cx, cy = cameras.intrinsics[index]
    local = np.stack([(columns - cx) / fx, (rows - cy) / fy, np.ones_like(rows)], -1)
    pose = cameras.c2w[index]
    rays = local @ pose[:, :3].T  # z-component one along the axis, so the ray parameter is z-depth
    depth, ids = np.full((SIZE, SIZE), np.inf), np.zeros((SIZE, SIZE), int)
    for number, (low, high) in enumerate(boxes, start=1):
        near, far = (low - pose[:, 3]) / rays, (high - pose[:, 3]) / rays
        enter, leave = np.minimum(near, far).max(-1), np.maximum(near, far).min(-1)
        hit = (enter <= leave) & (enter > 0) & (enter < depth)
        depth, ids = np.where(hit, enter, depth), np.where(hit, number, ids)
    return np.where(ids > 0, depth, 0.0).astype(np.float32), ids


def render(cameras: Cameras) -> tuple[list[RenderedView], np.ndarray]:
    """Exact views and ids [V, H, W]."""
    found = [cast(cameras, index) for index in range(len(cameras))]
    views = [RenderedView(COLORS[ids] / np.float32(255), depth, (ids > 0).astype(np.float32)) for depth, ids in found]
    return views, np.stack([ids for _, ids in found])


@pytest.fixture(scope="session")
def toy() -> Toy:
    """Ten views; masks are the floor, either box, and both boxes together."""
    cameras = ring(10)
    views, ids = render(cameras)
    pictures = []
    for index in range(len(cameras)):
        masks = np.stack([ids[index] == 1, ids[index] == 2, ids[index] == 3, ids[index] >= 2])
        pictures.append(View(f"r_{index}", COLORS[ids[index]], build_mask_set(masks[masks.any((1, 2))])))
    scene = Scene("toy", Path("toy"), "blender-hs", {"train": Split(tuple(pictures), cameras)}, TO_USER, np.ones(3))
    return Toy(scene, views, ids)


@pytest.fixture(scope="session")
def toy_surface(toy: Toy) -> Surface:
    return toy.surface()


@pytest.fixture(scope="session")
def toy_ids(toy_surface: Surface) -> np.ndarray:
    """The box that each surface point lies on [N], 1 … 3."""
    points = toy_surface.points.astype(np.float64)
    outside = np.maximum(BOXES[:, 0, None] - points, points - BOXES[:, 1, None]).clip(min=0)  # [3, N, 3]
    distance = np.linalg.norm(outside, axis=2)
    inside = np.minimum(points - BOXES[:, 0, None], BOXES[:, 1, None] - points).min(axis=2).clip(min=0)
    return 1 + np.argmin(distance + inside, axis=0)
