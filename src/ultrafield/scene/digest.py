"""Digests of what a scene holds, by which results tell what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..cameras.model import CAMERA_ARRAYS
from ..masks import MaskSet
from ..parallel import in_threads, workers_for
from .images import BYTES_PER_PIXEL
from .scene import Scene
from .view import View


@dataclass(frozen=True)
class SceneDigest:
    """Short digests of a scene.

    Attributes:
        pictures: Of its pictures and cameras, and of the box to model.
        masks: Of the masks of all views.
    """

    pictures: str
    masks: str

    @property
    def whole(self) -> str:
        """One digest of everything."""
        return hashlib.sha256(f"{self.pictures} {self.masks}".encode()).hexdigest()[:16]


def digest_scene(scene: Scene) -> SceneDigest:
    """Digest a scene as it was read, whatever folder it lies in; views are digested in threads."""
    pictures = hashlib.sha256(repr((scene.half_extent, scene.near, scene.to_user.scale)).encode())
    _update(pictures, (scene.to_user.rotation, scene.to_user.translation, scene.background))
    masks = hashlib.sha256()
    for name, split in sorted(scene.splits.items()):
        _update(pictures, (getattr(split.normalised_cameras, array) for array in CAMERA_ARRAYS))
        for view, (own_pictures, own_masks) in zip(
            split, in_threads(_digests_of, split, workers=workers_for(BYTES_PER_PIXEL * scene.most_pixels)), strict=True
        ):
            for digest, own in ((pictures, own_pictures), (masks, own_masks)):
                digest.update(f"{name}/{view.name}".encode(errors="surrogateescape") + own)
    return SceneDigest(pictures.hexdigest()[:16], masks.hexdigest()[:16])


def _digests_of(view: View) -> tuple[bytes, bytes]:
    """Of the pictures of a view, and of its masks."""
    pictures, masks, own = hashlib.sha256(), hashlib.sha256(), view.masks
    _update(pictures, (view.image, view.alpha, view.valid))
    if view.photograph is not None:
        _update(pictures, (view.photograph.image, view.photograph.alpha, view.photograph.valid))
    masks.update(b"none" if own is None else str(len(own)).encode())
    if own is not None and len(own):
        _update(masks, _canonical(own))
    return pictures.digest(), masks.digest()


def _canonical(masks: MaskSet) -> tuple[np.ndarray, np.ndarray]:
    """Distinct memberships that pixels have, sorted, and the number of each pixel's: equal for equal masks.

    Files may hold them in any order, repeat them, and list some that no pixel has.
    """
    used = np.zeros(len(masks.rows), bool)
    used[masks.numbers] = True
    rows, number = np.unique(masks.rows[used], axis=0, return_inverse=True)
    rank = np.zeros(len(used), np.min_scalar_type(len(rows)))
    rank[used] = number.reshape(-1)
    return rows, rank[masks.numbers]


def _update(digest: hashlib._Hash, arrays: Iterable[np.ndarray | None]) -> None:
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).data)
