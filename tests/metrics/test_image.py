"""PSNR and SSIM against scikit-image."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ultrafield.metrics import psnr, ssim


def _pair(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    reference = rng.random(shape)
    return np.clip(reference + rng.normal(0, 0.1, shape), 0, 1), reference


def test_psnr_of_a_known_error() -> None:
    assert psnr(np.full((3, 5), 0.6), np.full((3, 5), 0.5)) == pytest.approx(20.0)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    picture = np.full((4, 4, 3), 7, np.uint8)
    assert psnr(picture, picture) == math.inf


@pytest.mark.parametrize("shape", [(1, 1), (7, 9, 3), (2, 4, 5, 3)])
def test_psnr_matches_scikit_image(shape: tuple[int, ...]) -> None:
    image, reference = _pair(0, shape)
    expected = peak_signal_noise_ratio(reference, image, data_range=1)
    assert psnr(image, reference) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_bytes_equals_psnr_of_their_unit_values() -> None:
    rng = np.random.default_rng(1)
    image, reference = rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    expected = peak_signal_noise_ratio(reference, image, data_range=255)
    assert psnr(image, reference) == pytest.approx(expected, abs=1e-9)
    assert psnr(image, reference / 255.0) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(11, 24), st.integers(11, 24), st.sampled_from([None, 1, 3]))
def test_ssim_matches_scikit_image(seed: int, height: int, width: int, channels: int | None) -> None:
    image, reference = _pair(seed, (height, width) if channels is None else (height, width, channels))
    expected = structural_similarity(
        image,
        reference,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=None if channels is None else -1,
    )
    # Both sum the same products in float64, in another order.
    assert ssim(image, reference) == pytest.approx(expected, abs=1e-9)


def test_ssim_accepts_bytes_and_single_precision() -> None:
    rng = np.random.default_rng(2)
    image, reference = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    expected = ssim(image / 255.0, reference / 255.0)
    assert ssim(image, reference) == pytest.approx(expected, abs=1e-12)
    assert ssim((image / 255.0).astype(np.float32), reference) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_shapes_must_agree(metric) -> None:
    with pytest.raises(ValueError, match=r"image and reference differ in shape: \[12, 12\] and \[12, 13\]"):
        metric(np.zeros((12, 12)), np.zeros((12, 13)))


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_integers_other_than_bytes_are_refused(metric) -> None:
    with pytest.raises(TypeError, match="reference: expected uint8 or floating point, got int64"):
        metric(np.zeros((12, 12)), np.zeros((12, 12), np.int64))


def test_a_picture_needs_pixels() -> None:
    with pytest.raises(ValueError, match=r"image: no pixels in an array of shape \[0, 3\]"):
        psnr(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("shape", [(10, 20), (20, 10, 3), (20,)])
def test_ssim_needs_a_whole_window(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"ssim: expected .* of at least 11 x 11 pixels"):
        ssim(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize("shape", [(11, 11), (40, 37, 3), (64, 21, 1)])
def test_pictures_are_compared_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    image, reference = _pair(3, shape)
    whole = psnr(image, reference), ssim(image, reference)
    for at_once in (1, 500):
        monkeypatch.setattr("ultrafield.metrics.image._AT_ONCE", at_once)
        assert (psnr(image, reference), ssim(image, reference)) == whole


def test_large_pictures_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultrafield.metrics.image._AT_ONCE", 1 << 14)
    image, reference = np.zeros((2, 400, 600, 3), np.uint8)
    tracemalloc.start()
    ssim(image, reference)
    psnr(image, reference)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * image.size  # float64 of the similarity twice, and a few bands
