"""Fruit, books, a pencil and a candle for the built-in still-life; lengths in decimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .shapes import Color, board, fade, joined, mix, mottled, painted, sheet, tube, turned

if TYPE_CHECKING:
    import trimesh

Parts = dict[str, "trimesh.Trimesh"]  # parts of an object by their names below it

CREAM = (0.95, 0.92, 0.84)
NAVY = (0.13, 0.23, 0.46)
GOLD = (0.83, 0.66, 0.27)
CORAL = (0.87, 0.38, 0.30)
LEAF = (0.25, 0.52, 0.18)
BARK = (0.30, 0.20, 0.10)


APPLE = ((0, 0.03), (0.06, 0), (0.14, 0.05), (0.185, 0.17), (0.16, 0.28), (0.08, 0.325), (0.03, 0.31), (0, 0.28))
PEAR = ((0, 0.02), (0.06, 0), (0.15, 0.06), (0.175, 0.15), (0.13, 0.26), (0.08, 0.34), (0.065, 0.40), (0, 0.425))
ORANGE = ((0, 0), (0.08, 0.02), (0.155, 0.09), (0.17, 0.17), (0.14, 0.26), (0.07, 0.315), (0, 0.325))
LEMON = (
    (0, -0.17),
    (0.02, -0.165),
    (0.035, -0.14),
    (0.10, -0.08),
    (0.115, 0),
    (0.10, 0.08),
    (0.035, 0.14),
    (0, 0.155),
)
HOLDER = (
    (0, 0),
    (0.17, 0),
    (0.19, 0.035),
    (0.175, 0.04),
    (0.10, 0.02),
    (0.075, 0.03),
    (0.085, 0.09),
    (0, 0.09),
)


def apple() -> Parts:
    """A red apple with stem and leaf."""

    def skin(points: np.ndarray) -> np.ndarray:
        red = mottled((0.76, 0.10, 0.12), (0.86, 0.30, 0.16), scale=16)(points)
        top = 0.8 * np.clip((points[:, 2:] - 0.27) / 0.06, 0, 1)
        return red * (1 - top) + np.array([0.86, 0.74, 0.30]) * top

    return {
        "flesh": painted(turned(APPLE, steps=60), skin, gloss=0.7),
        "stem": painted(_stem((0, 0, 0.27), (0.01, 0, 0.34), (0.04, 0, 0.40)), BARK),
        "leaf": painted(_leaf(length=0.20, base=(0.03, 0.0, 0.37)), LEAF),
    }


def pear() -> Parts:
    """A green pear with a stem."""
    return {
        "flesh": painted(turned(PEAR, steps=60), mottled((0.66, 0.72, 0.22), (0.80, 0.72, 0.28), scale=11), gloss=0.4),
        "stem": painted(_stem((0, 0, 0.41), (0, 0.01, 0.47), (0.02, 0.02, 0.52)), BARK),
    }


def orange() -> Parts:
    """An orange, its calyx upwards."""
    calyx = turned([(0.035, 0.318), (0.03, 0.335), (0, 0.34)], sections=10)
    return {
        "peel": painted(turned(ORANGE, steps=60), mottled((0.93, 0.52, 0.10), (0.96, 0.62, 0.20), scale=45), gloss=0.4),
        "calyx": painted(calyx, (0.33, 0.50, 0.20)),
    }


def lemon() -> Parts:
    """A lemon lying along x."""
    peel = turned(LEMON, steps=60).apply_transform(_lying(0.115))
    return {"peel": painted(peel, mottled((0.95, 0.83, 0.20), (0.88, 0.78, 0.16), scale=30), gloss=0.4)}


def book(width: float, depth: float, thickness: float, color: Color, accent: Color) -> Parts:
    """A closed book lying flat, its spine towards -x: a cover with a frame and a label, and its pages."""
    cover = 0.016

    def title(points: np.ndarray) -> np.ndarray:
        x, y, z = np.abs(points).T
        x, y = x / (width / 2), y / (depth / 2)
        frame = (np.maximum(x, y) < 0.84) & (np.maximum(x, y) > 0.74)
        label = (x < 0.4) & (y < 0.18)
        spine = (points[:, 0] < -0.49 * width) & (y > 0.55) & (y < 0.7)
        return mix(color, accent, (((frame | label) & (z > cover)) | spine).astype(float))

    def lines(points: np.ndarray) -> np.ndarray:
        return mix(CREAM, (0.74, 0.68, 0.55), (np.sin(420 * points[:, 2]) > 0).astype(float))

    bottom = board((width, depth, cover), (0, 0, cover / 2), cell=0.014)
    top = board((width, depth, cover), (0, 0, thickness - cover / 2), cell=0.014)
    spine = board((cover, depth, thickness), (-width / 2, 0, thickness / 2), cell=0.014)
    pages = board((width - 0.04, depth - 0.05, thickness - 2 * cover), (0, 0, thickness / 2), cell=0.02)
    return {"cover": painted(joined(bottom, top, spine), title, gloss=0.2), "pages": painted(pages, lines)}


def pencil() -> Parts:
    """A six-sided pencil lying along x."""
    lie = _lying(0.026)
    pieces = {
        "shaft": (turned([(0, -0.26), (0.026, -0.26), (0.026, 0.20), (0, 0.20)], sections=6), (0.93, 0.72, 0.12)),
        "tip": (turned([(0.026, 0.20), (0.0, 0.29)], sections=24), (0.86, 0.70, 0.48)),
        "eraser": (turned([(0, -0.33), (0.027, -0.33), (0.027, -0.26), (0, -0.26)], sections=24), (0.88, 0.50, 0.52)),
    }
    return {name: painted(mesh.apply_transform(lie), color, gloss=0.3) for name, (mesh, color) in pieces.items()}


def candle() -> Parts:
    """A striped candle burning in its holder."""

    def twist(points: np.ndarray) -> np.ndarray:
        turn = np.arctan2(points[:, 1], points[:, 0]) * 2 / np.pi + 7 * points[:, 2]
        return mix(CORAL, CREAM, (turn % 1 > 0.5).astype(float))

    wax = turned([(0, 0.08), (0.062, 0.08), (0.062, 0.50), (0.05, 0.51), (0, 0.50)])
    flame = turned([(0, 0.515), (0.02, 0.54), (0.032, 0.58), (0.018, 0.64), (0, 0.69)], steps=20, sections=24)
    return {
        "holder": painted(turned(HOLDER, steps=50), GOLD, gloss=0.9),
        "wax": painted(wax, twist),
        "flame": painted(flame, fade((0.98, 0.62, 0.10), (1.0, 0.90, 0.45), 0.53, 0.64)),
    }


def _stem(*path: tuple[float, float, float]) -> trimesh.Trimesh:
    """A short stem that widens at its end."""
    return tube(path, [0.012, 0.012, 0.016], sections=10, steps=10)


def _leaf(length: float, base: tuple[float, float, float]) -> trimesh.Trimesh:
    """A pointed, slightly bent leaf along x."""
    along, across = np.meshgrid(np.linspace(0, 1, 17), np.linspace(-1, 1, 9), indexing="ij")
    width = 0.28 * length * np.maximum(np.sin(np.pi * along), 0) ** 0.8
    height = 0.35 * length * np.sin(np.pi * 0.6 * along) + 0.12 * length * across**2
    return sheet(np.stack([length * along, width * across, height], axis=-1) + np.asarray(base))


def _lying(height: float) -> np.ndarray:
    """The transform that lays the z axis along x, `height` above the ground."""
    place = np.eye(4)
    place[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    place[2, 3] = height
    return place
