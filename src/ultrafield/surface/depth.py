"""The surface of depth maps that come from anywhere: sensors, stereo, renderers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras import Cameras
from ..config import SegmentConfig
from ..errors import SceneError
from .checks import check_cameras, check_depths, check_images
from .fusion import NoSurface, fuse_depth_maps
from .normalise import frame_of_depths
from .surface import Surface

GREY = 128  # of points without a colour


def surface_from_depth(
    depths: Sequence[np.ndarray] | np.ndarray,
    cameras: Cameras,
    images: Sequence[np.ndarray | None] | np.ndarray | None = None,
    *,
    config: SegmentConfig | None = None,
) -> Surface:
    """Fuse depth maps into points that know which view sees them.

    A pixel counts if it lies on a continuous patch of its depth map; a point is the mean of the pixels in its voxel and
    stays if it has company and clearly more views see it than see through it.

    Args:
        depths: z-depth of V views, each [H, W], in the units of `cameras`; 0, negative or not finite where nothing is
            seen. They may be of another size than the cameras' pictures.
        cameras: V cameras, user's frame.
        images: Pictures of them, each [H, W, 3] uint8, that colour the points, None for a view without; grey if None.
        config: Settings; the defaults if None. `voxel` is a fraction of half the longest edge of the box around what
            is seen.

    Returns:
        The surface in a normalised frame of its own, its points in the lexicographic order of their voxels.

    Raises:
        TypeError: No cameras, depth maps or pictures; `images` that are not uint8.
        ValueError: Other numbers of cameras, depth maps and pictures, depth maps of other proportions than their
            cameras' pictures, or depth maps that are all empty.
        SceneError: The depth maps show no surface.
    """
    check_cameras(cameras)
    maps = check_depths(depths, cameras)
    pictures = [None] * len(maps) if images is None else check_images(images, len(maps))
    if not any(depth.any() for depth in maps):
        raise ValueError("depths: all of them are empty; expected z-depth in the cameras' units, 0 or NaN for none")
    config = config or SegmentConfig()
    frame = frame_of_depths(maps, cameras.resized(np.array([depth.shape[::-1] for depth in maps])))
    scale = frame.to_user.scale
    scaled = [(depth / scale).astype(np.float32) for depth in maps]
    grey = np.full((1, 1, 3), GREY, np.uint8)
    colors = [grey if picture is None else picture for picture in pictures]
    try:
        voxel = config.voxel * frame.half_extent if config.voxel is not None else None
        return fuse_depth_maps(scaled, colors, frame.cameras(cameras), frame.to_user, voxel)
    except NoSurface as reason:
        raise SceneError(
            f"depths: they show no surface: {reason}; check that depth is along z, in the units of the cameras, and "
            "that poses are camera-to-world with OpenCV axes (z forward)"
        ) from None
