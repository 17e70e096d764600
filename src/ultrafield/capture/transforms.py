"""`transforms.json` of a scene folder, in nerfstudio's form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cameras import Lens, Similarity
from ..cameras.model import OPENGL_AXES
from ..scene.lens_models import MODELS
from ..scene.optics import Optics

_NAMES = {  # of lenses, as `camera_model`
    Lens.PINHOLE: "PINHOLE",
    Lens.BROWN: "OPENCV",
    Lens.FISHEYE: "OPENCV_FISHEYE",
    Lens.FOV: "FOV",
    Lens.DIVISION: "DIVISION",
    Lens.EUCM: "EUCM",
    Lens.THIN_PRISM_FISHEYE: "THIN_PRISM_FISHEYE",
    Lens.FISHEYE624: "RAD_TAN_THIN_PRISM_FISHEYE",
}
_SMALLEST_BOX, _LARGEST_BOX = 1.0, 128.0
_BOX_SHARE = 0.98  # of what pictures see of the points: what the box must hold
NGP_SCALE = 0.33  # instant-ngp's box is as wide as its scale after positions were multiplied by this


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture of the scene folder.

    Attributes:
        path: Its file, relative to the folder.
        size: Width and height.
        c2w: Its pose [3, 4], OpenCV axes, in the folder's frame.
        optics: Its lens, of this or another size.
        mask: The picture of its pixels to use, relative to the folder; None if all are.
        circle: As `Frame.circle`.
    """

    path: str
    size: tuple[int, int]
    c2w: np.ndarray
    optics: Optics
    mask: str | None = None
    circle: float | None = None


def transforms(
    shots: Sequence[Shot],
    *,
    moved: Similarity | None,
    box: float | None,
) -> dict[str, Any]:
    """The content of `transforms.json`.

    Args:
        shots: The pictures.
        moved: From the source's frame to the folder's, where others may want to know.
        box: `aabb_scale`.
    """
    lenses = [_lens(shot) for shot in shots]
    shared = {key: value for key, value in lenses[0].items() if all(lens.get(key) == value for lens in lenses)}
    frames = []
    for shot, lens in zip(shots, lenses, strict=True):
        matrix = np.concatenate([shot.c2w * OPENGL_AXES, [[0.0, 0.0, 0.0, 1.0]]])
        frame = {"file_path": shot.path, "transform_matrix": matrix.tolist()}
        frame |= {} if shot.mask is None else {"mask_path": shot.mask}
        frames.append(frame | {key: value for key, value in lens.items() if key not in shared})
    content = shared | ({} if box is None else {"aabb_scale": box})
    if moved is not None:
        shift = moved.translation / moved.scale
        content["applied_transform"] = np.concatenate([moved.rotation, shift[:, None]], axis=1).tolist()
        content["applied_scale"] = moved.scale
    return content | {"frames": frames}


def box_scale(points: np.ndarray, tracks: np.ndarray) -> float | None:
    """instant-ngp's `aabb_scale`, a power of two, of the box that holds what cameras see; None without points.

    Args:
        points: Points [P, 3] in the frame of the scene folder.
        tracks: How many pictures see each [P].
    """
    if len(points) == 0:
        return None
    distances = np.abs(points).max(axis=1)
    order = np.argsort(distances)
    share = np.cumsum(tracks[order]) / tracks.sum()
    half = float(distances[order[min(int(np.searchsorted(share, _BOX_SHARE)), len(order) - 1)]])
    wanted = 2.0 ** np.ceil(np.log2(max(half, 1e-6) * 2 * NGP_SCALE))
    return float(np.clip(wanted, _SMALLEST_BOX, _LARGEST_BOX))


def _lens(shot: Shot) -> dict[str, Any]:
    """Keys of a picture's lens at its own size."""
    width, height = shot.size
    optics = shot.optics
    fx, fy, cx, cy = optics.intrinsics(width, height).tolist()
    lens, parameters = optics.lens, optics.distortion
    name = _NAMES[lens] if lens is not Lens.OPENCV else "FULL_OPENCV" if any(parameters[5:]) else "OPENCV"
    keys = {"camera_model": name, "w": width, "h": height, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy}
    names = [*MODELS[name].names]
    if lens is Lens.BROWN:
        names[6:] = ["shear"]  # k5 and k6 are OpenCV's
    for key, value in zip(names, parameters, strict=False):
        if value or (name == "OPENCV" and key in ("k1", "k2", "p1", "p2")):
            keys[key] = value
    if shot.circle is not None:
        keys["fisheye_crop_radius"] = shot.circle * width / (optics.size or shot.size)[0]
    return keys
