"""COLMAP's camera models, and the lenses that stand for them here."""

from __future__ import annotations

from dataclasses import dataclass

from ..cameras import Lens

RATIONAL = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_ROUND = ("k1", "k2", "k3", "k4")
_PRISM = ("k1", "k2", "p1", "p2", "k3", "k4", "sx1", "sy1", "shear")
_ARIA = ("k0", "k1", "k2", "k3", "k4", "k5", "p0", "p1", "s0", "s1", "s2", "s3")


@dataclass(frozen=True)
class LensModel:
    """A camera model.

    Attributes:
        lens: Its lens.
        names: Names of its distortion parameters in transforms files, in the order of the lens's.
        focals: Focal lengths that a COLMAP model lists, one or two; the principal point follows them.
        listed: Distortion parameters that a COLMAP model lists after that, the first ones of the lens.
    """

    lens: Lens
    names: tuple[str, ...]
    focals: int
    listed: int


MODELS = {
    "PINHOLE": LensModel(Lens.PINHOLE, (), 2, 0),
    "SIMPLE_PINHOLE": LensModel(Lens.PINHOLE, (), 1, 0),
    "SIMPLE_RADIAL": LensModel(Lens.OPENCV, RATIONAL[:1], 1, 1),
    "RADIAL": LensModel(Lens.OPENCV, RATIONAL[:2], 1, 2),
    "OPENCV": LensModel(Lens.OPENCV, RATIONAL, 2, 4),  # some transforms files list more than COLMAP
    "FULL_OPENCV": LensModel(Lens.OPENCV, RATIONAL, 2, 8),
    "OPENCV_FISHEYE": LensModel(Lens.FISHEYE, _ROUND, 2, 4),
    "SIMPLE_RADIAL_FISHEYE": LensModel(Lens.FISHEYE, _ROUND[:1], 1, 1),
    "RADIAL_FISHEYE": LensModel(Lens.FISHEYE, _ROUND[:2], 1, 2),
    "SIMPLE_FISHEYE": LensModel(Lens.FISHEYE, (), 1, 0),
    "FISHEYE": LensModel(Lens.FISHEYE, (), 2, 0),
    "THIN_PRISM_FISHEYE": LensModel(Lens.THIN_PRISM_FISHEYE, _PRISM, 2, 8),
    "RAD_TAN_THIN_PRISM_FISHEYE": LensModel(Lens.FISHEYE624, _ARIA, 2, 12),
    "FOV": LensModel(Lens.FOV, ("omega",), 2, 1),
    "SIMPLE_DIVISION": LensModel(Lens.DIVISION, ("k",), 1, 1),
    "DIVISION": LensModel(Lens.DIVISION, ("k",), 2, 1),
    "EUCM": LensModel(Lens.EUCM, ("alpha", "beta"), 2, 2),
    "FISHEYE624": LensModel(Lens.FISHEYE624, _ARIA, 2, 12),  # nerfstudio's name
}

PANORAMA = "EQUIRECTANGULAR"  # shows all directions, which a picture with a depth along z cannot
# COLMAP's numbers of its models: their places in this list.
COLMAP_NAMES = (
    *("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV", "FOV"),
    *("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE"),
    *("SIMPLE_DIVISION", "DIVISION", "SIMPLE_FISHEYE", "FISHEYE", "EUCM", PANORAMA),
)
