"""Lenses as transforms files describe them, and whether a lens can have taken a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..cameras import Cameras, Lens, pixel_directions
from ..errors import SceneError
from .values import as_float, flag, number, positive, shown

_MODELS = {
    "PINHOLE": Lens.PINHOLE,
    "SIMPLE_PINHOLE": Lens.PINHOLE,
    "SIMPLE_RADIAL": Lens.OPENCV,
    "RADIAL": Lens.OPENCV,
    "OPENCV": Lens.OPENCV,
    "FULL_OPENCV": Lens.OPENCV,
    "OPENCV_FISHEYE": Lens.FISHEYE,
    "SIMPLE_RADIAL_FISHEYE": Lens.FISHEYE,
    "RADIAL_FISHEYE": Lens.FISHEYE,
}
_RATIONAL = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_FEWER = {"SIMPLE_RADIAL": 1, "RADIAL": 2, "SIMPLE_RADIAL_FISHEYE": 1, "RADIAL_FISHEYE": 2}  # parameters from k1 on
_LISTED = ("k1", "k2", "k3", "k4", "p1", "p2")  # order in nerfstudio's distortion_params
_OTHER_LENSES = ("equirectangular", "latlong", "ftheta_p0")  # keys of instant-ngp for lenses that we lack

_LARGEST_EDGE = 1 << 20  # pixels of a picture's edge
_FOCAL = (0.01, 1000.0)  # focal lengths in edges of the picture that are believed: fields of view of 178° and 0.06°
_OFF_CENTRE = 10.0  # edges of the picture between its centre and the principal point that are believed
_BENDING = 20.0  # factor by which a lens may stretch or shrink half of the picture
_WITH_RAYS = 0.01  # part of the picture that must have viewing rays
_SAMPLES = 16  # rows and columns of pixels that are looked at


@dataclass(frozen=True)
class Optics:
    """A frame's lens as listed; whatever is missing follows from the picture's size.

    Attributes:
        size: Width and height that the numbers below belong to; None if not listed.
        focal: fx and fy in pixels, None where not listed.
        angle: Horizontal and vertical field of view in radians, None where not listed.
        centre: cx and cy in pixels, None where not listed.
        lens: Lens model.
        distortion: Its parameters, zero-padded [8].
    """

    size: tuple[int, int] | None = None
    focal: tuple[float | None, float | None] = (None, None)
    angle: tuple[float | None, float | None] = (None, None)
    centre: tuple[float | None, float | None] = (None, None)
    lens: Lens = Lens.PINHOLE
    distortion: tuple[float, ...] = (0.0,) * 8

    def intrinsics(self, width: int, height: int) -> np.ndarray:
        """fx, fy, cx, cy [4] for a picture of this size, of the aspect ratio listed.

        A missing focal length follows from the field of view, else from the other axis; a missing principal point is
        the picture's centre.
        """
        listed = self.size or (width, height)
        focal = [
            value if value is not None else None if angle is None else 0.5 * side / math.tan(0.5 * angle)
            for value, angle, side in zip(self.focal, self.angle, listed, strict=True)
        ]
        fx = focal[0] if focal[0] is not None else focal[1]
        fy = focal[1] if focal[1] is not None else focal[0]
        if fx is None or fy is None:
            raise ValueError("optics: neither a focal length nor an angle")
        cx, cy = (0.5 * side if value is None else value for value, side in zip(self.centre, listed, strict=True))
        scale = np.array([width / listed[0], height / listed[1]])
        return np.array([fx, fy, cx, cy]) * np.concatenate([scale, scale])


def parse_optics(values: dict[str, Any], where: str) -> Optics:
    """The lens that the keys of nerfstudio, instant-ngp and Blender files describe.

    `k4` is the factor of r⁸, as in nerfstudio, unless `k5` or `k6` stand beside it: then all are those of OpenCV's
    rational lens.

    Args:
        values: The file's keys, updated with the frame's.
        where: File and item, for messages.

    Raises:
        SceneError: An unknown lens model, a number that is none or cannot be meant, or neither a focal length nor an
            angle.
    """
    model = _model(values, where)
    lens = _MODELS[model]
    focal = (positive(values, "fl_x", where), positive(values, "fl_y", where))
    angle = (_angle(values, "camera_angle_x", where), _angle(values, "camera_angle_y", where))
    if all(item is None for item in focal + angle):
        raise SceneError(f"{where}: needs 'fl_x' or 'camera_angle_x'")
    parameters = _parameters(values, model, where)
    if lens is Lens.OPENCV and not any(parameters):
        lens = Lens.PINHOLE
    elif lens is Lens.OPENCV and model != "FULL_OPENCV" and parameters[5] and not {"k5", "k6"} & values.keys():
        lens = Lens.BROWN
    return Optics(
        size=_size(values, where),
        focal=focal,
        angle=angle,
        centre=(number(values, "cx", where), number(values, "cy", where)),
        lens=lens,
        distortion=(*parameters, *[0.0] * (8 - len(parameters))),
    )


def check_optics(optics: Optics, size: tuple[int, int], where: str) -> None:
    """Raise `SceneError` unless a picture of `size` (width, height) can have been taken through a lens.

    Refused are fields of view so small or large, and distortion so strong, that nothing could be seen.
    """
    intrinsics = optics.intrinsics(*size)
    for axis, focal, centre, edge in zip("xy", intrinsics[:2], intrinsics[2:], size, strict=True):
        if not _FOCAL[0] <= focal / edge <= _FOCAL[1]:
            raise SceneError(
                f"{where}: implausible lens: a focal length of {focal:g} pixels (fl_{axis}, camera_angle_{axis}) for a "
                f"picture of {size[0]}x{size[1]} pixels"
            )
        if abs(centre - 0.5 * edge) > _OFF_CENTRE * edge:
            raise SceneError(
                f"{where}: implausible lens: 'c{axis}' of {centre:g} pixels for a picture of {size[0]}x{size[1]} pixels"
            )
    if optics.lens is not Lens.PINHOLE and not _has_rays(optics, intrinsics, size):
        raise SceneError(f"{where}: implausible lens: with its distortion the picture has no viewing rays")


def _model(values: dict[str, Any], where: str) -> str:
    """The lens model; files that name none have OpenCV's, as instant-ngp writes it."""
    for key in _OTHER_LENSES:
        if values.get(key):
            raise SceneError(f"{where}: {key!r} stands for a lens that is not supported")
    model = values.get("camera_model")
    if model is None:
        model = "OPENCV_FISHEYE" if flag(values, "is_fisheye", where) else "OPENCV"
    if not isinstance(model, str) or model not in _MODELS:
        raise SceneError(f"{where}: 'camera_model' must be one of {', '.join(_MODELS)}, got {shown(model)}")
    return model


