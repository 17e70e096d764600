"""Cameras with their lenses, in OpenCV's axes: x right, y down, z forward; pixel centres lie at +0.5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ..errors import check_shape
from .similarity import ORTHONORMAL, Similarity, as_floats, rotation_deviation

FARTHEST = 1e12  # of a camera from the origin: where float64 resolves 0.1 mm if the unit is the metre
_LARGEST = 1e12  # of what describes a lens
_LARGEST_SIZE = 1 << 20  # of a picture's edge
OPENGL_AXES = np.array([1.0, -1.0, -1.0, 1.0])  # factors on the columns of a pose from OpenGL's axes to OpenCV's


class Lens(IntEnum):
    """Lens model of a camera; parameters are OpenCV's or COLMAP's, in their order, but for `BROWN`."""

    PINHOLE = 0
    OPENCV = 1  # k1 k2 p1 p2 k3 k4 k5 k6
    FISHEYE = 2  # k1 k2 k3 k4
    BROWN = 3  # k1 k2 p1 p2 k3 k4 b: as OPENCV, but k4 is the factor of r⁸, and b shears (see brown.py)
    FOV = 4  # omega
    DIVISION = 5  # k
    EUCM = 6  # alpha beta
    THIN_PRISM_FISHEYE = 7  # k1 k2 p1 p2 k3 k4 sx1 sy1 b
    FISHEYE624 = 8  # k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3: COLMAP's RAD_TAN_THIN_PRISM_FISHEYE


CAMERA_ARRAYS = ("c2w", "intrinsics", "sizes", "lenses", "distortion")  # fields of `Cameras`, in order
PARAMETERS = (8, 12)  # columns of arrays of parameters; the wider ones where a lens needs them


@dataclass(frozen=True, eq=False)
class Cameras:
    """N cameras, each with its own size and lens.

    `cameras[3]` and iteration give `Cameras` of length 1; slices, lists and masks give several.

    Attributes:
        c2w: Camera-to-world poses [N, 3, 4], float64, OpenCV axes.
        intrinsics: fx, fy, cx, cy in pixels [N, 4], float64.
        sizes: Width, height in pixels [N, 2], int64.
        lenses: `Lens` of each camera [N], int64.
        distortion: Parameters of the lens, zero-padded [N, 8] or [N, 12], float64.

    Lists are accepted where arrays are, and poses [N, 4, 4]. `ValueError` names the camera whose pose is not finite or
    no rotation, whose focal length or size is not positive, whose lens is unknown, or that has a number so large that
    computing with it would overflow.
    """

    c2w: np.ndarray
    intrinsics: np.ndarray
    sizes: np.ndarray
    lenses: np.ndarray
    distortion: np.ndarray

    def __post_init__(self) -> None:
        arrays = {
            "c2w": _poses(self.c2w),
            "intrinsics": as_floats("intrinsics", self.intrinsics),
            "sizes": _whole_numbers("sizes", self.sizes),
            "lenses": _whole_numbers("lenses", self.lenses),
            "distortion": as_floats("distortion", self.distortion),
        }
        for name, array in arrays.items():
            object.__setattr__(self, name, np.array(array, order="C"))  # whoever gave it may go on to write to it
        self._check()

    def _check(self) -> None:
        count = len(self.c2w)
        check_shape("intrinsics", self.intrinsics, (count, 4))
        check_shape("sizes", self.sizes, (count, 2))
        check_shape("lenses", self.lenses, (count,))
        wide = self.distortion.shape[1:] == (PARAMETERS[1],) or Lens.FISHEYE624 in self.lenses
        check_shape("distortion", self.distortion, (count, PARAMETERS[wide]))
        deviation = rotation_deviation(self.c2w[:, :, :3])
        for name, valid, expected in (
            ("c2w", np.isfinite(self.c2w).all(axis=(1, 2)), "finite numbers"),
            ("c2w", deviation <= ORTHONORMAL, "a rotation in the first three columns"),
            ("c2w", _below(FARTHEST, self.c2w[:, :, 3]), f"a position within {FARTHEST:g} of the origin"),
            ("intrinsics", np.isfinite(self.intrinsics).all(axis=1), "finite numbers"),
            ("intrinsics", (self.intrinsics[:, :2] > 0).all(axis=1), "positive focal lengths"),
            ("intrinsics", _below(_LARGEST, self.intrinsics), f"numbers below {_LARGEST:g}"),
            ("intrinsics", (self.intrinsics[:, :2] > 1 / _LARGEST).all(axis=1), f"numbers above {1 / _LARGEST:g}"),
            ("sizes", (self.sizes > 0).all(axis=1), "a positive width and height"),
            ("sizes", _below(_LARGEST_SIZE + 1, self.sizes), f"at most {_LARGEST_SIZE} pixels"),
            ("lenses", np.isin(self.lenses, list(Lens)), f"one of {', '.join(map(str, map(int, Lens)))}"),
            ("distortion", np.isfinite(self.distortion).all(axis=1), "finite numbers"),
            ("distortion", _below(_LARGEST, self.distortion), f"numbers below {_LARGEST:g}"),
        ):
            if not valid.all():
                index = int(np.argmin(valid))
                value = np.array2string(getattr(self, name)[index], separator=", ").replace("\n", "")
                raise ValueError(f"{name}: camera {index}: expected {expected}, got {value}")

    @classmethod
    def _trusted(cls, *arrays: np.ndarray) -> Self:
        """Cameras of arrays that were checked before."""
        cameras = object.__new__(cls)
        for name, array in zip(CAMERA_ARRAYS, arrays, strict=True):
            object.__setattr__(cameras, name, array)
        return cameras

    @classmethod
    def joined(cls, groups: Sequence[Cameras]) -> Cameras:
        """The cameras of some groups, at least one, one after the other."""
        columns = max(cameras.distortion.shape[1] for cameras in groups)
        padded = [
            replace(
                cameras, distortion=np.pad(cameras.distortion, ((0, 0), (0, columns - cameras.distortion.shape[1])))
            )
            for cameras in groups
        ]
        return cls(*(np.concatenate([getattr(cameras, name) for cameras in padded]) for name in CAMERA_ARRAYS))

    def __len__(self) -> int:
        return len(self.c2w)

    def __getitem__(self, index: int | slice | np.ndarray | Sequence[int]) -> Cameras:
        """Some of the cameras, in the order asked for; for a single index, `Cameras` of length 1."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for {len(self)} cameras")
            index = [int(index)]
        elif not isinstance(index, slice | np.ndarray):
            index = np.asarray(index, None if len(index) else np.int64)
        return Cameras._trusted(*(getattr(self, name)[index] for name in CAMERA_ARRAYS))

    def __iter__(self) -> Iterator[Cameras]:
        """Each camera as `Cameras` of length 1."""
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        sizes = {tuple(size) for size in self.sizes.tolist()}
        size = "{}×{} pixels".format(*next(iter(sizes))) if len(sizes) == 1 else f"{len(sizes)} sizes"
        lenses = " and ".join(Lens(code).name.lower() for code in sorted(set(self.lenses.tolist())))
        return f"Cameras({len(self)} of {size}, {lenses})" if len(self) else "Cameras(0)"

    @property
    def most_pixels(self) -> int:
        """Pixels of the largest picture; 0 without cameras."""
        return int(self.sizes.prod(axis=1).max(initial=0))

    def resized(self, sizes: ArrayLike) -> Cameras:
        """The same cameras taking pictures of other sizes (width, height) [2] or [N, 2]."""
        sizes = np.broadcast_to(np.asarray(sizes), (len(self), 2))
        if np.array_equal(sizes, self.sizes):
            return self
        factor = sizes / self.sizes  # [N, 2]
        return replace(self, intrinsics=self.intrinsics * np.concatenate([factor, factor], axis=1), sizes=sizes)

    def moved(self, similarity: Similarity) -> Cameras:
        """The same cameras in the frame that `similarity` maps to."""
        return replace(self, c2w=similarity.apply_poses(self.c2w))

    @staticmethod
    def pinhole(c2w: ArrayLike, intrinsics: ArrayLike, sizes: ArrayLike) -> Cameras:
        """Cameras without distortion, in OpenCV axes.

        Args:
            c2w: Camera-to-world poses [N, 3, 4] or [N, 4, 4] (x right, y down, z forward), or a single one.
            intrinsics: fx, fy, cx, cy in pixels [4] or [N, 4], a matrix K [3, 3] or [N, 3, 3], or one focal length for
                both directions, with the principal point in the middle of the picture.
            sizes: Width and height in pixels [2] or [N, 2].

        Raises:
            ValueError: As for `Cameras`.

        >>> Cameras.pinhole([np.eye(4)], 500.0, (640, 480)).intrinsics.tolist()
        [[500.0, 500.0, 320.0, 240.0]]
        """
        poses = _poses(c2w)
        count = len(poses)
        sizes = np.broadcast_to(_whole_numbers("sizes", sizes), (count, 2)).copy()
        return Cameras(poses, _intrinsics(intrinsics, sizes), sizes, np.zeros(count, np.int64), np.zeros((count, 8)))

    @staticmethod
    def from_opengl(c2w: ArrayLike, intrinsics: ArrayLike, sizes: ArrayLike) -> Cameras:
        """Cameras without distortion from poses in OpenGL axes, as Blender, NeRF-synthetic and nerfstudio write them.

        Args:
            c2w: Camera to world [N, 3, 4] or [N, 4, 4]: x right, y up, looking along −z.
            intrinsics: As for `pinhole`.
            sizes: As for `pinhole`.

        Raises:
            ValueError: As `pinhole`.
        """
        return Cameras.pinhole(_poses(c2w) * OPENGL_AXES, intrinsics, sizes)


