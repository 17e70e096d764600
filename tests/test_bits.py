"""Packed flags."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.bits import pack_bits, unpack_bits


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 63), (2, 64), (2, 3, 65), (4, 200), (0, 5), (3, 0)])
def test_packing_and_unpacking(shape: tuple[int, ...]) -> None:
    flags = np.random.default_rng(0).random(shape) < 0.5
    words = pack_bits(flags)
    assert words.dtype == np.uint64
    assert words.shape == (*shape[:-1], -(-shape[-1] // 64))
    for index in range(shape[-1]):
        bit = words[..., index // 64] >> np.uint64(index % 64) & np.uint64(1)
        np.testing.assert_array_equal(bit != 0, flags[..., index])
    np.testing.assert_array_equal(unpack_bits(words, shape[-1]), flags)
    assert unpack_bits(words).shape == (*shape[:-1], 64 * words.shape[-1])
    assert not unpack_bits(words)[..., shape[-1] :].any()
