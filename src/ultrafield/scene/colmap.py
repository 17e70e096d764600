"""COLMAP models: cameras and poses of registered images, in text or binary files, with or without rigs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SceneError
from ..names import check_name
from .capture import list_capture
from .colmap_files import (
    ColmapCamera,
    ColmapImage,
    Numbers,
    count_images,
    model_file,
    read_cameras,
    read_frames,
    read_images,
    read_rigs,
)
from .frames import Frame, Listing, ListingOptions, Warn, pose_of
from .lens_models import MODELS, PANORAMA
from .listed import with_pictures
from .optics import Optics, with_lens
from .pictures import view_names

_MOST = 1e9  # of a parameter
_PLACES = ("", "sparse", "colmap/sparse", "colmap")  # folders below a scene that hold models, or are one


def is_model(folder: Path) -> bool:
    """Whether a folder is a COLMAP model."""
    return model_file(folder, "cameras") is not None and model_file(folder, "images") is not None


def find_models(root: Path) -> list[Path]:
    """The models of a scene folder: those of the first place that has any, the largest first."""
    for place in _PLACES:
        folder = root / place
        if not folder.is_dir():
            continue
        models = [item for item in (folder, *_nested(folder)) if is_model(item)]
        if models:
            return sorted(models, key=lambda item: -_count(item))
    return []


def _nested(folder: Path) -> list[Path]:
    """The folders in a folder `sparse`, each of which may be a model."""
    if folder.name != "sparse" or not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir())


def check_whole(root: Path) -> None:
    """Raise `SceneError` if a place for models holds one of the two files that a model needs, but not the other.

    In the scene folder itself only binary files count: `images.txt` may be any list.
    """
    for folder in (folder for place in _PLACES for folder in (root / place, *_nested(root / place))):
        files = {stem: model_file(folder, stem) for stem in ("cameras", "images")}
        there = [file.name for file in files.values() if file is not None and (folder != root or file.suffix == ".bin")]
        if len(there) == 1:
            lacking = next(stem for stem, file in files.items() if file is None)
            raise SceneError(f"{folder}: holds {there[0]}, but no {lacking}.bin or {lacking}.txt; a model needs both")


def scene_of_model(model: Path) -> Path:
    """The scene folder that a model belongs to, as programs lay them out: `SCENE/sparse/0`, `SCENE/colmap/sparse/0`."""
    folder = model.parent if model.parent.name == "sparse" else model
    root = folder.parent if folder.name == "sparse" else folder
    return root.parent if root.name == "colmap" and not (root / "images").is_dir() else root


def list_colmap(root: Path, model: Path, options: ListingOptions) -> Listing:
    """List the registered images of a model (`list_capture`).

    The pictures may be reduced ones; the model's cameras are scaled to their size.

    Args:
        root: The scene folder.
        model: The folder of the model.
        options: How it is listed.

    Raises:
        SceneError: A file that cannot be used, a camera model that shows all directions, pictures missing.
    """
    frames = with_pictures(model_frames(model), root, options.images, usual=True)
    return list_capture("colmap", root, model_file(model, "images") or model, frames, options)


def model_frames(model: Path) -> list[Frame]:
    """The registered images of a model as frames without files; errors are those of `list_colmap`."""
    file = model_file(model, "images")
    cameras_file = model_file(model, "cameras")
    if file is None or cameras_file is None:
        raise SceneError(f"{model}: holds no COLMAP model (cameras and images, .bin or .txt)")
    images, cameras = read_images(file), read_cameras(cameras_file)
    if not images:
        raise SceneError(f"{file}: lists no registered images")
    poses = _rig_poses(model)
    optics = {number: _optics(camera, f"{cameras_file}: camera {number}") for number, camera in cameras.items()}
    names = view_names([image.name for image in images.values()], file)
    frames = []
    for (number, image), name in zip(images.items(), names, strict=True):
        where = f"{file}: image {number}"
        if image.camera not in optics:
            raise SceneError(f"{where}: is of camera {image.camera}, which {cameras_file.name} lacks")
        frames.append(_frame(image, name, poses.get(number, image.pose), optics[image.camera], where))
    return frames


def choose_model(models: list[Path], warn: Warn) -> Path:
    """The largest of a scene's models, listed in that order; says so if there are several."""
    if len(models) > 1:
        others = ", ".join(f"{model.name} with {_count(model)}" for model in models[1:])
        largest = models[0]
        warn(
            f"{largest.parent}: holds {len(models)} models; the largest is used, {largest.name} with {_count(largest)} "
            f"images (not {others}); name the folder of another one to use it"
        )
    return models[0]


