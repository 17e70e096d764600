"""Numbering, IoU per pixel, resizing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ultrafield.metrics.overlap import best_overlap, number_segments, overlap_iou


def ones(values: np.ndarray) -> np.ndarray:
    """Each item stands for itself."""
    return np.ones(values.shape[-1], np.int64)


small_ids = arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 4))


@settings(max_examples=50, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 3), st.integers(1, 20)), elements=st.integers(-1, 2**31 - 1)))
def test_numbers_are_ranks(labels: np.ndarray) -> None:
    ranks = {value: rank for rank, value in enumerate(sorted({-1, *labels.ravel().tolist()}))}
    expected = np.vectorize(ranks.__getitem__)(labels)
    np.testing.assert_array_equal(number_segments(labels), expected)


def test_none_has_number_zero_even_where_it_does_not_occur() -> None:
    np.testing.assert_array_equal(number_segments(np.array([4, 4, 9])), [1, 1, 2])


def test_numbering_of_nothing() -> None:
    assert number_segments(np.zeros((2, 0), np.int32)).shape == (2, 0)


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from([1, 100_003]))
def test_overlap_matches_sets(data: st.DataObject, spread: int) -> None:
    first = data.draw(small_ids)
    second = data.draw(arrays(np.int64, len(first), elements=st.integers(0, 4)))
    pixels = np.arange(len(first))
    expected = []
    for pixel in pixels:
        a, b = (set(pixels[ids == ids[pixel]].tolist()) for ids in (first, second))
        expected.append(len(a & b) / len(a | b))
    np.testing.assert_allclose(overlap_iou(first * spread, second, ones(first)), expected, rtol=1e-15)


def test_overlap_of_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    assert overlap_iou(nothing, nothing, nothing).shape == (0,)


def test_best_overlap_takes_the_first_of_equal_cuts() -> None:
    truth = np.array([1, 1, 2, 2])
    segments = np.array([[1, 1, 1, 1], [1, 1, 2, 2], [5, 5, 5, 6]])
    best, cut = best_overlap(segments[[0, 0]], truth, ones(truth), none_counts=False)
    np.testing.assert_array_equal(best, 0.5)
    np.testing.assert_array_equal(cut, 0)
    best, cut = best_overlap(segments, truth, ones(truth), none_counts=False)
    np.testing.assert_array_equal(best, 1.0)
    np.testing.assert_array_equal(cut, 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 500), st.integers(1, 4), st.integers(1, 40), st.booleans())
def test_best_overlap_by_sets(seed: int, cuts: int, pixels: int, none_counts: bool) -> None:
    rng = np.random.default_rng(seed)
    segments, truth = rng.integers(0, 5, (cuts, pixels)), rng.integers(0, 4, pixels)
    best, cut = best_overlap(segments, truth, ones(truth), none_counts=none_counts)
    for pixel in range(pixels):
        values = []
        for ids in segments:
            a, b = (set(np.flatnonzero(numbers == numbers[pixel]).tolist()) for numbers in (ids, truth))
            nothing = ids[pixel] == 0 and truth[pixel] != 0 and not none_counts
            values.append(0.0 if nothing else len(a & b) / len(a | b))
        assert best[pixel] == max(values)
        assert cut[pixel] == int(np.argmax(values))


def test_best_overlap_of_nothing() -> None:
    best, cut = best_overlap(
        np.zeros((2, 0), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), none_counts=False
    )
    assert best.shape == cut.shape == (0,)


def test_none_is_a_segment_of_the_background_only() -> None:
    truth = np.array([0, 0, 1, 1])
    segments = np.array([[0, 0, 0, 3]])
    best, _ = best_overlap(segments, truth, ones(truth), none_counts=False)
    np.testing.assert_allclose(best, [2 / 3, 2 / 3, 0, 1 / 2])
    best, _ = best_overlap(segments, truth, ones(truth), none_counts=True)
    np.testing.assert_allclose(best, [2 / 3, 2 / 3, 1 / 4, 1 / 2])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 500), st.integers(1, 4), st.integers(1, 20), st.booleans())
def test_items_that_stand_for_several_pixels(seed: int, cuts: int, items: int, none_counts: bool) -> None:
    rng = np.random.default_rng(seed)
    segments, truth, counts = rng.integers(0, 4, (cuts, items)), rng.integers(0, 3, items), rng.integers(1, 5, items)
    best, cut = best_overlap(segments, truth, counts, none_counts=none_counts)
    pixels, pixel_truth = np.repeat(segments, counts, axis=1), np.repeat(truth, counts)
    expected = best_overlap(pixels, pixel_truth, ones(pixel_truth), none_counts=none_counts)
    np.testing.assert_array_equal(np.repeat(best, counts), expected[0])
    np.testing.assert_array_equal(np.repeat(cut, counts), expected[1])
    iou = overlap_iou(segments[0], truth, counts)
    np.testing.assert_array_equal(np.repeat(iou, counts), overlap_iou(pixels[0], pixel_truth, ones(pixel_truth)))


def test_labels_must_be_integers() -> None:
    with pytest.raises(TypeError, match="labels: expected integers, got float64"):
        number_segments(np.zeros(3))


def test_ids_below_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels: ids must be −1 \(none\) or more, got -2"):
        number_segments(np.array([-2, 0]))
