"""Masks as bits on the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.masks.packing import pack_masks
from ultrafield.masks.sam.bits import membership_words, pack_pixels


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (7, 33)])
@pytest.mark.parametrize("count", [0, 1, 9, 64, 65, 130])
def test_bits_are_those_of_the_masks(size: tuple[int, int], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultrafield.masks.sam.bits._BLOCK_BYTES", 2048)
    masks = np.random.default_rng(count).random((count, *size)) < 0.4
    packed = pack_pixels(torch.from_numpy(masks))
    pixels = size[0] * size[1]
    assert packed.shape == (count, -(-pixels // 8))
    expected = np.packbits(masks.reshape(count, pixels), axis=-1, bitorder="little")
    np.testing.assert_array_equal(packed.numpy(), expected)
    unpacked = np.unpackbits(packed.numpy(), axis=-1, count=pixels, bitorder="little").astype(bool)
    np.testing.assert_array_equal(unpacked, masks.reshape(count, pixels))
    words = membership_words(packed, pixels).numpy().view(np.uint64)
    np.testing.assert_array_equal(words.T.reshape(*size, len(words)), pack_masks(masks))
