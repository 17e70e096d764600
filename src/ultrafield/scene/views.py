"""Reading the pictures and masks of listed frames, in parallel, at one working size per picture size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..budget import memory, pixel_limit
from ..errors import ConfigError, SceneError
from ..masks import MaskFolder, MaskSet, find_masks, read_masks
from ..masks.packing import MaskPacker
from ..masks.read import same_aspect, size_text
from ..parallel import in_threads, workers_for
from ..progress import progress_bar
from ..reading import PixelSize, picture_size
from .frames import Frame, Listing, check_listed_size
from .images import BYTES_PER_PIXEL, Color, PictureFile, inside_circle, read_picture, read_valid, reduced
from .optics import Optics, check_optics
from .view import Photograph, View

_PHOTOGRAPHED = ("train", "val")  # splits whose pictures are kept at their own size too
_PHOTOGRAPH_BYTES, _PICTURE_BYTES, _MASK_BYTES = 4, 3, 2  # per pixel
_SHARE = 0.125  # of the memory, that each of them may take


@dataclass(frozen=True)
class ViewOptions:
    """Options for reading views.

    Attributes:
        masks: Folder that holds the masks of every split; None to read pictures alone.
        downsample: Working size as a fraction of the picture's.
        width: Working width in pixels, None to let `downsample` and the masks decide.
        behind: Colour behind transparent pixels.
    """

    masks: MaskFolder | None
    downsample: float
    width: int | None
    behind: Color


@dataclass(frozen=True, eq=False)
class LoadedView:
    """A view as read, with the sizes that its camera needs.

    Attributes:
        view: The view.
        native: Size of the picture on disk; None without picture, as is `working`.
        working: Size of the picture in `view`.
        transparent: Whether some pixel of the picture is transparent.
    """

    view: View
    native: PixelSize | None = None
    working: PixelSize | None = None
    transparent: bool = False


@dataclass(frozen=True)
class _Task:
    """A frame to read: where its masks lie, the sizes of both on disk, and that of the photograph to keep if any."""

    frame: Frame
    split: str
    mask_split: str
    mask_file: Path | None
    native: PixelSize | None = None
    mask_size: PixelSize | None = None
    photograph: PixelSize | None = None


def read_views(listing: Listing, options: ViewOptions, *, progress: bool) -> dict[str, list[LoadedView]]:
    """Read every listed frame.

    Sizes come first, from the files' headers: the working size of views with masks is that of all views whose pictures
    are as large, so that views with and without masks (validation, rotated) can be compared pixel by pixel.

    Args:
        listing: The frames of each split.
        options: How to read them.
        progress: Whether to show a progress bar (on a terminal only).

    Returns:
        The views of each split, in the order listed.

    Raises:
        SceneError: A picture or mask that cannot be used, or a lens that cannot have taken its picture.
        ConfigError: A working width for which there is no memory.
    """
    tasks = [_task(listing, split, frame, options) for split, frames in listing.splits.items() for frame in frames]
    _check_lenses(tasks)
    _check_mask_sizes(tasks)
    sizes = _working_sizes(tasks, options)
    workers = _workers(
        [size for task in tasks if task.native is not None for size in (task.native, sizes[task.native])]
    )
    tasks = _with_photographs(tasks, sizes, options)
    kept = pictures_fit([sizes[task.native] for task in tasks if task.native is not None])
    compressed = not masks_fit([sizes[task.native] for task in tasks if task.native and task.mask_size])
    read = partial(_read_view, options=options, sizes=sizes, kept=kept, compressed=compressed)
    loaded: list[LoadedView] = []
    with progress_bar("Reading pictures", len(tasks), show=progress) as advance:
        for item in in_threads(read, tasks, workers=workers):
            loaded.append(item)
            advance(len(loaded))
    in_order = iter(loaded)
    return {split: [next(in_order) for _ in frames] for split, frames in listing.splits.items()}


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
    name: str,
    picture: np.ndarray,
    masks: MaskSet | None,
    size: PixelSize,
    behind: Color,
    *,
    file: Path | None = None,
    valid: np.ndarray | None = None,
    photograph: Photograph | None = None,
) -> View:
    """A view at working size.

    Args:
        name: Its name.
        picture: RGB [H, W, 3] uint8, or RGBA [H, W, 4] uint8 or float32 in [0, 255].
        masks: Its masks at working size.
        size: Working size.
        behind: Colour behind transparent pixels.
        file: Where the picture is from.
        valid: Which pixels are to be used, at working size; None for all.
        photograph: The picture at a larger size, if there is one.
    """
    image, alpha = reduced(picture, behind, size)
    return View(name, image, masks, file, alpha, valid, photograph)


def make_photograph(picture: np.ndarray, behind: Color, size: PixelSize, valid: np.ndarray | None = None) -> Photograph:
    """A picture as geometry is learned from it; arguments as for `make_view`."""
    return Photograph(*reduced(picture, behind, size), valid)


def photographs_fit(sizes: Sequence[PixelSize]) -> bool:
    """Whether pictures of these sizes are within the part of the memory that pictures may take."""
    return _fit(sizes, _PHOTOGRAPH_BYTES)


def pictures_fit(sizes: Sequence[PixelSize]) -> bool:
    """Whether pictures of these sizes may stay in memory, rather than be read again whenever they are needed."""
    return _fit(sizes, _PICTURE_BYTES)


def masks_fit(sizes: Sequence[PixelSize]) -> bool:
    """Whether masks of pictures of these sizes may stay in memory as they are, rather than compressed."""
    return _fit(sizes, _MASK_BYTES)


def _fit(sizes: Sequence[PixelSize], bytes_per_pixel: int) -> bool:
    return sum(width * height for width, height in sizes) * bytes_per_pixel <= _SHARE * memory()


def kept_photographs(wanted: Sequence[PixelSize | None]) -> list[PixelSize | None]:
    """The sizes of photographs to keep, None for none: those wanted, or none of them if they do not fit together."""
    fit = photographs_fit([size for size in wanted if size is not None])
    return list(wanted) if fit else [None] * len(wanted)


def _with_photographs(tasks: Sequence[_Task], sizes: dict[PixelSize, PixelSize], options: ViewOptions) -> list[_Task]:
    """Note which pictures are kept at their own size too: those reduced to their masks' size, if all fit in memory."""
    scaled = {
        native: working_size(native, None, downsample=options.downsample, width=options.width) for native in sizes
    }
    larger = {native: size for native, size in scaled.items() if size != sizes[native]}
    wanted = [larger.get(task.native) if task.native and task.split in _PHOTOGRAPHED else None for task in tasks]
    return [replace(task, photograph=size) for task, size in zip(tasks, kept_photographs(wanted), strict=True)]


