"""Loading a scene folder of any supported layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..cameras import Cameras
from ..errors import ConfigError, SceneError, check_choice, reason_of
from ..masks import MaskFolder, check_matches, warn_of_skipped
from .fit import warn_about_fit
from .frames import Listing, ListingOptions, Warn, poses, print_warning
from .images import Color
from .layout import LAYOUTS, check_pictures_option, find_scene, list_scene, scene_root
from .normalize import LARGEST_HALF_EXTENT
from .optics import distortions
from .scene import Scene
from .splits import check_hold_out
from .view import Split
from .views import LoadedView, ViewOptions, read_views

_SMALLEST_HALF_EXTENT = 1e-3  # normalised units; cameras are about one away
_WHITE: Color = (1.0, 1.0, 1.0)


def load_scene(
    path: str | Path,
    *,
    layout: str = "auto",
    downsample: float = 1.0,
    width: int | None = None,
    masks: str | Path | None = None,
    with_masks: bool = True,
    background: Sequence[float] | None = None,
    half_extent: float | None = None,
    hold_out: int | None = 8,
    allow_missing: bool | None = None,
    recentre: bool = False,
    images: str | Path | None = None,
    progress: bool = True,
    warn: Warn = print_warning,
) -> Scene:
    """Read a scene folder: pictures at working size with their cameras, and 2D masks where there are any.

    Layouts: Blender-HS and NeRF-synthetic (`transforms_train.json`), nerfstudio and instant-ngp (`transforms.json`),
    PartNet (`view-XX/meta.txt`), COLMAP (`sparse/0`, text or binary), LLFF (`poses_bounds.npy`), 3D Gaussian splatting
    (`cameras.json`), Metashape (`.xml`), RealityCapture (`.csv`), Polycam (`keyframes`) and Record3D.

    The working size of a view is its picture's size times `downsample`, or the size of the scene's masks if that is
    smaller; cameras are scaled with it, and pictures keep the distortion of their lens. Larger pictures are kept too
    (`View.photograph`), if all of them take at most an eighth of the memory limit.

    Args:
        path: The scene folder, or what lists its cameras: the transforms file, the folder of a COLMAP model, another
            program's file.
        layout: One of the layouts, or "auto" to recognise it.
        downsample: Working size as a fraction of the pictures' own, in (0, 1].
        width: Working width in pixels, whatever `downsample` and the masks' size say; masks are resampled (nearest
            pixel), and those that vanish are dropped.
        masks: Folder that holds `train_seg` (and `val_seg`), or masks of any form that docs/masks.md lists; the scene
            folder itself by default.
        with_masks: Whether to read masks at all; what lies where they may lie is not looked at otherwise.
        background: RGB in [0, 1] behind transparent pixels. By default white, black for PartNet; a real capture has a
            known background only if this is given or if its pictures are transparent somewhere.
        half_extent: Half the edge of the box to model, normalised units; by default 0.5 for bounded scenes and large
            enough for the surroundings of captures.
        hold_out: In layouts that name no validation views, every `hold_out`-th view is one; None (or 0) keeps all for
            training.
        allow_missing: Whether to continue without pictures that are listed but not on disk. None continues if at most a
            third is missing, and says so.
        recentre: Whether a Blender scene's box goes where its training cameras look, rather than to the origin. The box
            of a capture always does.
        images: Folder of the pictures, where they do not lie in the scene folder as the layout has it.
        progress: Whether to show a progress bar (on a terminal only).
        warn: Told, in one line, about what does not stop the work.

    Returns:
        The scene. Splits "train" and, where there are such views, "val" and "val_rotate".

    Raises:
        SceneError: The input is not what it must be; the text names file and item.
        ConfigError: An option that cannot be used.
    """
    check_choice("layout", layout, LAYOUTS)
    hold_out = hold_out or None
    _check_options(downsample, width, hold_out, half_extent)
    color = None if background is None else _color(background)
    root = scene_root(path, layout)
    asked = ListingOptions(hold_out, allow_missing, None if images is None else Path(images), warn)
    try:
        place = find_scene(root, layout, asked)
        root = place.root
        check_pictures_option(place.layout, asked)
        mask_root = root if masks is None else Path(masks)
        if not mask_root.exists():
            raise SceneError(f"{mask_root}: no such folder")
        listing = list_scene(place, asked, recentre=recentre)
        if len(listing.splits["train"]) < 2:
            raise SceneError(f"{root}: only 1 training view was found; at least 2 views are needed")
        folder = MaskFolder(mask_root, direct=mask_root.resolve() != root.resolve())
        options = ViewOptions(folder if with_masks else None, downsample, width, color or listing.background or _WHITE)
        loaded = read_views(listing, options, progress=progress)
    except OSError as failure:
        raise SceneError(f"{failure.filename or root}: {reason_of(failure)}") from None
    if with_masks:
        _check_masks_found(listing, loaded["train"], folder, asked=masks is not None, warn=warn)
    scene = _scene(root, listing, loaded, color or listing.background, half_extent)
    warn_about_fit(scene, warn, recentred=recentre)
    return scene


def _check_options(downsample: float, width: int | None, hold_out: int | None, half_extent: float | None) -> None:
    if not 0.0 < downsample <= 1.0:
        raise ConfigError(f"expected a factor in (0, 1], got {downsample:g}", setting="downsample")
    if width is not None and width < 1:
        raise ConfigError(f"expected at least 1 pixel, got {width}", setting="width")
    check_hold_out(hold_out)
    if half_extent is not None and not 0.0 < half_extent < float("inf"):
        raise ConfigError(f"expected a positive number, got {half_extent:g}", setting="half_extent")
    least, most = _SMALLEST_HALF_EXTENT, LARGEST_HALF_EXTENT
    if half_extent is not None and not least <= half_extent <= most:
        raise ConfigError(f"expected a number from {least:g} to {most:g}, got {half_extent:g}", setting="half_extent")


def _color(background: Sequence[float]) -> Color:
    try:
        values = [float(value) for value in background]
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"expected three numbers in [0, 1], got {background!r}", setting="background") from None
    if len(values) != 3 or not all(0.0 <= value <= 1.0 for value in values):
        raise ConfigError(f"expected three numbers in [0, 1], got {values}", setting="background")
    return values[0], values[1], values[2]


def _check_masks_found(
    listing: Listing, train: Sequence[LoadedView], folder: MaskFolder, *, asked: bool, warn: Warn
) -> None:
    """Say which views and masks have nothing to do with each other, and what was skipped; errors as `check_matches`."""
    for frame in (frame for split, frames in listing.splits.items() if split != "train" for frame in frames):
        folder.name(frame.mask_names)
    lacking = [item.view.name for item in train if item.view.masks is None]
    places = listing.mask_splits.get("train", ("train",))
    read = {frame.valid_file.parent for frame in listing.splits["train"] if frame.valid_file is not None}
    check_matches(folder, places, lacking, len(train), asked=asked, warn=warn, ignored=read)
    warn_of_skipped(folder, warn)


def _scene(
    root: Path,
    listing: Listing,
    loaded: dict[str, list[LoadedView]],
    color: Color | None,
    half_extent: float | None,
) -> Scene:
    """The scene of views that were read; `color` and `half_extent` go before what the listing says."""
    if color is None and any(item.transparent for items in loaded.values() for item in items):
        color = _WHITE
    return Scene(
        name=root.resolve().name,
        root=root,
        layout=listing.layout,
        splits={name: _split(listing, name, loaded) for name in loaded},
        to_user=listing.to_normalised.inverse(),
        background=None if color is None else np.array(color, np.float32),
        half_extent=listing.half_extent if half_extent is None else half_extent,
        near=listing.near,
    )


def _split(listing: Listing, name: str, loaded: dict[str, list[LoadedView]]) -> Split:
    """Views and normalised cameras of one split; a camera without a picture has the size of the others."""
    frames, items = listing.splits[name], loaded[name]
    sizes = ((item.native, item.working) for split in ("val", "train") for item in loaded.get(split, ()))
    native, working = next((native, working) for native, working in sizes if native is not None and working is not None)
    natives = [item.native or native for item in items]
    workings = [item.working or working for item in items]
    cameras = Cameras(
        poses(frames),
        np.stack([frame.optics.intrinsics(*native) for frame, native in zip(frames, natives, strict=True)]),
        np.array(natives, np.int64),
        np.array([frame.optics.lens for frame in frames], np.int64),
        distortions([frame.optics for frame in frames]),
    )
    cameras = cameras.resized(np.array(workings, np.int64)).moved(listing.to_normalised)
    return Split(tuple(item.view for item in items), cameras, listing.to_normalised.inverse())
