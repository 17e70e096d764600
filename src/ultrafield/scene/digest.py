"""Digest of what a scene holds, by which results tell what they were made from."""

from __future__ import annotations

import hashlib

import numpy as np

from ..masks import MaskSet
from .scene import Scene


def digest_scene(scene: Scene) -> str:
    """A short digest of the pictures, masks and cameras of a scene, and of the box to model."""
    digest = hashlib.sha256(repr((scene.half_extent, scene.near, scene.to_user.scale)).encode())
    arrays: list[np.ndarray | MaskSet | None] = [scene.to_user.rotation, scene.to_user.translation, scene.background]
    for name, split in sorted(scene.splits.items()):
        cameras = split.normalised_cameras
        arrays += (cameras.c2w, cameras.intrinsics, cameras.sizes, cameras.lenses, cameras.distortion)
        for view in split:
            digest.update(f"{name}/{view.name}".encode(errors="surrogateescape"))
            arrays += [view.image, view.alpha, view.valid, view.masks]
            if view.photograph is not None:
                arrays += [view.photograph.image, view.photograph.alpha, view.photograph.valid]
    for array in arrays:
        if isinstance(array, MaskSet):
            digest.update(f"{array.rows.dtype}{(*array.shape, array.rows.shape[1])}".encode())
            for band in array.bands():
                digest.update(band.data)
            continue
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
