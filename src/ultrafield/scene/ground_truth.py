"""Exact segmentation, depth and co-visibility of Blender-HS scenes, for the metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..cameras.model import FARTHEST
from ..cameras.projection import PUBLISHED_DEPTH_RANGE
from ..errors import SceneError, reason_of
from ..masks.read import size_text
from ..parallel import in_threads
from ..reading import read_ids, read_image, read_npz
from .blender import split_file
from .nerfstudio import frame_names, read_transforms
from .normalize import PUBLISHED_RADIUS
from .scene import Scene
from .truth import GroundTruth

_EXACT = {"part": "iu", "object": "iu", "depth": "fiu"}  # arrays of exact/SPLIT.npz and the kinds that they may have
_ASPECT = 0.1  # logarithm of the factor by which aspect ratios of ids and pictures may differ


def load_ground_truth(scene: Scene, split: str) -> GroundTruth | None:
    """Read the exact ids of a split, with depth and co-visibility where the dataset has them.

    Ids come from `gt_seg/SPLIT/NAME_seg_{objects,collections}.tif` or, without these, from `exact/SPLIT.npz`; depth
    from the latter (exact) or from `SPLIT_depth/NAME_depth.png` (8 bits); visibility from `val_visible`.

    Args:
        scene: The scene, from `load_scene`.
        split: "train", "val" or "val_rotate".

    Returns:
        The ground truth of the split's views at its own size, which may differ from the working size; None if the
        scene has no such split or no ids for it.

    Raises:
        SceneError: A file is broken, holds what cannot be ids or depth, or does not fit the others or the pictures.
    """
    root = scene.root
    if root is None or split not in scene.splits:
        return None
    try:
        return _read(root, scene, split)
    except OSError as failure:
        raise SceneError(f"{failure.filename or root}: {reason_of(failure)}") from None


def _read(root: Path, scene: Scene, split: str) -> GroundTruth | None:
    """What `load_ground_truth` returns for a split that the scene has."""
    views = scene.splits[split].views
    names = tuple(view.name for view in views)
    exact = _read_exact(root, split, names)
    ids = _read_ids(root, split, names, exact)
    if ids is None:
        return None
    parts, objects = ids
    width, height = scene.splits[split].normalised_cameras.sizes[0].tolist()
    if not _similar_aspect(parts.shape[1:], (height, width)):
        expected = f"the aspect ratio of the pictures ({size_text((height, width))})"
        raise SceneError(f"{root}: {split}: expected part ids of {expected}, found {size_text(parts.shape[1:])}")
    depth, depth_exact = _read_depth(root, scene, split, names, exact)
    visible = _read_visible(root, split, names, parts.shape[1:])
    for name, array in (("depth", depth), ("objects", objects)):
        if array is not None and array.shape != parts.shape:
            raise SceneError(
                f"{root}: {split}: expected {name} of {size_text(parts.shape[1:])} like the part ids, "
                f"found {size_text(array.shape[1:])}"
            )
    return GroundTruth(names, parts, objects, depth, depth_exact, visible)


def _read_exact(root: Path, split: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of `exact/SPLIT.npz` for the views `names`, empty if there is no such file.

    The file has one item per frame that the transforms file lists, whether or not its picture is there.
    """
    file, listing = root / "exact" / f"{split}.npz", split_file(root, split)
    if listing is None or not file.is_file():
        return {}
    arrays = read_npz(file, _EXACT, error=SceneError)
    listed = frame_names(listing, read_transforms(listing))
    for key, array in arrays.items():
        if array.ndim != 3 or len(array) != len(listed) or array.size == 0:
            raise SceneError(
                f"{file}: expected {key!r} of shape ({len(listed)}, H, W) for the frames of {listing.name}, "
                f"found {array.shape}"
            )
        if array.dtype.kind not in _EXACT[key]:
            kind = "numbers" if key == "depth" else "integers"
            raise SceneError(f"{file}: expected {key!r} of {kind}, found {array.dtype}")
    index = {name: position for position, name in enumerate(listed)}
    unknown = [name for name in names if name not in index]
    if unknown:
        raise SceneError(f"{listing}: lists no view {unknown[0]!r} any more")
    chosen = {key: array[[index[name] for name in names]] for key, array in arrays.items()}
    if "depth" in chosen and not ((chosen["depth"] >= 0) & (chosen["depth"] < FARTHEST)).all():
        raise SceneError(f"{file}: 'depth' holds numbers that are negative, not finite or beyond {FARTHEST:g}")
    return chosen