def _count(model: Path) -> int:
    file = model_file(model, "images")
    return 0 if file is None else count_images(file)


def _frame(image: ColmapImage, name: str, pose: Numbers, optics: Optics, where: str) -> Frame:
    check_name(name, where)
    rotation, translation = _motion(pose, where)
    c2w, _ = pose_of(rotation.T, -rotation.T @ translation, where, "its pose")
    return Frame(name, image.name, None, where, c2w, optics)


def _optics(camera: ColmapCamera, where: str) -> Optics:
    """The lens of a camera; its pixel centres lie at +0.5, as ours."""
    if camera.model == PANORAMA:
        raise SceneError(f"{where}: is {PANORAMA}, which shows all directions; cut its pictures into perspective ones")
    values = camera.parameters
    if not all(np.isfinite(value) and abs(value) <= _MOST for value in values):
        raise SceneError(f"{where}: has a parameter that is not finite or too large")
    if not all(1 <= edge <= 1 << 20 for edge in camera.size):
        raise SceneError(f"{where}: has the size {camera.size[0]}x{camera.size[1]}")
    model = MODELS[camera.model]
    focal = (values[0], values[model.focals - 1])
    if min(focal) <= 0:
        raise SceneError(f"{where}: must have a positive focal length, got {min(focal):g}")
    centre = (values[model.focals], values[model.focals + 1])
    return with_lens(Optics(camera.size, focal, centre=centre), model.lens, values[model.focals + 2 :])


def _rig_poses(model: Path) -> dict[int, Numbers]:
    """Poses of images by their numbers where rigs tell them, as COLMAP itself takes them; none without rigs."""
    rigs_file, frames_file = model_file(model, "rigs"), model_file(model, "frames")
    if rigs_file is None or frames_file is None:
        return {}
    rigs = read_rigs(rigs_file)
    poses: dict[int, Numbers] = {}
    for number, frame in read_frames(frames_file).items():
        where = f"{frames_file}: frame {number}"
        if frame.rig not in rigs:
            raise SceneError(f"{where}: is of rig {frame.rig}, which {rigs_file.name} lacks")
        for kind, sensor, item in frame.data:
            mounted = rigs[frame.rig].get((kind, sensor))
            if kind == "CAMERA" and mounted is not None:
                poses[item] = _composed(mounted, frame.pose, where)
    return poses


def _composed(outer: Numbers, inner: Numbers, where: str) -> Numbers:
    """The motion that does `inner` first, then `outer`."""
    if outer == (1.0, *[0.0] * 6):
        return inner
    from scipy.spatial.transform import Rotation

    (first, shift), (second, offset) = _motion(inner, where), _motion(outer, where)
    x, y, z, w = Rotation.from_matrix(second @ first).as_quat().tolist()
    return (w, x, y, z, *(second @ shift + offset).tolist())


def _motion(pose: Numbers, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [3, 3] and translation [3] of qw qx qy qz tx ty tz."""
    quaternion = np.array(pose[:4])
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.linalg.norm(quaternion)
    if not 1e-9 < length < np.inf:
        raise SceneError(f"{where}: its pose must have a quaternion that is a rotation, got {list(pose[:4])}")
    w, x, y, z = quaternion / length
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return rotation, np.array(pose[4:])
