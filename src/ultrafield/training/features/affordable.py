"""Training views at a size whose pixels fit into memory, with what features keep of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...budget import memory
from ...cameras.pixels import resize_nearest
from ...masks.hierarchy import resized_mask_set
from ...scene import Scene, Split, View
from ...scene.images import resize

_BYTES_PER_PIXEL = 256  # colour, masks, surface samples and voxel of a training pixel, and what finding them takes


def affordable(scene: Scene, note: Callable[[str], None]) -> Scene:
    """The scene with training views at a size whose pixels fit into the memory that may be taken.

    Features are functions of places: fewer pixels show the same ones.

    Args:
        scene: A scene whose training views have pictures and masks.
        note: Told, in one line, if the views are smaller than they were.

    Returns:
        The scene itself if all pixels fit; else one whose training views are smaller by a whole number.
    """
    pixels = int(scene.train.normalised_cameras.sizes.prod(axis=1).sum())
    factor = math.ceil(math.sqrt(pixels * _BYTES_PER_PIXEL / memory()))
    if factor <= 1:
        return scene
    note(
        f"features: pictures and masks are taken at 1/{factor} of their size, as their {pixels / 1e6:.0f} million "
        "pixels need more memory than may be taken; a larger --memory keeps more"
    )
    sizes = np.maximum(1, np.rint(scene.train.normalised_cameras.sizes / factor).astype(np.int64))
    views = [_shrunk(view, *size) for view, size in zip(scene.train, sizes.tolist(), strict=True)]
    train = Split(tuple(views), scene.train.normalised_cameras.resized(sizes), scene.train.to_user)
    return replace(scene, splits={**scene.splits, "train": train})


def _shrunk(view: View, width: int, height: int) -> View:
    image, size = view.image, (height, width)
    return view.changed(
        image=None if image is None else resize(image, width, height),
        masks=None if view.masks is None else resized_mask_set(view.masks, size),
        alpha=None if view.alpha is None else resize(view.alpha, width, height),
        valid=None if view.valid is None else resize_nearest(view.valid, size),
    )