def _read_ids(
    root: Path, split: str, names: Sequence[str], exact: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Part and object ids [V, H, W] int32, None unless there are both."""
    folder = root / "gt_seg" / split
    read = partial(read_ids, of_any=True)
    parts = _read_stack([folder / f"{name}_seg_objects.tif" for name in names], read)
    objects = _read_stack([folder / f"{name}_seg_collections.tif" for name in names], read)
    parts = exact.get("part") if parts is None else parts
    objects = exact.get("object") if objects is None else objects
    if parts is None or objects is None:
        return None
    return _as_ids(parts, root, split), _as_ids(objects, root, split)


def _as_ids(ids: np.ndarray, root: Path, split: str) -> np.ndarray:
    """Ids [V, H, W] as int32."""
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < 1 << 31:
        raise SceneError(f"{root}: {split}: expected ids from 0 to {(1 << 31) - 1}, found {ids.min()} to {ids.max()}")
    return ids.astype(np.int32)


def _read_depth(
    root: Path, scene: Scene, split: str, names: Sequence[str], exact: dict[str, np.ndarray]
) -> tuple[np.ndarray | None, bool]:
    """z-depth [V, H, W] float32, normalised units, 0 for none; and whether it is exact."""
    if "depth" in exact:
        return (exact["depth"] / scene.to_user.scale).astype(np.float32), True
    files = [root / f"{split}_depth" / f"{name}_depth.png" for name in names]
    codes = _read_stack(files)
    if codes is None:
        return None, False
    if codes.dtype != np.uint8:
        raise SceneError(f"{files[0]}: expected depth of 8 bits, found {codes.dtype}")
    depth = np.where(codes > 0, PUBLISHED_DEPTH_RANGE * (1.0 - codes / 256.0), 0.0)
    # The published depth belongs to cameras that are each scaled to one radius, ours to one scale for all of them.
    # Where the box was moved (`recentre`), its middle is not the point that cameras were scaled about.
    middle = scene.to_user.inverse().translation
    radii = np.linalg.norm(scene.splits[split].normalised_cameras.c2w[:, :, 3] - middle, axis=1)
    return (depth * (radii / PUBLISHED_RADIUS)[:, None, None]).astype(np.float32), False


def _read_visible(root: Path, split: str, names: Sequence[str], size: tuple[int, ...]) -> np.ndarray | None:
    """Pixels [V, H, W] bool whose surface is visible in the paired view too; None if the dataset lacks it."""
    if split == "val":
        files = [root / "val_visible" / f"{name}.png" for name in names]
    elif split == "val_rotate":
        files = [root / "val_visible" / f"{name.removesuffix('_rotate')}_rotate.png" for name in names]
    else:
        return None
    # Published pictures may be larger than the ids, which then are their lower right part.
    visible = _read_stack(files)
    if visible is None:
        return None
    visible = visible[:, -size[0] :, -size[1] :] != 0
    if visible.shape[1:] != size:
        raise SceneError(
            f"{files[0]}: expected {size_text(size)} like the part ids, found {size_text(visible.shape[1:])}"
        )
    return visible


def _read_stack(files: Sequence[Path], read: Callable[[Path], np.ndarray] = read_image) -> np.ndarray | None:
    """The first channels, or what else `read` gives, of pictures of one size [V, H, W]; None if none of them exists.

    Raises:
        SceneError: Some exist and others do not, a file is no picture of integers, sizes differ.
    """
    if not any(os.path.lexists(file) for file in files):
        return None
    layers: list[np.ndarray] = []
    for file, picture in zip(files, in_threads(read, files), strict=True):
        layer = picture if picture.ndim == 2 else picture[..., 0]
        if layer.dtype.kind not in "iu":
            raise SceneError(f"{file}: expected integers, found {layer.dtype}")
        if layers and layer.shape != layers[0].shape:
            expected = f"{size_text(layers[0].shape)} like {files[0].name}"
            raise SceneError(f"{file}: expected {expected}, found {size_text(layer.shape)}")
        layers.append(layer)
    return np.stack(layers)


def _similar_aspect(size: tuple[int, ...], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) can show the same; some published ids lack rows or columns at the border."""
    return abs(np.log(size[0] * other[1] / (size[1] * other[0]))) < _ASPECT
