"""Blender-HS and NeRF-synthetic: transforms_{train,val,…}.json with cameras around the origin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..cameras import Cameras, Similarity
from ..reading import picture_size
from .frames import Frame, Listing, Warn, poses
from .nerfstudio import parse_frames, read_transforms
from .normalize import OBJECT_NEAR, object_similarity, radius_similarity
from .optics import check_optics
from .outliers import usual_views
from .splits import drop_missing

WHITE = (1.0, 1.0, 1.0)
_TEST = "transforms_test.json"


def is_hierarchical(root: Path) -> bool:
    """Whether the folder holds segmentations, which tell Blender-HS from NeRF-synthetic."""
    return any(folder.is_dir() for folder in root.glob("*_seg"))


def list_blender(root: Path, *, layout: str, recentre: bool, allow_missing: bool | None, warn: Warn) -> Listing:
    """List the frames of a Blender-HS or NeRF-synthetic scene, in the order of their files.

    The scene is scaled so that the training cameras lie at distance 1.5 from the origin on average, without those far
    beyond the others. (The published code scales every camera to 1.5 by itself, which is the same where all have one
    distance, and tears the scene apart where they have not.)

    Args:
        root: The scene folder.
        layout: What to call it, "blender-hs" or "nerf-synthetic"; both are read alike.
        recentre: Whether the box goes where the training cameras look instead (`object_similarity`).
        allow_missing: As for `load_scene`.
        warn: Told about missing pictures, repaired poses and outlying cameras.

    Raises:
        SceneError: Broken JSON, a bad frame, pictures missing.
    """
    splits: dict[str, tuple[Frame, ...]] = {}
    for split, file in _split_files(root).items():
        frames = tuple(parse_frames(file, read_transforms(file), warn=warn))
        if file.name == _TEST and not any(frame.file is not None for frame in frames):
            warn(f"{file}: none of the {len(frames)} images that it lists exists; it is ignored")
            continue
        if split != "val_rotate":  # rendered by us; the dataset need not hold pictures of it
            frames = drop_missing(
                root, file.name, frames, allow_missing=allow_missing, warn=warn, optional=split != "train"
            )
        if frames:
            splits[split] = frames
    source = root / "transforms_train.json"
    usual = usual_views(splits["train"], source, warn)
    similarity = _around_focus(usual, str(source)) if recentre else radius_similarity(poses(usual), str(source))
    return Listing(layout, splits, similarity, WHITE, 0.5, OBJECT_NEAR)


def split_file(root: Path, split: str) -> Path | None:
    """The file that lists a split's frames, None if there is none."""
    return _split_files(root).get(split)


def _around_focus(frames: Sequence[Frame], source: str) -> Similarity:
    """The similarity that brings what training cameras look at into the box."""
    sizes = [(0, 0) if frame.file is None else picture_size(frame.file) for frame in frames]
    for frame, size in zip(frames, sizes, strict=True):
        check_optics(frame.optics, size, frame.where)
    intrinsics = np.stack([frame.optics.intrinsics(*size) for frame, size in zip(frames, sizes, strict=True)])
    return object_similarity(Cameras.pinhole(poses(frames), intrinsics, np.array(sizes)), source)


def _split_files(root: Path) -> dict[str, Path]:
    """The transforms file of each split."""
    names = {
        "val": ("transforms_val.json", _TEST),  # NeRF-synthetic without validation views
        "val_rotate": ("transforms_val_rotate.json", "transforms_val_rotate_90.json"),
    }
    files = {"train": root / "transforms_train.json"}  # listed even if it is missing: reading it says so
    for split, choices in names.items():
        present = [root / name for name in choices if (root / name).is_file()]
        if present:
            files[split] = present[0]
    return files
