"""A tiny scene with exact pictures: two coloured balls on white, seen from a ring of cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ultrafield.cameras import Cameras, Similarity
from ultrafield.cameras.projection import pixel_directions
from ultrafield.config import Config, FeatureConfig, GeometryConfig, HashGridConfig
from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, Split, View
from ultrafield.training import loop

SIZE = 24
BALLS = ((np.array([0.2, 0.0, 0.0]), 0.18, (220, 40, 40)), (np.array([-0.2, 0.0, 0.05]), 0.15, (40, 60, 220)))


def _ring(count: int) -> Cameras:
    poses = []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        centre = 1.5 * np.array([np.cos(angle) * 0.9, np.sin(angle) * 0.9, 0.43])
        forward = -centre / np.linalg.norm(centre)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        poses.append(np.stack([right, np.cross(forward, right), forward, centre], axis=1))
    return Cameras.pinhole(np.stack(poses), np.array([30.0, 30.0, SIZE / 2, SIZE / 2]), np.array([SIZE, SIZE]))


def _picture(cameras: Cameras, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour [H, W, 3] uint8 and ball number [H, W], 0 for none."""
    pose = cameras.c2w[index]
    directions = pixel_directions(cameras, index) @ pose[:, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    color, number = np.full((SIZE, SIZE, 3), 255, np.uint8), np.zeros((SIZE, SIZE), int)
    nearest = np.full((SIZE, SIZE), np.inf)
    for ball, (centre, radius, paint) in enumerate(BALLS, start=1):
        offset = centre - pose[:, 3]
        along = directions @ offset
        inside = radius**2 - (offset @ offset - along**2)
        hit = np.where(inside > 0, along - np.sqrt(np.maximum(inside, 0)), np.inf)
        front = hit < nearest
        color[front], number[front], nearest = paint, ball, np.minimum(hit, nearest)
    return color, number


@pytest.fixture(scope="session")
def balls() -> Scene:
    cameras = _ring(8)
    views = []
    for index in range(8):
        color, number = _picture(cameras, index)
        masks = [number > 0, number == 1, number == 2]
        masks = np.stack([mask for mask in masks if mask.any()])
        views.append(View(f"r_{index}", color, build_mask_set(masks), Path(f"r_{index}.png")))
    splits = {"train": Split(tuple(views), cameras)}
    return Scene("balls", Path("balls"), "blender-hs", splits, Similarity(), np.ones(3, np.float32))


@pytest.fixture(scope="session")
def config() -> Config:
    grid = HashGridConfig(levels=4, features=2, log2_entries=12, base_resolution=4, max_resolution=32)
    geometry = GeometryConfig(
        grid=grid,
        hidden=16,
        occupancy_resolution=16,
        steps=60,
        rays=256,
        samples=8192,
        max_samples_per_ray=64,
        planar_weight=3e-4,
    )
    features = FeatureConfig(grid=replace(grid, max_resolution=16), hidden=16, dim=16, steps=40, pixels=512, images=4)
    return Config(engine="field", seed=3, geometry=geometry, features=features)


@pytest.fixture
def states_every(monkeypatch):
    """A function that has training states written every so many steps, however quickly they follow each other."""

    def set_steps(steps: int) -> None:
        class Clock(loop._StateClock):
            calls = 0

            def due(self) -> bool:
                self.calls += 1
                return self.calls % steps == 0

        monkeypatch.setattr(loop, "_StateClock", Clock)

    return set_steps