def _poses(c2w: ArrayLike) -> np.ndarray:
    """Poses [N, 3, 4], float64, from [N, 3, 4] or [N, 4, 4], or from a single one."""
    poses = as_floats("c2w", c2w)
    if poses.ndim == 2:
        poses = poses[None]
    if poses.ndim == 3 and poses.shape[1:] == (4, 4):
        if not np.allclose(poses[:, 3], [0, 0, 0, 1], atol=1e-6):
            index = int(np.argmax(np.abs(poses[:, 3] - [0, 0, 0, 1]).max(axis=1)))
            raise ValueError(f"c2w: camera {index}: expected 0 0 0 1 in the last row, got {poses[index, 3].tolist()}")
        poses = poses[:, :3]
    check_shape("c2w", poses, (None, 3, 4))
    return poses


def _intrinsics(values: ArrayLike, sizes: np.ndarray) -> np.ndarray:
    """fx, fy, cx, cy [N, 4] from any form that `Cameras.pinhole` accepts."""
    values = as_floats("intrinsics", values)
    shape = list(values.shape)
    if values.ndim == 0:
        return np.concatenate([np.full((len(sizes), 2), values), 0.5 * sizes], axis=1)
    if values.ndim >= 2 and values.shape[-2:] == (3, 3):
        values = np.stack([values[..., 0, 0], values[..., 1, 1], values[..., 0, 2], values[..., 1, 2]], axis=-1)
    if values.shape not in ((4,), (1, 4), (len(sizes), 4)):
        raise ValueError(
            f"intrinsics: expected a focal length, fx, fy, cx, cy of all or of each of the {len(sizes)} cameras, or "
            f"such matrices [3, 3], got shape {shape}"
        )
    return np.broadcast_to(values, (len(sizes), 4)).copy()


def _below(limit: float, values: np.ndarray) -> np.ndarray:
    """Which rows [N] of an array [N, ...] hold only numbers of a magnitude below `limit`."""
    return (np.abs(values) < limit).all(axis=tuple(range(1, values.ndim)))


def _whole_numbers(name: str, values: ArrayLike) -> np.ndarray:
    """An int64 array of values that are whole numbers."""
    given = np.asarray(values)
    if given.dtype.kind == "i":
        return given.astype(np.int64, copy=False)
    array = as_floats(name, values)
    if not ((np.abs(array) < 1 << 62) & (array == np.round(array))).all():
        raise ValueError(f"{name}: expected whole numbers, got {np.array2string(given, threshold=8)}")
    return array.astype(np.int64)
