"""Points on the surfaces that cameras see, and which camera sees which point."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..cameras import Similarity
from ..errors import check_shape
from .shells import spacings


@dataclass(frozen=True, eq=False, repr=False)
class Surface:
    """Points on the surfaces that V views see.

    All of it is in the normalised frame, in which float32 loses nothing that matters; `points_user`, `normals_user` and
    `voxel_user` are the same in the user's frame. Compiled loops read these arrays without looking at their lengths, so
    they are checked here; arrays that are not contiguous are copied.

    Attributes:
        points: [N, 3] float32, normalised frame.
        normals: [N, 3] float32, unit length, towards the cameras; zero where unknown.
        colors: [N, 3] uint8 sRGB.
        visible: Which view sees which point [V, ceil(N / 8)] uint8, bit-packed along N (`pack_flags`).
        voxel: Typical distance of neighbouring points, normalised units: the edge of the thinning voxels, if any.
        to_user: From the normalised to the user's frame.
        inner: Half the edge of the box around the origin within which `voxel` holds; outside, points lie twice as far
            apart in each box twice as large. Infinite if they lie equally far apart everywhere.

    Raises:
        TypeError: An array of another dtype, or no array.
        ValueError: An array of another shape, points or normals that are not finite, or a voxel that is not positive.
    """

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    colors: NDArray[np.uint8]
    visible: NDArray[np.uint8]
    voxel: float
    to_user: Similarity = field(default_factory=Similarity)
    inner: float = np.inf

    def __post_init__(self) -> None:
        for name, dtype in (("points", np.float32), ("normals", np.float32), ("colors", np.uint8)):
            object.__setattr__(self, name, _checked(name, getattr(self, name), dtype, (None, 3)))
        object.__setattr__(self, "visible", _checked("visible", self.visible, np.uint8, (None, None)))
        for name in ("normals", "colors"):
            check_shape(name, getattr(self, name), (len(self.points), 3))
        check_shape("visible", self.visible, (None, (len(self.points) + 7) // 8))
        for name in ("points", "normals"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name}: expected finite coordinates")
        if not (np.isfinite(self.voxel) and self.voxel > 0):
            raise ValueError(f"voxel: expected a positive number, got {self.voxel}")
        if not self.inner > 0:
            raise ValueError(f"inner: expected a positive number, got {self.inner}")

    @classmethod
    def _trusted(cls, **arrays: Any) -> Self:
        """A surface without checks, for functions of this package that make valid arrays."""
        surface = object.__new__(cls)
        for name, value in arrays.items():
            object.__setattr__(surface, name, value)
        return surface

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"Surface({len(self)} points, {len(self.visible)} views, {self.voxel_user:.4g} apart)"

    @property
    def points_user(self) -> NDArray[np.float64]:
        """Points [N, 3] float64, user's frame."""
        return self.to_user.apply(self.points.astype(np.float64))

    @property
    def normals_user(self) -> NDArray[np.float32]:
        """Normals [N, 3] float32, user's frame."""
        return (self.normals @ self.to_user.rotation.T).astype(np.float32)

    @property
    def voxel_user(self) -> float:
        """`voxel` in the user's units."""
        return float(self.voxel * self.to_user.scale)

    @property
    def spacings(self) -> NDArray[np.float64]:
        """Typical distance of each point's neighbours [N] float64, normalised units."""
        return spacings(self.points, self.voxel, self.inner)

    def seen_from(self, view: int) -> NDArray[np.bool_]:
        """Which points a view sees [N] bool."""
        return np.unpackbits(self.visible[view], count=len(self), bitorder="little").astype(bool)


def pack_flags(flags: np.ndarray) -> np.ndarray:
    """Pack flags [..., N] bool into bytes [..., ceil(N / 8)] uint8, the first one in the lowest bit of the first byte.

    >>> pack_flags(np.array([[True, False, True]])).tolist()
    [[5]]
    """
    return np.packbits(flags, axis=-1, bitorder="little")


def _checked(name: str, array: object, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name}: expected an array of {np.dtype(dtype)}, got {kind}")
    check_shape(name, array, shape)
    return np.ascontiguousarray(array)
