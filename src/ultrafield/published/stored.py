"""Views that the published validation wrote, as `3dseg.py` and the evaluation scripts read them; see `views`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras import Similarity
from ..errors import RunError, SceneError, check_shape
from ..names import check_name
from ..reading import read_json, read_npy
from ..removal import kinds
from ..scene.values import texts

_VIEW_LIST = "views.json"  # written last
_LARGEST = 1e6  # coordinate or depth
VIEW_FILES = kinds(
    r"(train_)?\d{3,}(_d|_f)?\.png",
    r"(train_)?\d{3,}_(d|surface|p)\.npy",
    r"(train_)?\d{3,}_f\.pth",
    r"\d{3,}_s/\d\.\d{3}\.png",
    r"(intrinsic|to_user)\.npy",
    r"views\.json",
)


@dataclass(frozen=True)
class ViewList:
    """Stems of the views in a folder: those of `--render_train`, and the test views in order."""

    training: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class PublishedView:
    """One view as 3D segmentation reads it: depth [H·W], surface points [H·W, 3], features [H·W, D], and its size."""

    depth: np.ndarray
    surface: np.ndarray
    features: np.ndarray | None
    shape: tuple[int, int]


def epoch_folders(root: Path) -> list[Path]:
    """The folders of rendered views of an experiment, by ascending epoch."""
    folders = (entry for entry in root.glob("*") if entry.is_dir() and entry.name.isdecimal())
    return sorted(folders, key=lambda entry: int(entry.name))


def last_written(root: Path) -> Path | None:
    """The folder of an experiment whose views were complete last, None if it has no folder of views.

    A checkpoint of few epochs may be rendered after one of more. Where no folder is complete, the highest epoch counts.
    """
    return max(epoch_folders(root), key=lambda folder: (_completed(folder), int(folder.name)), default=None)


def _completed(folder: Path) -> int:
    """When `write_views` ended in a folder, nanoseconds; 0 if it has not."""
    file = folder / _VIEW_LIST
    return file.stat().st_mtime_ns if file.is_file() else 0


def read_view_list(folder: Path) -> ViewList:
    """The views that the last `write_views` into a folder wrote.

    Raises:
        RunError: The list is missing or broken.
    """
    file = folder / _VIEW_LIST
    if not file.is_file():
        raise RunError(f"{file}: missing, so the views in this folder cannot be trusted; run train.py again")
    try:
        names = read_json(file)
        training, test = (texts(names, key, "its content") for key in ("training", "test"))
        if training is None or test is None:
            raise SceneError("expected the lists 'training' and 'test'")
        for name in (*training, *test):
            check_name(name, "a view")
    except (SceneError, AttributeError) as error:  # AttributeError: no object
        raise RunError(f"{file}: cannot be used ({error}); run train.py again") from None
    return ViewList(tuple(training), tuple(test))


def read_view(folder: Path, stem: str, *, features: bool) -> PublishedView:
    """Read one view that `write_views` wrote.

    Raises:
        RunError: A file is missing or broken.
    """
    surface = _read_numbers(folder / f"{stem}_surface.npy")
    if surface.ndim != 3 or surface.shape[2] != 3 or surface.size == 0:
        raise RunError(f"{folder / stem}_surface.npy: expected shape [H, W, 3], got {list(surface.shape)}")
    depth = _read_numbers(folder / f"{stem}_d.npy").ravel()
    pixels = surface.shape[0] * surface.shape[1]
    if depth.size != pixels:
        raise RunError(f"{folder / stem}_d.npy: expected {pixels} values, got {depth.size}")
    rows = _load_tensor(folder / f"{stem}_f.pth", pixels) if features else None
    return PublishedView(depth, surface.reshape(-1, 3), rows, surface.shape[:2])


def read_to_user(folder: Path) -> Similarity:
    """The map from the normalised to the user's frame that `write_views` stored."""
    file = folder / "to_user.npy"
    matrix = _read_numbers(file)
    try:
        check_shape("matrix", matrix, (4, 4))
        scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
        return Similarity(scale, matrix[:3, :3] / (scale or 1.0), matrix[:3, 3])
    except ValueError as error:
        raise RunError(f"{file}: cannot be used ({error}); run train.py again") from None


def similarity_matrix(similarity: Similarity) -> np.ndarray:
    """A similarity as [4, 4]."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = similarity.scale * similarity.rotation, similarity.translation
    return matrix


def _read_numbers(path: Path) -> np.ndarray:
    """An array of finite floats; coordinates are of a normalised frame, so that none is large."""
    array = read_npy(path, error=RunError)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8 or not (np.abs(array) <= _LARGEST).all():
        raise RunError(f"{path}: expected finite floats of up to {_LARGEST:g}; run train.py again")
    return array


def _load_tensor(path: Path, rows: int) -> np.ndarray:
    """Features [rows, D], float32."""
    import torch

    from ..training.checkpoint import load_archive

    if not path.is_file():
        raise RunError(f"{path}: no features; train with --ultrametric_weight and --euclidean_weight above 0")
    tensor = load_archive(path)
    if (
        not isinstance(tensor, torch.Tensor)
        or tensor.ndim != 2
        or len(tensor) != rows
        or not tensor.is_floating_point()
    ):
        raise RunError(f"{path}: not a tensor of features of {rows} pixels")
    features: np.ndarray = tensor.float().numpy()
    if not np.isfinite(features).all():
        raise RunError(f"{path}: holds features that are not finite; run train.py again")
    return features
