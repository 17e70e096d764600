"""Makers of tiny scene folders."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ultrafield.io import write_image


def look_inwards(eye: np.ndarray) -> np.ndarray:
    """Camera-to-world matrix [4, 4] with OpenGL axes, looking at the origin, z up in the picture."""
    back = eye / np.linalg.norm(eye)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, eye], axis=1)
    return pose


def orbit(count: int, radius: float = 4.0, height: float = 1.0) -> list[list[list[float]]]:
    """Poses around the origin, as nested lists."""
    angles = 0.1 + np.arange(count) * 2 * math.pi / count
    return [look_inwards(np.array([radius * math.cos(a), radius * math.sin(a), height])).tolist() for a in angles]


def picture(size: tuple[int, int], seed: int = 0, channels: int = 3) -> np.ndarray:
    """Noise [H, W, C] uint8."""
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)


@pytest.fixture
def make_blender(tmp_path: Path) -> Callable[..., Path]:
    """Writes a Blender scene: `make(splits={split: views}, size=(H, W), **keys of the transforms files)`."""

    def make(
        *,
        name: str = "scene",
        size: tuple[int, int] = (8, 8),
        radius: float = 4.0,
        splits: dict[str, int] | None = None,
        **keys: Any,
    ) -> Path:
        root = tmp_path / name
        for split, count in (splits or {"train": 3}).items():
            frames = [
                {"file_path": f"./{split}/r_{index}", "transform_matrix": pose}
                for index, pose in enumerate(orbit(count, radius))
            ]
            root.mkdir(exist_ok=True)
            values = {"camera_angle_x": 0.7, "frames": frames} | keys
            (root / f"transforms_{split}.json").write_text(json.dumps(values))
            for index in range(count):
                write_image(root / split / f"r_{index}.png", picture(size, index, channels=4))
        return root

    return make


@pytest.fixture
def make_capture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a nerfstudio scene: `make(count, size=(H, W), paths=…, frames=…, **keys of transforms.json)`."""

    def make(
        count: int = 4,
        *,
        size: tuple[int, int] = (6, 8),
        paths: list[str] | None = None,
        per_frame: list[dict[str, Any]] | None = None,
        **keys: Any,
    ) -> Path:
        root = tmp_path / "capture"
        paths = paths or [f"images/{index:04d}.png" for index in range(count)]
        frames = [
            {"file_path": path, "transform_matrix": pose} | (per_frame[index] if per_frame else {})
            for index, (path, pose) in enumerate(zip(paths, orbit(len(paths)), strict=True))
        ]
        root.mkdir()
        (root / "transforms.json").write_text(json.dumps({"fl_x": 10.0, "frames": frames} | keys))
        for index, path in enumerate(paths):
            named = path.lower().endswith((".png", ".jpg", ".jpeg"))
            write_image(root / (path if named else f"{path}.jpg"), picture(size, index))
        return root

    return make


@pytest.fixture
def edit() -> Callable[[Path, Callable[[dict[str, Any]], None]], None]:
    """Changes a JSON file in place: `edit(file, change)`."""

    def apply(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
        values = json.loads(file.read_text())
        change(values)
        file.write_text(json.dumps(values))

    return apply
