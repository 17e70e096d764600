"""LLFF's `poses_bounds.npy`: a row of seventeen numbers for each picture, in the order of the pictures' names.

The first fifteen are a 3 x 5 matrix: the camera's axes in its world (down, right, backwards), its position, and height,
width and focal length of the picture; the last two are the nearest and farthest depth. The principal point is the
middle of the picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SceneError
from ..reading import read_npy
from .capture import list_capture
from .frames import Frame, Listing, ListingOptions, pose_of
from .listed import reduced_folders, with_pictures
from .optics import Optics
from .pictures import has_ending, view_names

FILE = "poses_bounds.npy"
_NUMBERS = 17


def list_llff(root: Path, source: Path, options: ListingOptions) -> Listing:
    """List the pictures of an LLFF scene (`list_capture`).

    Args:
        root: The scene folder.
        source: Its `poses_bounds.npy`.
        options: How it is listed.

    Raises:
        SceneError: An array that is none of LLFF's, or another number of pictures than of poses.
    """
    rows = read_npy(source)
    if rows.ndim != 2 or rows.shape[1] != _NUMBERS or rows.dtype.kind != "f" or len(rows) == 0:
        raise SceneError(
            f"{source}: expected an array [N, {_NUMBERS}] of floats, found {list(rows.shape)} {rows.dtype}"
        )
    pictures = _pictures(root, len(rows), source, options.images)
    names = view_names(pictures, source)
    frames = []
    for index, (row, listed, name) in enumerate(zip(rows.astype(np.float64), pictures, names, strict=True)):
        where = f"{source}: row {index}"
        matrix = row[:15].reshape(3, 5)
        down, right, back, centre = matrix[:, :4].T
        c2w, _ = pose_of(np.stack([right, down, -back], axis=1), centre, where, "its matrix")
        frames.append(Frame(name, listed, None, where, c2w, _optics(matrix[:, 4], where)))
    images = options.images
    frames = with_pictures(frames, root if images is None else images, None, usual=False)
    return list_capture("llff", root, source, frames, options)


def _optics(column: np.ndarray, where: str) -> Optics:
    height, width, focal = column.tolist()
    if not (1 <= width <= 1 << 20 and 1 <= height <= 1 << 20 and 0 < focal < 1e9):
        raise SceneError(f"{where}: must hold height, width and focal length, got {column.tolist()}")
    return Optics((round(width), round(height)), (focal, focal))


def _pictures(root: Path, count: int, source: Path, images: Path | None) -> list[str]:
    """Pictures of the first folder that has as many as there are poses, relative to the root, or to `images`."""
    usual = root / "images"
    folders = [images] if images is not None else [usual, *reduced_folders(usual)]
    numbers = []
    for folder in folders:
        if not folder.is_dir():
            continue
        names = sorted(entry.name for entry in folder.iterdir() if has_ending(entry.name) and entry.name[0] != ".")
        if len(names) == count:
            return names if images is not None else [f"{folder.name}/{name}" for name in names]
        numbers.append(f"{len(names)} in {folder.name}")
    found = ", ".join(numbers) or f"no folder {folders[0].name}"
    raise SceneError(f"{source}: lists {count} poses, but there are other numbers of pictures ({found})")
