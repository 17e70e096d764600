"""Digests of what a scene holds, by which results tell what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..cameras.model import CAMERA_ARRAYS
from ..parallel import in_threads, workers_for
from .images import BYTES_PER_PIXEL
from .scene import Scene
from .view import Split, View


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
            split, in_threads(_digests_of, split, workers=workers_for(_view_bytes(split))), strict=True
        ):
            for digest, own in ((pictures, own_pictures), (masks, own_masks)):
                digest.update(f"{name}/{view.name}".encode(errors="surrogateescape") + own)
    return SceneDigest(pictures.hexdigest()[:16], masks.hexdigest()[:16])


def _view_bytes(split: Split) -> int:
    """Working memory of one view."""
    return BYTES_PER_PIXEL * int(split.normalised_cameras.sizes.prod(axis=1).max(initial=0))


def _digests_of(view: View) -> tuple[bytes, bytes]:
    """Of the pictures of a view, and of its masks."""
    pictures, masks, own = hashlib.sha256(), hashlib.sha256(), view.masks
    _update(pictures, (view.image, view.alpha, view.valid))
    if view.photograph is not None:
        _update(pictures, (view.photograph.image, view.photograph.alpha, view.photograph.valid))
    masks.update(b"none" if own is None else str(len(own)).encode())
    if own is not None and len(own):
        order = np.lexsort(own.rows.T)  # sets of equal masks may have their rows in any order
        rank = np.empty(len(order), own.numbers.dtype)
        rank[order] = np.arange(len(order))
        _update(masks, (own.rows[order], rank[own.numbers]))
    return pictures.digest(), masks.digest()


def _update(digest: hashlib._Hash, arrays: Iterable[np.ndarray | None]) -> None:
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).data)
