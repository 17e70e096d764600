"""Similarity of a rendered picture to the photograph: PSNR and SSIM."""

from __future__ import annotations

import math

import numpy as np

_SIGMA = 1.5
_WINDOW = 11  # pixels; a Gaussian of sigma 1.5 cut at 3.5 sigma
_C1 = 0.01**2
_C2 = 0.03**2
_AT_ONCE = 1 << 20  # values that are worked on together


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels; infinite for equal pictures.

    Args:
        image: [...], uint8, or floating with a range of [0, 1].
        reference: Of the same shape; may be of the other kind.

    Raises:
        ValueError: The shapes differ, or there are no pixels.
        TypeError: Neither uint8 nor floating.

    >>> round(psnr(np.full((4, 4, 3), 0.5), np.full((4, 4, 3), 0.4)), 6)
    20.0
    """
    _check_pictures(image, reference)
    flat, other, errors = image.reshape(-1), reference.reshape(-1), np.empty(image.size)
    for first in range(0, image.size, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        errors[part] = (_unit_range(flat[part]) - _unit_range(other[part])) ** 2
    error = float(np.mean(errors))
    return math.inf if error == 0.0 else -10.0 * math.log10(error)


def ssim(image: np.ndarray, reference: np.ndarray) -> float:
    """Structural similarity: the mean over channels and over pixels whose whole window lies in the picture.

    Gaussian window of sigma 1.5 and 11 x 11 pixels, population moments, K1 = 0.01, K2 = 0.03 and a data range of 1.

    Args:
        image: [H, W] or [H, W, C], uint8, or floating with a range of [0, 1].
        reference: Of the same shape; may be of the other kind.

    Returns:
        At most 1, which equal pictures have.

    Raises:
        ValueError: The shapes differ, or the picture is smaller than the window.
        TypeError: Neither uint8 nor floating.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", 2004, eq. 13.

    >>> ramp = np.linspace(0, 1, 256).reshape(16, 16)
    >>> round(ssim(ramp, ramp), 6)
    1.0
    """
    _check_pictures(image, reference)
    if image.ndim not in (2, 3) or min(image.shape[:2]) < _WINDOW:
        raise ValueError(
            f"ssim: expected [H, W] or [H, W, C] of at least {_WINDOW} x {_WINDOW} pixels, got {list(image.shape)}"
        )
    rows = max(1, _AT_ONCE // (image.size // len(image)))
    bands = [slice(first, first + rows + _WINDOW - 1) for first in range(0, len(image) - _WINDOW + 1, rows)]
    return float(
        np.concatenate([_similarity(_unit_range(image[band]), _unit_range(reference[band])) for band in bands]).mean()
    )


def _similarity(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Structural similarity of every pixel whose window lies inside, of pictures in float64."""
    mean_a, mean_b = _window_mean(image), _window_mean(reference)
    variance_a = _window_mean(image * image) - mean_a**2
    variance_b = _window_mean(reference * reference) - mean_b**2
    covariance = _window_mean(image * reference) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    similarity /= (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    return np.asarray(similarity)


def _check_pictures(image: np.ndarray, reference: np.ndarray) -> None:
    if image.shape != reference.shape:
        raise ValueError(f"image and reference differ in shape: {list(image.shape)} and {list(reference.shape)}")
    if image.size == 0:
        raise ValueError(f"image: no pixels in an array of shape {list(image.shape)}")
    for name, picture in (("image", image), ("reference", reference)):
        if picture.dtype != np.uint8 and not np.issubdtype(picture.dtype, np.floating):
            raise TypeError(f"{name}: expected uint8 or floating point, got {picture.dtype}")


def _unit_range(picture: np.ndarray) -> np.ndarray:
    """A picture as float64 in [0, 1]."""
    return picture / 255.0 if picture.dtype == np.uint8 else picture.astype(np.float64)


def _window_mean(image: np.ndarray) -> np.ndarray:
    """Gaussian-weighted mean around every pixel whose window lies inside [H − 10, W − 10, ...]."""
    import cv2

    border = _WINDOW // 2
    return cv2.GaussianBlur(image, (_WINDOW, _WINDOW), _SIGMA)[border:-border, border:-border]
