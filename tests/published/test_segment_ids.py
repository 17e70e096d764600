"""Published segment numbers and their colours."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ultrafield.published.segment_ids import largest_first, segment_palette


def test_numbers_follow_the_sizes() -> None:
    assert largest_first(np.array([7, 9, 9, 9, 4, 4]), 200).tolist() == [2, 0, 0, 0, 1, 1]


def test_equal_sizes_follow_the_ids() -> None:
    assert largest_first(np.array([9, 7, 9, 7]), 200).tolist() == [1, 0, 1, 0]


def test_small_segments_share_the_last_number() -> None:
    assert largest_first(np.array([1, 1, 1, 2, 2, 3, 4]), 2).tolist() == [0, 0, 0, 1, 1, 2, 2]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 12))
def test_numbers_are_a_renaming(ids: list[int], keep: int) -> None:
    nodes = np.array(ids)
    numbers = largest_first(nodes, keep)
    sizes = np.bincount(numbers, minlength=keep + 1)[:keep]
    assert (np.diff(sizes) <= 0).all()
    for number in range(keep):
        assert len(np.unique(nodes[numbers == number])) <= 1
    kept = np.isin(nodes, nodes[numbers < keep])
    np.testing.assert_array_equal(kept, numbers < keep)


def test_every_number_has_a_colour_of_its_own_and_none_is_white() -> None:
    palette = segment_palette(200)
    assert palette.shape == (201, 3)
    assert palette.dtype == np.uint8
    assert (palette[200] == 255).all()
    assert not (palette[:200] == 255).all(axis=1).any()
    assert len(np.unique(palette[:30], axis=0)) == 30