def _task(listing: Listing, split: str, frame: Frame, options: ViewOptions) -> _Task:
    """Look up the masks of a frame under every split name that they may lie under, and measure what there is."""
    native = None if frame.file is None else picture_size(frame.file)
    if native is not None:
        check_listed_size(frame, *native)
    for place in listing.mask_splits.get(split, (split,)):
        file = None if options.masks is None else find_masks(options.masks, place, frame.mask_names)
        if options.masks is not None and file is not None:
            size = options.masks.size(place, frame.mask_names) if native is not None else None
            return _Task(frame, split, place, file, native, None if size is None else (size[1], size[0]))
    return _Task(frame, split, split, None, native)


def _check_lenses(tasks: Sequence[_Task]) -> None:
    """Raise `SceneError` for the first frame whose lens cannot have taken its picture; each lens is checked once."""
    checked: set[tuple[Optics, PixelSize]] = set()
    for task in tasks:
        if task.native is not None and (task.frame.optics, task.native) not in checked:
            check_optics(task.frame.optics, task.native, task.frame.where)
            checked.add((task.frame.optics, task.native))


def _check_mask_sizes(tasks: Sequence[_Task]) -> None:
    """Masks of pictures of one size must have one size, or views would be worked on at different scales."""
    first: dict[PixelSize | None, _Task] = {}
    for task in tasks:
        if task.mask_size is None:
            continue
        other = first.setdefault(task.native, task)
        if other.mask_size is not None and task.mask_size != other.mask_size:
            raise SceneError(
                f"{task.mask_file}: expected {size_text(other.mask_size[::-1])} as in {other.mask_file}, "
                f"found {size_text(task.mask_size[::-1])}"
            )


