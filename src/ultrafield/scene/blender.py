"""Blender-HS and NeRF-synthetic: transforms_{train,val,…}.json with cameras around the origin."""

from __future__ import annotations

from pathlib import Path

from .frames import Frame, Listing, Warn, drop_missing, poses
from .nerfstudio import parse_frames, read_transforms
from .normalize import OBJECT_NEAR, radius_similarity

WHITE = (1.0, 1.0, 1.0)


def is_hierarchical(root: Path) -> bool:
    """Whether the folder holds segmentations, which tell Blender-HS from NeRF-synthetic."""
    return any(folder.is_dir() for folder in root.glob("*_seg"))


def list_blender(root: Path, *, layout: str, allow_missing: bool | None, warn: Warn) -> Listing:
    """List the frames of a Blender-HS or NeRF-synthetic scene, in the order of their files.

    The scene is scaled so that the training cameras lie at distance 1.5 from the origin on average. (The published code
    scales every camera to 1.5 by itself, which is the same where all have one distance, and tears the scene apart where
    they have not.)

    Args:
        root: The scene folder.
        layout: What to call it, "blender-hs" or "nerf-synthetic"; both are read alike.
        allow_missing: As for `load_scene`.
        warn: Told about missing pictures and repaired poses.

    Raises:
        SceneError: Broken JSON, a bad frame, pictures missing.
    """
    splits: dict[str, tuple[Frame, ...]] = {}
    for split, file in _split_files(root).items():
        frames = tuple(parse_frames(file, read_transforms(file), warn=warn))
        if split != "val_rotate":  # rendered by us; the dataset need not hold pictures of it
            frames = drop_missing(
                root, file.name, frames, allow_missing=allow_missing, warn=warn, optional=split != "train"
            )
        if frames:
            splits[split] = frames
    similarity = radius_similarity(poses(splits["train"]), str(root / "transforms_train.json"))
    return Listing(layout, splits, similarity, WHITE, 0.5, OBJECT_NEAR)


def split_file(root: Path, split: str) -> Path | None:
    """The file that lists a split's frames, None if there is none."""
    return _split_files(root).get(split)


def _split_files(root: Path) -> dict[str, Path]:
    """The transforms file of each split."""
    names = {
        "val": ("transforms_val.json", "transforms_test.json"),  # NeRF-synthetic without validation views
        "val_rotate": ("transforms_val_rotate.json", "transforms_val_rotate_90.json"),
    }
    files = {"train": root / "transforms_train.json"}  # listed even if it is missing: reading it says so
    for split, choices in names.items():
        present = [root / name for name in choices if (root / name).is_file()]
        if present:
            files[split] = present[0]
    return files
