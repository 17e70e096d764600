"""Lenses as transforms files describe them, and whether a lens can have taken a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..cameras import Cameras, Lens, pixel_directions
from ..cameras.model import PARAMETERS
from ..errors import SceneError
from .lens_models import MODELS
from .values import as_float, flag, number, positive, shown

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
        distortion: Its parameters, zero-padded to one of `PARAMETERS`.
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


def with_lens(optics: Optics, lens: Lens, parameters: Sequence[float]) -> Optics:
    """The optics with a lens and its parameters; a polynomial without any is a pinhole."""
    if lens in (Lens.OPENCV, Lens.BROWN) and not any(parameters):
        lens = Lens.PINHOLE
    return replace(optics, lens=lens, distortion=_padded(parameters))


def distortions(optics: Sequence[Optics]) -> np.ndarray:
    """Distortion parameters of lenses [N, 8], or [N, 12] if one of them needs more."""
    width = max(len(item.distortion) for item in optics)
    return np.array([_padded(item.distortion, width) for item in optics], np.float64)


def _padded(parameters: Sequence[float], width: int = 0) -> tuple[float, ...]:
    """Parameters with zeros after them, as many in all as `Cameras` takes, and at least `width`."""
    columns = next(count for count in PARAMETERS if count >= max(width, len(parameters)))
    return (*parameters, *[0.0] * (columns - len(parameters)))


def parse_optics(values: dict[str, Any], where: str) -> Optics:
    """The lens that the keys of nerfstudio, instant-ngp and Blender files describe.

    `k4` is the factor of r⁸, as in nerfstudio, unless `k5` or `k6` stand beside it: then all are those of OpenCV's
    rational lens. `shear` is our own (`cameras/brown.py`).

    Args:
        values: The file's keys, updated with the frame's.
        where: File and item, for messages.

    Raises:
        SceneError: An unknown lens model, a number that is none or cannot be meant, or neither a focal length nor an
            angle.
    """
    model = _model(values, where)
    lens = MODELS[model].lens
    focal = (positive(values, "fl_x", where), positive(values, "fl_y", where))
    angle = (_angle(values, "camera_angle_x", where), _angle(values, "camera_angle_y", where))
    if all(item is None for item in focal + angle):
        raise SceneError(f"{where}: needs 'fl_x' or 'camera_angle_x'")
    parameters = _parameters(values, model, where)
    if model == "OPENCV" and not {"k5", "k6"} & values.keys():
        shear = number(values, "shear", where) or 0.0
        if parameters[5] or shear:
            lens, parameters = Lens.BROWN, [*parameters[:6], shear]
    centre = (number(values, "cx", where), number(values, "cy", where))
    return with_lens(Optics(_size(values, where), focal, angle, centre), lens, parameters)


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
    if not isinstance(model, str) or model not in MODELS:
        raise SceneError(f"{where}: 'camera_model' must be one of {', '.join(MODELS)}, got {shown(model)}")
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
    names = MODELS[model].names
    listed = values.get("distortion_params")
    if listed is not None and names:
        order = names if MODELS[model].lens is Lens.FISHEYE624 else _LISTED
        values = values | _listed_parameters(listed, order, where)
    return [number(values, name, where) or 0.0 for name in names]


def _listed_parameters(listed: Any, order: tuple[str, ...], where: str) -> dict[str, Any]:
    """nerfstudio's `distortion_params` under the parameters' own names."""
    if not isinstance(listed, list) or len(listed) != len(order) or any(as_float(item) is None for item in listed):
        raise SceneError(f"{where}: 'distortion_params' must be {len(order)} numbers, got {shown(listed)}")
    return dict(zip(order, listed, strict=True))


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
