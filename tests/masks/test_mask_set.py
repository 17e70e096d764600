"""Mask sets refuse what compiled loops could not read."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from ultrafield.masks import MaskSet, build_mask_set
from ultrafield.masks.distinct import distinct_rows


def masks(count: int = 3) -> np.ndarray:
    stack = np.random.default_rng(count).random((count, 6, 5)) < 0.5
    stack[:, 0, 0] = True
    return stack


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_a_built_set_passes_its_own_checks(count: int) -> None:
    built = build_mask_set(masks(count))
    again = MaskSet(built.bits, built.areas, built.inside, built.same)
    np.testing.assert_array_equal(again.masks(), masks(count))
    assert repr(again) == f"MaskSet({count} masks of 5×6 pixels)"


def test_what_is_not_contiguous_is_copied() -> None:
    built = build_mask_set(masks())
    turned = replace(built, bits=np.asfortranarray(built.bits))
    assert turned.bits.flags.c_contiguous
    np.testing.assert_array_equal(turned.bits, built.bits)


def test_bad_arrays_are_named() -> None:
    built = build_mask_set(masks())
    for changes, error in (
        ({"bits": built.bits.astype(np.int64)}, "bits: expected uint64, got int64"),
        ({"bits": built.bits[..., [0, 0]]}, "bits: expected shape [*, *, 1], got [6, 5, 2]"),
        ({"bits": built.bits | np.uint64(8)}, "bits: a bit from 3 on is set, but there are 3 masks"),
        ({"bits": built.bits | np.uint64(1)}, "areas: expected a sum of"),
        ({"areas": built.areas.astype(np.int32)}, "areas: expected int64, got int32"),
        ({"areas": built.areas * [1, 0, 1]}, "areas: mask 1 of 3 holds no pixel"),
        ({"inside": built.inside[:2]}, "inside: expected shape [3, 3], got [2, 3]"),
        ({"same": built.same.astype(np.uint8)}, "same: expected bool, got uint8"),
    ):
        with pytest.raises(ValueError, match=re.escape(error)):
            replace(built, **changes)
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"mask {index} is out of range for 3 masks"):
            built.mask(index)


@pytest.mark.parametrize("count", [0, 3, 130])
def test_compressed_masks_are_the_same(count: int) -> None:
    built = build_mask_set(masks(count))
    small = built.compressed()
    for again in (small, small.compressed(), pickle.loads(pickle.dumps(small)), small.expanded(), built.expanded()):
        for name in ("rows", "numbers", "bits", "areas", "inside", "same"):
            found, expected = getattr(again, name), getattr(built, name)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
        np.testing.assert_array_equal(again.masks(), masks(count))
        np.testing.assert_array_equal(again.counts(), built.counts())
        assert again.shape == built.shape
        assert repr(again) == repr(built)
    assert small.numbers is not small.numbers
    assert small.expanded().numbers.flags.writeable  # as PyTorch and compiled loops want it
    assert built.expanded() is built


def test_the_numbers_of_pixels_take_a_twentieth_when_compressed() -> None:
    built = build_mask_set(nested_cells(64, 256))
    saved = len(pickle.dumps(built)) - len(pickle.dumps(built.compressed()))
    assert saved > 0.95 * built.numbers.nbytes


def nested_cells(count: int, size: int) -> np.ndarray:
    """`count` masks [M, H, W] bool, cells of a fine and of a coarse grid."""
    stack = np.zeros((count, size, size), bool)
    for index, mask in enumerate(stack):
        edge = 8 if index % 16 else 32
        row, column = divmod(index, size // edge)
        mask[row * edge % size :, column * edge :][:edge, :edge] = True
    return stack


def test_a_set_takes_a_small_part_of_its_bits() -> None:
    built = build_mask_set(nested_cells(640, 256))
    held = sum(
        part.nbytes
        for value in vars(built).values()
        for part in (value if isinstance(value, tuple) else (value,))
        if isinstance(part, np.ndarray)
    )
    assert built.bits.nbytes == 256 * 256 * 80
    assert held < 0.08 * built.bits.nbytes


def test_sizes_are_those_of_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultrafield.masks.sizes._BAND_PIXELS", 30)
    monkeypatch.setattr("ultrafield.masks.distinct._ROWS", 7)
    stack = masks(70)
    built = build_mask_set(stack)
    np.testing.assert_array_equal(built.sizes(built.counts()), stack.sum(axis=(1, 2)))
    for index in range(70):
        np.testing.assert_array_equal(built.mask(index), stack[index])


@pytest.mark.parametrize("words", [0, 1, 3])
@pytest.mark.parametrize("different", [1, 300, 70_000])
def test_distinct_memberships_make_the_bits_again(words: int, different: int) -> None:
    rng = np.random.default_rng(words)
    bits = rng.integers(0, 1 << 63, (different, words), np.uint64)[rng.integers(0, different, (300, 300))]
    rows, numbers = distinct_rows(bits)
    np.testing.assert_array_equal(rows[numbers], bits)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert numbers.dtype == (np.uint8 if len(rows) <= 256 else np.uint16 if len(rows) <= 65536 else np.uint32)
