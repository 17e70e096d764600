"""Stacks of label maps: nothing is lost, nothing is kept twice, and equal pairs are found by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.labels.stack import LabelStack, distinct_pairs


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 500),
    st.tuples(st.integers(1, 5), st.integers(0, 7), st.integers(0, 9)),
    st.sampled_from([np.int32, np.int64, np.uint8]),
    st.sampled_from("CF"),
)
def test_there_and_back(seed: int, shape: tuple[int, int, int], kind: type, order: str) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, shape).astype(kind, order=order)
    found = LabelStack.of(labels)
    assert found.shape == shape
    assert found.index.dtype == np.int32
    assert len(np.unique(found.columns, axis=0)) == len(found.columns)
    assert found.expand().flags.f_contiguous
    np.testing.assert_array_equal(found.expand(), labels)
    np.testing.assert_array_equal(found.expand(slice(1, 3)), labels[:, :, 1:3])
    np.testing.assert_array_equal(found.columns.T[:, found.index], labels)  # what reads stored arrays
    np.testing.assert_array_equal(LabelStack(found.index, found.columns).expand(), labels)
    for cut in range(shape[0]):
        np.testing.assert_array_equal(found.map(cut), labels[cut])
    odd = np.arange(shape[0]) % 2 == 1
    np.testing.assert_array_equal(found.at(odd).expand(), labels[odd])


def test_many_columns_outgrow_their_table() -> None:
    labels = np.random.default_rng(0).permutation(5000).reshape(1, 50, 100).astype(np.int32)
    found = LabelStack.of(np.concatenate([labels, labels + 1]))
    assert len(found.columns) == 5000
    np.testing.assert_array_equal(found.expand()[1], labels[0] + 1)


@pytest.mark.parametrize("width", [1, 4, 5, 30])
def test_joined_parts_are_the_whole(width: int) -> None:
    labels = np.random.default_rng(width).integers(-1, 2, (3, 4, 17)).astype(np.int32)
    parts = [LabelStack.of(labels[:, :, first : first + width]) for first in range(0, 17, width)]
    joined = LabelStack.joined(parts)
    np.testing.assert_array_equal(joined.expand(), labels)
    assert len(np.unique(joined.columns, axis=0)) == len(joined.columns)


def test_what_is_no_label_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"labels: expected shape \[\*, \*, \*\], got \[2, 3\]"):
        LabelStack.of(np.zeros((2, 3), np.int32))
    with pytest.raises(ValueError, match="labels: expected at least one cut"):
        LabelStack.of(np.zeros((0, 2, 3), np.int32))
    with pytest.raises(TypeError, match="labels: expected integers, got float64"):
        LabelStack.of(np.zeros((1, 2, 3)))


@pytest.mark.parametrize(
    ("index", "columns", "error", "message"),
    [
        ([[0, 2]], [[5], [6]], ValueError, r"index: expected columns in \[0, 2\), got 2"),
        ([[0, -1]], [[5], [6]], ValueError, r"index: expected columns in \[0, 2\), got -1"),
        ([0, 1], [[5], [6]], ValueError, r"index: expected shape \[\*, \*\], got \[2\]"),
        ([[0, 1]], [5, 6], ValueError, r"columns: expected shape \[\*, \*\], got \[2\]"),
        ([[0.0, 1.0]], [[5], [6]], TypeError, "index: expected integers, got float64"),
        ([[0, 1]], [[5.0], [6.0]], TypeError, "columns: expected integers, got float64"),
    ],
)
def test_what_is_no_stack_is_refused(index, columns, error, message) -> None:
    with pytest.raises(error, match=message):
        LabelStack(np.array(index), np.array(columns))


def test_one_line_says_what_is_there() -> None:
    assert repr(LabelStack.of(np.zeros((2, 3, 4), int))) == "LabelStack(cuts=2, height=3, width=4, columns=1)"
    assert repr(distinct_pairs(np.array([1, 0, 1]), np.array([5, 5, 5]))) == "DistinctPairs(pairs=2, items=3)"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 500), st.integers(0, 60), st.integers(1, 9))
def test_pairs_by_sorting(seed: int, count: int, most: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, most, (2, count))
    pairs = distinct_pairs(first, second)
    np.testing.assert_array_equal(pairs.first[pairs.inverse], first)
    np.testing.assert_array_equal(pairs.second[pairs.inverse], second)
    np.testing.assert_array_equal(pairs.counts, np.bincount(pairs.inverse, minlength=len(pairs.counts)))
    expected = np.unique(np.stack([first, second]), axis=1).shape[1]
    assert len(pairs.first) == len(pairs.second) == len(pairs.counts) == expected
