"""Photographs of a corner of three textured walls, taken on an arc: small, quick to make, and mapped in seconds."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from ultrafield.cameras import Cameras, pixel_directions
from ultrafield.io import write_image

SIZE = (240, 180)
FOCAL = 225.0
_TEXTURE, _WIDE = 1024, 6.0  # pixels and units of a wall, which no picture shows whole


def room_cameras(count: int, *, arc: float = 50.0, size: tuple[int, int] = SIZE, focal: float = FOCAL) -> Cameras:
    """Cameras on an arc about the z axis that look at the corner, z up, OpenCV axes."""
    poses = []
    for angle in np.radians(45 + np.linspace(-arc / 2, arc / 2, count)):
        eye = np.array([3.0 * math.cos(angle), 3.0 * math.sin(angle), 1.2 + 0.3 * math.sin(5 * angle)])
        forward = np.array([0.3, 0.3, 0.5]) - eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        poses.append(np.stack([right, np.cross(forward, right), forward, eye], axis=1))
    return Cameras.pinhole(np.stack(poses), focal, size)


def room_picture(cameras: Cameras, index: int) -> np.ndarray:
    """What a camera sees of the walls x = 0, y = 0 and z = 0 [H, W, 3] uint8."""
    textures = _textures()
    directions = pixel_directions(cameras, index) @ cameras.c2w[index, :, :3].T
    eye = cameras.c2w[index, :, 3]
    nearest = np.full(directions.shape[:2], np.inf)
    picture = np.full((*directions.shape[:2], 3), 90, np.uint8)
    for axis, texture in enumerate(textures):
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = -eye[axis] / directions[..., axis]
        hit = (depth > 0) & (depth < nearest)
        nearest[hit] = depth[hit]
        points = eye + directions * np.where(hit, depth, 0.0)[..., None]
        u, v = (points[..., other] for other in range(3) if other != axis)
        columns, rows = (np.where(hit, place % _WIDE / _WIDE * _TEXTURE, 0).astype(np.float32) for place in (u, v))
        colors = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        picture[hit] = colors[hit]
    return picture


def write_room(folder: Path, count: int = 8, *, ending: str = ".jpg", **options: float) -> Cameras:
    """Write pictures `0000.jpg`, …, of the room; returns their cameras."""
    cameras = room_cameras(count, **options)
    for index in range(count):
        write_image(folder / f"{index:04d}{ending}", room_picture(cameras, index))
    return cameras


@cache
def _textures() -> list[np.ndarray]:
    """Three pictures of blobs of several sizes."""
    textures = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        texture = np.zeros((_TEXTURE, _TEXTURE, 3), np.float32)
        for cells in (20, 45, 90):
            noise = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
            texture += cv2.resize(noise, (_TEXTURE, _TEXTURE), interpolation=cv2.INTER_CUBIC) / 3
        texture = (texture - 127) * 2.2 + 127
        textures.append(np.clip(texture, 0, 255).astype(np.uint8))
    return textures
