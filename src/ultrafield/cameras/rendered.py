"""Colour, depth and opacity of a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class RenderedDepth:
    """How far away things are in a rendering of one camera.

    Attributes:
        depth: Median z-depth [H, W] float32, normalised units; 0 where the opacity is at most one half.
        opacity: [H, W] float32 in [0, 1].
    """

    depth: np.ndarray
    opacity: np.ndarray

    def opaque_depth(self, least: float) -> np.ndarray:
        """Depth [H, W] float32 where the opacity is at least so much, 0 elsewhere."""
        return np.where(self.opacity >= least, self.depth, np.float32(0))


@dataclass(frozen=True, eq=False)
class RenderedView:
    """A rendering of one camera.

    Attributes:
        color: [H, W, 3] float32 in [0, 1].
        depth: Median z-depth [H, W] float32, normalised units; 0 where the opacity is at most one half.
        opacity: [H, W] float32 in [0, 1].
    """

    color: np.ndarray
    depth: np.ndarray
    opacity: np.ndarray

    def picture(self) -> np.ndarray:
        """Colour [H, W, 3], uint8."""
        return np.round(self.color.clip(0.0, 1.0) * 255.0).astype(np.uint8)

    def opaque_depth(self, least: float) -> np.ndarray:
        """Depth [H, W] float32 where the opacity is at least so much, 0 elsewhere."""
        return RenderedDepth(self.depth, self.opacity).opaque_depth(least)
