"""Digests of what a scene holds, by which results tell what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..cameras.model import CAMERA_ARRAYS
from ..parallel import in_threads
from .scene import Scene


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
    """Digest a scene as it was read, whatever folder it lies in."""
    return SceneDigest(*in_threads(lambda digest: digest(scene), (_digest_pictures, _digest_masks), workers=2))


def _digest_pictures(scene: Scene) -> str:
    digest = hashlib.sha256(repr((scene.half_extent, scene.near, scene.to_user.scale)).encode())
    for name, split in sorted(scene.splits.items()):
        for view in split:
            digest.update(f"{name}/{view.name}".encode(errors="surrogateescape"))
    return _updated(digest, _arrays(scene))


def _arrays(scene: Scene) -> Iterator[np.ndarray | None]:
    """What is digested of pictures and cameras, one after the other."""
    yield from (scene.to_user.rotation, scene.to_user.translation, scene.background)
    for _, split in sorted(scene.splits.items()):
        yield from (getattr(split.normalised_cameras, name) for name in CAMERA_ARRAYS)
        for view, image in zip(split, in_threads(lambda view: view.image, split), strict=True):
            yield from (image, view.alpha, view.valid)
            if view.photograph is not None:
                yield from (view.photograph.image, view.photograph.alpha, view.photograph.valid)


def _digest_masks(scene: Scene) -> str:
    digest = hashlib.sha256()
    for name, split in sorted(scene.splits.items()):
        for view in split:
            digest.update(f"{name}/{view.name}".encode(errors="surrogateescape"))
            masks = view.masks
            digest.update(b"none" if masks is None else f"{masks.rows.dtype}{(*masks.shape, len(masks))}".encode())
            for band in () if masks is None else masks.bands():
                digest.update(band.data)
    return digest.hexdigest()[:16]


def _updated(digest: hashlib._Hash, arrays: Iterable[np.ndarray | None]) -> str:
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
