"""Models of other programs as scene folders: the pictures copied, the cameras in nerfstudio's form."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ..cameras import Similarity
from ..errors import SceneError
from ..io import copy_file, write_image
from ..parallel import in_threads, workers_for
from ..progress import track
from ..reading import picture_size, read_image
from ..scene.frames import Frame, ListingOptions, check_listed_size, poses
from ..scene.images import read_picture, read_valid
from ..scene.layout import Place, list_scene
from ..scene.normalize import DEFAULT_HALF_EXTENT
from ..scene.optics import check_optics
from ..scene.outliers import usual_views
from .pictures import write_like
from .placing import Placed
from .settings import ImportConfig
from .target import IMAGES, MASKS, Outcome, Picture
from .transforms import NGP_SCALE, Shot
from .undistort import Straight, is_straight, straighten, straightened
from .upright import upright

_BOUNDED = ("blender-hs", "nerf-synthetic", "partnet")
_BYTES_PER_PIXEL = 48  # while a picture is straightened


def import_model(
    place: Place, folder: Path, config: ImportConfig, options: ListingOptions, *, progress: bool
) -> Placed:
    """Copy the pictures of a model into a scene folder.

    Args:
        place: The model.
        folder: The scene folder.
        config: Settings.
        options: How the model is listed; nothing may be held out.
        progress: Whether to show a progress bar (on a terminal only).

    Raises:
        SceneError: A model that cannot be used, or one of a bounded scene, which needs no import.
    """
    if place.layout in _BOUNDED:
        raise SceneError(
            f"{place.root}: {place.layout} is read as it is; import has nothing to do: ultrafield run SCENE"
        )
    listing = list_scene(place, options, recentre=False)
    frames = [frame for split in listing.splits.values() for frame in split]
    usual = poses(usual_views(frames, place.model, lambda _: None))
    moved = Similarity() if config.keep_frame else upright(usual, str(place.model))
    sizes = [_checked_size(frame) for frame in frames]
    straight: dict[object, Straight] = {}
    for frame, size in zip(frames, sizes, strict=True):
        if config.undistort and not is_straight(frame.optics) and (frame.optics, size) not in straight:
            straight[frame.optics, size] = straighten(frame.optics, size)
    write = partial(_write, moved=moved, folder=folder, straight=straight)
    workers = workers_for(_BYTES_PER_PIXEL * max(width * height for width, height in sizes), most=4)
    jobs = list(zip(frames, sizes, strict=True))
    shots = list(track(in_threads(write, jobs, workers=workers), "Writing pictures", len(jobs), show=progress))
    box = None
    if place.layout == "nerfstudio" and listing.half_extent != DEFAULT_HALF_EXTENT:
        scale = moved.scale / listing.to_normalised.scale  # from the normalised frame to that of the folder
        box = listing.half_extent * 2 * NGP_SCALE * scale * (1 - 1e-6)
    pictures = tuple(
        Picture(str(frame.listed), shot.path, shot.mask) for frame, shot in zip(frames, shots, strict=True)
    )
    return Placed(shots, moved, box, Outcome(place.layout, str(place.model), pictures, settings=config))


def _checked_size(frame: Frame) -> tuple[int, int]:
    """The size of a frame's picture, which its camera can have taken."""
    assert frame.file is not None
    size = picture_size(frame.file)
    check_listed_size(frame, *size)
    check_optics(frame.optics, size, frame.where)
    return size


def _write(
    job: tuple[Frame, tuple[int, int]], *, moved: Similarity, folder: Path, straight: dict[object, Straight]
) -> Shot:
    """Write the picture of a frame, and that of its pixels to use if it has one."""
    (frame, size), file = job, job[0].file
    assert file is not None
    pose = moved.apply_poses(frame.c2w[None])[0]
    target = folder / IMAGES / frame.name
    lens = straight.get((frame.optics, size))
    mask = None if frame.valid_file is None else f"{MASKS}/{frame.name}.png"
    if lens is None:
        written = target.with_name(f"{target.name}{file.suffix.lower()}")
        copy_file(file, written)
        if frame.valid_file is not None:
            write_image(folder / f"{mask}", read_image(frame.valid_file))
        return Shot(f"{IMAGES}/{written.name}", size, pose, frame.optics, mask, frame.circle)
    written = write_like(file, straightened(read_picture(file), lens), target)
    if frame.valid_file is not None:
        write_image(folder / f"{mask}", _straight_mask(frame.valid_file, size, lens))
    return Shot(f"{IMAGES}/{written.name}", lens.size, pose, lens.optics, mask)


def _straight_mask(file: Path, size: tuple[int, int], lens: Straight) -> np.ndarray:
    """Which pixels are to be used, white, as the straight camera sees them."""
    valid = read_valid(file, size, size)
    white = np.ones(size[::-1], bool) if valid is None else valid
    return straightened(white.astype(np.uint8) * np.uint8(255), lens, smooth=False)
