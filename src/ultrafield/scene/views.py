"""Reading the pictures and masks of listed frames, in parallel, at one working size per picture size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import SceneError
from ..masks import MaskSet
from ..masks.read import find_masks, read_masks, same_aspect, size_text
from ..parallel import in_threads, workers_for
from ..progress import progress_bar
from ..reading import read_image
from .frames import Frame, Listing, check_listed_size
from .images import Color, blend, read_picture, resize
from .view import View

PixelSize = tuple[int, int]  # width, height


@dataclass(frozen=True)
class ViewOptions:
    """Options for reading views.

    Attributes:
        mask_root: Folder that holds the masks of every split.
        downsample: Working size as a fraction of the picture's.
        width: Working width in pixels, None to let `downsample` and the masks decide.
        behind: Colour behind transparent pixels.
    """

    mask_root: Path
    downsample: float
    width: int | None
    behind: Color


@dataclass(frozen=True, eq=False)
class LoadedView:
    """A view as read, with the sizes and files that its camera and the checks across views need.

    Attributes:
        view: The view.
        native: Size of the picture on disk; None without picture, as is `working`.
        working: Size of the picture in `view`.
        mask_file: A file of its masks, None if there are none.
        mask_size: Size of the masks on disk.
        transparent: Whether some pixel of the picture is transparent.
    """

    view: View
    native: PixelSize | None = None
    working: PixelSize | None = None
    mask_file: Path | None = None
    mask_size: PixelSize | None = None
    transparent: bool = False


@dataclass(frozen=True)
class _Task:
    """A frame to read, and where its masks lie."""

    frame: Frame
    mask_split: str
    mask_file: Path | None


def read_views(listing: Listing, options: ViewOptions, *, progress: bool) -> dict[str, list[LoadedView]]:
    """Read every listed frame.

    Views with masks go first: their working size is that of all views whose pictures are as large, so that views with
    and without masks (validation, rotated) can be compared pixel by pixel.

    Args:
        listing: The frames of each split.
        options: How to read them.
        progress: Whether to show a progress bar (on a terminal only).

    Returns:
        The views of each split, in the order listed.

    Raises:
        SceneError: A picture or mask that cannot be used.
    """
    tasks = [_task(listing, split, frame, options) for split, frames in listing.splits.items() for frame in frames]
    loaded: dict[int, LoadedView] = {}
    with progress_bar("Reading pictures", len(tasks), show=progress) as advance:
        for masked in (True, False):
            sizes = {item.native: item.working for item in loaded.values()}
            chosen = [index for index, task in enumerate(tasks) if (task.mask_file is not None) == masked]
            read = partial(_read_view, options=options, sizes=sizes)
            items = in_threads(read, (tasks[index] for index in chosen), workers=workers_for(0))
            for index, item in zip(chosen, items, strict=True):
                loaded[index] = item
                advance(len(loaded))
    _check_mask_sizes([loaded[index] for index in range(len(tasks))])
    in_order = iter(range(len(tasks)))
    return {split: [loaded[next(in_order)] for _ in frames] for split, frames in listing.splits.items()}


def working_size(
    native: PixelSize, mask_size: PixelSize | None, *, downsample: float = 1.0, width: int | None = None
) -> PixelSize:
    """The size to work at: `width` if given, else the smaller of the masks' size and the picture's times `downsample`.

    Masks of another aspect ratio do not count (reading them is an error).
    """
    if width is not None:
        return width, max(1, round(native[1] * width / native[0]))
    scaled = (max(1, round(native[0] * downsample)), max(1, round(native[1] * downsample)))
    if mask_size is not None and mask_size[0] < scaled[0] and same_aspect(mask_size, native):
        return mask_size
    return scaled


def make_view(
    name: str, picture: np.ndarray, masks: MaskSet | None, size: PixelSize, behind: Color, *, file: Path | None = None
) -> View:
    """A view at working size.

    Args:
        name: Its name.
        picture: RGB [H, W, 3] uint8, or RGBA [H, W, 4] float32 in [0, 255].
        masks: Its masks at working size.
        size: Working size.
        behind: Colour behind transparent pixels.
        file: Where the picture is from.
    """
    image = resize(blend(picture, behind), *size)
    alpha = resize(np.ascontiguousarray(picture[..., 3]), *size) if picture.shape[2] == 4 else None
    return View(name, image, masks, file, alpha)


def _task(listing: Listing, split: str, frame: Frame, options: ViewOptions) -> _Task:
    """Look up the masks of a frame under every split name that they may lie under."""
    for place in listing.mask_splits.get(split, (split,)):
        file = find_masks(options.mask_root, place, frame.name)
        if file is not None:
            return _Task(frame, place, file)
    return _Task(frame, split, None)


def _read_view(task: _Task, *, options: ViewOptions, sizes: dict[PixelSize | None, PixelSize | None]) -> LoadedView:
    """Read one view; `sizes` are the working sizes already chosen for pictures of a size."""
    frame = task.frame
    if frame.file is None:
        return LoadedView(View(frame.name))
    picture = read_picture(frame.file)
    native = (picture.shape[1], picture.shape[0])
    check_listed_size(frame, *native)
    mask_size = None if task.mask_file is None else _size_on_disk(task.mask_file)
    size = sizes.get(native) or working_size(native, mask_size, downsample=options.downsample, width=options.width)
    masks = read_masks(options.mask_root, task.mask_split, frame.name, (size[1], size[0]))
    view = make_view(frame.name, picture, masks, size, options.behind, file=frame.file)
    return LoadedView(view, native, size, task.mask_file, mask_size, transparent=picture.shape[2] == 4)


def _size_on_disk(file: Path) -> PixelSize:
    height, width = read_image(file).shape[:2]
    return width, height


def _check_mask_sizes(loaded: Sequence[LoadedView]) -> None:
    """Masks of pictures of one size must have one size, or views would be worked on at different scales."""
    first: dict[PixelSize | None, LoadedView] = {}
    for item in loaded:
        if item.mask_size is None:
            continue
        other = first.setdefault(item.native, item)
        if other.mask_size is not None and item.mask_size != other.mask_size:
            raise SceneError(
                f"{item.mask_file}: expected {size_text(other.mask_size[::-1])} as in {other.mask_file}, "
                f"found {size_text(item.mask_size[::-1])}"
            )