def _working_sizes(tasks: Sequence[_Task], options: ViewOptions) -> dict[PixelSize, PixelSize]:
    """The working size of every size of pictures; masks of one such picture decide for all."""
    masked = {task.native: task.mask_size for task in tasks if task.mask_size is not None}
    natives = dict.fromkeys(task.native for task in tasks if task.native is not None)
    sizes = {
        native: working_size(native, masked.get(native), downsample=options.downsample, width=options.width)
        for native in natives
    }
    width, height = max(sizes.values(), key=lambda size: size[0] * size[1], default=(0, 0))
    if width * height > pixel_limit():
        raise ConfigError(
            f"pictures of {width}x{height} pixels have more than {pixel_limit() / 1e6:.0f} million; a larger --memory "
            "raises the limit",
            setting="width",
        )
    return sizes


def _workers(sizes: Sequence[PixelSize]) -> int:
    """Threads that may read pictures of these sizes at a time."""
    return workers_for(BYTES_PER_PIXEL * max((width * height for width, height in sizes), default=0))


def _read_view(
    task: _Task, *, options: ViewOptions, sizes: dict[PixelSize, PixelSize], kept: bool, compressed: bool
) -> LoadedView:
    """Read one view.

    Args:
        task: What to read.
        options: How.
        sizes: Working sizes of pictures of a size.
        kept: Whether pictures stay in memory.
        compressed: Whether masks stay there compressed.
    """
    frame, native = task.frame, task.native
    if frame.file is None or native is None:
        return LoadedView(View(frame.name))
    size, stored = sizes[native], PictureFile.of(frame.file, sizes[native], options.behind)
    picture = read_picture(frame.file)
    if picture.shape[1::-1] != native:
        raise SceneError(f"{frame.file}: changed while it was read")
    masks = None
    if options.masks is not None:
        masks = read_masks(options.masks, task.mask_split, frame.mask_names, (size[1], size[0]))
    valid = _valid(frame, native, size)
    if masks is not None and valid is not None:
        masks = _without_ignored(masks, valid)
    if masks is not None and compressed:
        masks = masks.compressed()
    photograph = None
    if task.photograph is not None:
        own = _valid(frame, native, task.photograph)
        photograph = make_photograph(picture, options.behind, task.photograph, own)
    view = make_view(
        frame.name, picture, masks, size, options.behind, file=frame.file, valid=valid, photograph=photograph
    )
    if not kept:
        view = view.changed(image=stored)
    return LoadedView(view, native, size, transparent=picture.shape[2] == 4)


def _valid(frame: Frame, native: PixelSize, size: PixelSize) -> np.ndarray | None:
    """Which pixels of a view at a size are to be used [H, W] bool, None for all."""
    valid = None if frame.valid_file is None else read_valid(frame.valid_file, native, size)
    if frame.circle is None:
        return valid
    listed = (frame.optics.size or native)[0]
    circle = inside_circle(frame.circle / listed, size)
    valid = circle if valid is None else valid & circle
    if not valid.any():
        raise SceneError(f"{frame.where}: its 'fisheye_crop_radius' leaves no pixel")
    return None if valid.all() else valid


def _without_ignored(masks: MaskSet, valid: np.ndarray) -> MaskSet:
    """Masks without the pixels that are to be ignored, and without those that have no others; containment stays."""
    packer = MaskPacker(len(masks), masks.shape)
    kept = np.array([packer.add(masks.mask(index) & valid) for index in range(len(masks))], bool)
    bits, areas = packer.finish()
    inside, same = (matrix[np.ix_(kept, kept)] for matrix in (masks.inside, masks.same))
    return MaskSet(bits, areas, inside, same)