def _size(values: dict[str, Any], where: str) -> tuple[int, int] | None:
    """Width and height, None unless both are listed."""
    width, height = (positive(values, key, where, least=1, most=_LARGEST_EDGE) for key in ("w", "h"))
    return None if width is None or height is None else (round(width), round(height))


def _angle(values: dict[str, Any], key: str, where: str) -> float | None:
    """A field of view in radians."""
    value = number(values, key, where, least=-math.inf, most=math.inf)
    if value is not None and not 1e-6 <= value <= math.pi - 1e-6:
        raise SceneError(f"{where}: {key!r} must lie between 0 and pi, got {value:g}")
    return value


def _parameters(values: dict[str, Any], model: str, where: str) -> list[float]:
    """The distortion parameters of a model, in the order of its `Lens`."""
    lens = _MODELS[model]
    names = {Lens.PINHOLE: (), Lens.OPENCV: _RATIONAL, Lens.FISHEYE: ("k1", "k2", "k3", "k4")}[lens]
    listed = values.get("distortion_params")
    if listed is not None and names:
        values = values | _listed_parameters(listed, where)
    known = names if model not in _FEWER else tuple(f"k{order + 1}" for order in range(_FEWER[model]))
    return [number(values, name, where) or 0.0 if name in known else 0.0 for name in names]


def _listed_parameters(listed: Any, where: str) -> dict[str, Any]:
    """nerfstudio's `distortion_params` under the parameters' own names."""
    if not isinstance(listed, list) or len(listed) != len(_LISTED) or any(as_float(item) is None for item in listed):
        raise SceneError(f"{where}: 'distortion_params' must be {len(_LISTED)} numbers, got {shown(listed)}")
    return dict(zip(_LISTED, listed, strict=True))


def _has_rays(optics: Optics, intrinsics: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether part of the picture has viewing rays that are not all but one."""
    flat = Cameras.pinhole(np.eye(3, 4), intrinsics, size)
    cameras = replace(flat, lenses=np.array([optics.lens]), distortion=np.array([optics.distortion]))
    stride = max(1, max(size) // _SAMPLES)
    rays, straight = (
        np.hypot(*np.moveaxis(pixel_directions(item, 0, stride=stride)[..., :2], -1, 0)).ravel()
        for item in (cameras, flat)
    )
    if np.isfinite(rays).mean() < _WITH_RAYS:
        return False
    bent = np.isfinite(rays) & (straight > 0)  # the ray along the axis bends under no lens
    return not bent.any() or bool(1 / _BENDING <= np.median(rays[bent] / straight[bent]) <= _BENDING)
