"""Exact segmentation of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import check_shape

_KINDS = {"i": "integers", "f": "floating-point numbers", "b": "bool"}


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Exact segmentation (and depth) of one split, as far as the dataset has it.

    Attributes:
        names: View names, aligned with the split [V].
        parts: Part ids [V, H, W], int32, 0 for background.
        objects: Object ids [V, H, W], int32, 0 for background.
        depth: z-depth in *normalised* units [V, H, W], float32, 0 where nothing is seen; or None.
        depth_exact: Whether `depth` is exact rather than decoded from 8 bits.
        visible: [V, H, W] bool: pixels also seen by the paired rotated view (for "val") or by the validation view
            (for "val_rotate"); or None.
    """

    names: tuple[str, ...]
    parts: np.ndarray
    objects: np.ndarray
    depth: np.ndarray | None
    depth_exact: bool
    visible: np.ndarray | None

    def __post_init__(self) -> None:
        for name in ("parts", "objects", "depth", "visible"):
            array = getattr(self, name)
            if array is not None:
                check_shape(name, array, (len(self.names), *self.parts.shape[1:3]))
        for name, kind in (("parts", "i"), ("objects", "i"), ("depth", "f"), ("visible", "b")):
            array = getattr(self, name)
            if array is not None and array.dtype.kind != kind:
                raise ValueError(f"{name}: expected {_KINDS[kind]}, got {array.dtype}")

    def __repr__(self) -> str:
        depth = "no depth" if self.depth is None else "exact depth" if self.depth_exact else "8-bit depth"
        return f"GroundTruth({len(self.names)} views of {self.parts.shape[2]}×{self.parts.shape[1]} pixels, {depth})"
