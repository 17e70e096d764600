"""Pictures on a background, compiled: one pass over the pixels, without the interpreter's lock."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def blend_cpu(picture: np.ndarray, behind: np.ndarray, blended: np.ndarray, rounded: bool) -> None:
    """Put a picture on a colour.

    Args:
        picture: RGBA [H, W, 4], uint8 or float32 in [0, 255].
        behind: RGB in [0, 255], float32.
        blended: Output [H, W, 3], uint8 or float32.
        rounded: Whether to round to whole numbers in [0, 255].
    """
    full, one = np.float32(255.0), np.float32(1.0)
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            alpha = np.float32(picture[y, x, 3]) / full
            through = one - alpha
            for channel in range(3):
                mixed = np.float32(picture[y, x, channel]) * alpha + behind[channel] * through
                blended[y, x, channel] = min(max(np.int32(np.rint(mixed)), 0), 255) if rounded else mixed
