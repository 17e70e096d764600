"""Pictures without the distortion of their lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras, Lens, pixel_directions, project
from ..scene.optics import Optics, distortions

_LARGEST = 2.0  # times the original's edge: what wide lenses are cut to
_WIDEST = 1.75  # tangent of the angle to each side that they are cut to


@dataclass(frozen=True, eq=False)
class Straight:
    """A pinhole camera that sees what a distorted one does, and where its pixels come from.

    Attributes:
        optics: The camera.
        size: Width and height of its picture.
        x: Column of the distorted picture [H, W] float32, as OpenCV counts: pixel centres are whole numbers.
        y: The same of the row.
    """

    optics: Optics
    size: tuple[int, int]
    x: np.ndarray
    y: np.ndarray


def straighten(optics: Optics, size: tuple[int, int]) -> Straight:
    """The pinhole camera with the same focal lengths whose picture is the largest without empty pixels.

    Args:
        optics: A lens.
        size: Width and height of its pictures.
    """
    intrinsics = optics.intrinsics(*size)
    fx, fy = intrinsics[:2]
    lens = np.array([optics.lens], np.int64)
    camera = Cameras(np.eye(3, 4)[None], intrinsics[None], np.array([size]), lens, distortions([optics]))
    left, top, right, bottom = _inner(pixel_directions(camera, 0)[..., :2])
    width = max(1, min(int(np.floor((right - left) * fx)), round(_LARGEST * size[0])))
    height = max(1, min(int(np.floor((bottom - top) * fy)), round(_LARGEST * size[1])))
    middle = (0.5 * width - 0.5 * (left + right) * fx, 0.5 * height - 0.5 * (top + bottom) * fy)
    flat = Optics((width, height), (float(fx), float(fy)), centre=(float(middle[0]), float(middle[1])))
    rays = pixel_directions(Cameras.pinhole(np.eye(3, 4), flat.intrinsics(width, height), (width, height)), 0)
    pixels, _ = project(camera, 0, rays.reshape(-1, 3))
    x, y = (pixels - 0.5).astype(np.float32).reshape(height, width, 2).transpose(2, 0, 1)
    return Straight(flat, (width, height), np.ascontiguousarray(x), np.ascontiguousarray(y))


def straightened(image: np.ndarray, straight: Straight, *, smooth: bool = True) -> np.ndarray:
    """A picture [H, W, C] as the pinhole camera sees it; without `smooth`, each pixel takes that of its nearest one."""
    import cv2

    how = cv2.INTER_LANCZOS4 if smooth else cv2.INTER_NEAREST
    return cv2.remap(image, straight.x, straight.y, how, borderMode=cv2.BORDER_REPLICATE)


def is_straight(optics: Optics) -> bool:
    """Whether a lens has no distortion."""
    return optics.lens is Lens.PINHOLE


def _inner(rays: np.ndarray) -> tuple[float, float, float, float]:
    """The rectangle of rays x/z, y/z inside the border of a picture [H, W, 2]: left, top, right, bottom.

    Parts of the border without rays, as that of a circular picture, do not count.
    """
    left, top = (_edge(side) for side in (-rays[:, 0, 0], -rays[0, :, 1]))
    right, bottom = (_edge(side) for side in (rays[:, -1, 0], rays[-1, :, 1]))
    return -left, -top, right, bottom


def _edge(outwards: np.ndarray) -> float:
    """The least of how far out rays on one side of a picture are, within limits."""
    known = outwards[np.isfinite(outwards)]
    return float(np.clip(known.min(initial=_WIDEST), 1e-3, _WIDEST))
