"""Captures: listed frames of a real scene become a `Listing` that is normalised from its cameras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import SceneError
from .frames import Frame, Listing, ListingOptions, poses
from .normalize import CAPTURE_NEAR, LARGEST_HALF_EXTENT, capture_half_extent, capture_similarity
from .outliers import usual_views
from .splits import drop_missing, hold_out_views, listed_splits


def list_capture(
    layout: str,
    root: Path,
    source: Path,
    frames: Sequence[Frame],
    options: ListingOptions,
    *,
    in_order: bool = False,
    lists: dict[str, Any] | None = None,
    aabb_scale: float | None = None,
    position_scale: float | None = None,
) -> Listing:
    """The listing of a capture.

    The scene is normalised from its cameras (`capture_similarity`) but for those far beyond the others; how much of the
    surroundings is modelled is decided by `capture_half_extent`.

    Args:
        layout: What to call the layout.
        root: The scene folder.
        source: What lists the cameras, for messages.
        frames: All listed frames.
        options: How the folder is listed.
        in_order: Whether frames stay as they are listed; by default they are sorted by their pictures' names.
        lists: An object that may have nerfstudio's lists of file names, which say what is held out.
        aabb_scale: As for `capture_half_extent`.
        position_scale: As for `capture_half_extent`.

    Raises:
        SceneError: Too many pictures are missing, or a list of file names that cannot be used.
    """
    warn = options.warn
    frames = frames if in_order else sorted(frames, key=lambda frame: frame.listed)
    shown = str(source.relative_to(root)) if source.is_relative_to(root) else str(source)
    present = drop_missing(root, shown, frames, allow_missing=options.allow_missing, warn=warn)
    splits = None if lists is None else listed_splits(present, lists, source, warn, all_listed=frames)
    splits = splits or hold_out_views(present, options.hold_out)
    c2w = poses(usual_views(present, source, warn))
    to_normalised = capture_similarity(c2w, str(source))
    half_extent = capture_half_extent(to_normalised, c2w, aabb_scale=aabb_scale, position_scale=position_scale)
    if half_extent > LARGEST_HALF_EXTENT:
        raise SceneError(f"{source}: 'aabb_scale' makes a box {half_extent:g} times as large as the cameras' distance")
    return Listing(layout, splits, to_normalised, None, half_extent, CAPTURE_NEAR)
