"""Scenes that are hard on memory: one view of very many masks, large pictures, very many views."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ultrafield.io import write_image
from ultrafield.reading import read_image
from ultrafield.synth import SynthConfig, synthesize

GRIDS = (65, 26, 10)  # cells along an edge, of the masks that lie in one another


def many_masks(folder: Path, *, masks: int = 5000, size: int = 800, views: int = 8) -> None:
    """A still life of small views, the first of which is `size` pixels wide and has `masks` masks, nested in three."""
    _still_life(folder, size=96, train=views, val=2)
    _enlarge(folder / "train" / "r_0.png", size, size)
    _write_masks(folder, "train", "r_0", cells((size, size), masks))


def large_pictures(
    folder: Path, *, width: int = 3000, height: int = 2000, train: int = 6, val: int = 1, masks: int = 100
) -> None:
    """A still life in large pictures; all that is compared with them is as large."""
    _still_life(folder, size=256, train=train, val=val)
    for file in sorted(folder.rglob("*.png")) + sorted(folder.rglob("*.tif")):
        if "seg_clean" not in str(file):
            _enlarge(file, width, height)
    for index in range(train):
        number = len(list((folder / "train_seg" / f"r_{index}").iterdir()))
        shutil.rmtree(folder / "train_seg_hierarchy", ignore_errors=True)
        _write_masks(folder, "train", f"r_{index}", cells((height, width), masks - number), first=number)
    for name in ("exact", "train_seg_clean", "train_seg_clean_hierarchy", "val_seg_hierarchy"):
        shutil.rmtree(folder / name, ignore_errors=True)


def many_views(folder: Path, *, views: int = 2000, size: int = 32) -> None:
    """A still life in very many tiny pictures with a few masks each."""
    _still_life(folder, size=size, train=views, val=4)


def cells(size: tuple[int, int], count: int) -> Iterator[np.ndarray]:
    """`count` masks [H, W] bool, the cells of grids that lie in one another."""
    yielded = 0
    for along in GRIDS:
        rows, columns = (np.linspace(0, length, along + 1).round().astype(int) for length in size)
        for row in range(along):
            for column in range(along):
                if yielded == count:
                    return
                mask = np.zeros(size, bool)
                mask[rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = True
                yielded += 1
                yield mask


def _still_life(folder: Path, *, size: int, train: int, val: int) -> None:
    config = SynthConfig(
        size=size, train_views=train, val_views=val, supersampling=1, light_samples=1, sky_samples=1, threads=1
    )
    synthesize(None, folder, config, progress=False)


def _enlarge(file: Path, width: int, height: int) -> None:
    """Replace a square picture by its rows in the middle, enlarged; colours smoothly, ids and flags not."""
    import cv2

    picture = read_image(file)
    rows = round(len(picture) * height / width)
    first = (len(picture) - rows) // 2
    smooth = file.parent.name in ("train", "val", "val_rotate") and file.suffix == ".png"
    how = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    write_image(file, cv2.resize(picture[first : first + rows], (width, height), interpolation=how))


def _write_masks(folder: Path, split: str, view: str, masks: Iterator[np.ndarray], *, first: int = 0) -> None:
    """Write masks beside the first ones of a view, or in place of all if `first` is 0."""
    target = folder / f"{split}_seg" / view
    if first == 0:
        shutil.rmtree(target)
        for file in (folder / f"{split}_seg_hierarchy").glob(f"{view}_*.npy"):
            file.unlink()
    for index, mask in enumerate(masks, first):
        write_image(target / f"{index}.png", mask.astype(np.uint8) * 255)


def describe(folder: Path) -> str:
    """Number of training views and masks of a scene."""
    frames = json.loads((folder / "transforms_train.json").read_text())["frames"]
    masks = sum(1 for _ in (folder / "train_seg").rglob("*.png"))
    return f"{len(frames)} training views, {masks} masks"
