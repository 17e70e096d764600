"""COCO's run lengths, against pycocotools where it is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ultrafield.masks.own.rle import rle_mask


def as_numbers(mask: np.ndarray) -> list[int]:
    """Lengths of runs, column by column, outside first."""
    flat = [False, *mask.T.ravel().tolist()]
    starts = [index for index in range(1, len(flat)) if flat[index] != flat[index - 1]]
    bounds = [1, *starts, len(flat)]
    return [after - before for before, after in pairwise(bounds)]


def as_text(counts: list[int]) -> str:
    """The same as text, character by character."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            part, value = value & 31, value >> 5
            more = value != -1 if part & 16 else value != 0
            text += chr(48 + part + 32 * more)
            if not more:
                break
    return text


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_both_forms_give_the_mask(height: int, width: int, seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < density
    counts = as_numbers(mask)
    for given_counts in (counts, as_text(counts)):
        rle = {"size": [height, width], "counts": given_counts}
        np.testing.assert_array_equal(rle_mask(rle, (height, width)), mask)
        np.testing.assert_array_equal(rle_mask({"counts": given_counts}, (height, width)), mask)


def test_long_runs_take_several_characters() -> None:
    mask = np.zeros((700, 900), bool)
    mask[3:650, 10:800] = True
    mask[:, 400] = False
    np.testing.assert_array_equal(rle_mask({"counts": as_text(as_numbers(mask))}, (700, 900)), mask)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_pycocotools_agrees(density: float) -> None:
    tools = pytest.importorskip("pycocotools.mask", reason="needs pycocotools")
    for seed in range(20):
        generator = np.random.default_rng(seed)
        mask = generator.random(tuple(generator.integers(1, 70, 2))) < density
        text = tools.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert as_text(as_numbers(mask)) == text
        np.testing.assert_array_equal(rle_mask({"counts": text}, mask.shape), mask)


@pytest.mark.parametrize(
    ("rle", "text"),
    [
        (None, "expected an object with 'size' and 'counts'"),
        ({"size": [2, 3]}, "expected an object with 'size' and 'counts'"),
        ({"size": [3, 2], "counts": [6]}, r"expected an RLE of size \[2, 3\] \(height, width\), found \[3, 2\]"),
        ({"size": "2x3", "counts": [6]}, "found 2x3"),
        ({"counts": [1, 4]}, r"expected runs of 6 pixels in all \(2 rows, 3 columns\), found 5"),
        ({"counts": [2**39, 2**39]}, "found 1099511627776"),
        ({"counts": [1, -1, 6]}, "expected counts of whole numbers"),
        ({"counts": [1.5, 4.5]}, "expected counts of whole numbers"),
        ({"counts": [True] * 6}, "expected counts of whole numbers"),
        ({"counts": 6}, "expected counts of whole numbers"),
        ({"counts": ""}, "found 0"),
        ({"counts": "é"}, "no run lengths as COCO writes them"),
        ({"counts": "1P"}, "no run lengths as COCO writes them"),
        ({"counts": "o" * 9 + "1"}, "no run lengths as COCO writes them"),
        ({"counts": "0N0"}, "expected runs of 6 pixels in all"),
    ],
)
def test_what_is_no_mask_of_the_size_is_refused(rle: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        rle_mask(rle, (2, 3))
