"""Colours of label maps, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def paint(labels: np.ndarray, colors: np.ndarray, none: np.ndarray, picture: np.ndarray) -> int:
    """Fill a picture with the colours of its labels.

    Args:
        labels: [H, W], int32 or int64; below 0 for none.
        colors: Colour of every label [K, 3], uint8.
        none: Colour where there is none [3], uint8.
        picture: Output [H, W, 3], uint8.

    Returns:
        The first label that has no colour, −1 if all have.
    """
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            label = labels[row, column]
            if label >= len(colors):
                return label
            for channel in range(3):
                picture[row, column, channel] = none[channel] if label < 0 else colors[label, channel]
    return -1
