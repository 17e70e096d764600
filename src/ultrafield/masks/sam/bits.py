"""Masks on the device as bits: eight pixels of a mask in a byte, or a pixel's membership of 64 masks in a word."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_BLOCK_BYTES = 1 << 28  # of a temporary array


def pack_pixels(masks: Tensor) -> Tensor:
    """Pack masks [N, H, W] bool into bytes [N, ceil(H · W / 8)] uint8: bit p % 8 of byte p // 8 is pixel p."""
    flat = masks.flatten(1)
    octets = functional.pad(flat, (0, -flat.shape[1] % 8)).view(torch.uint8).unflatten(1, (-1, 8))
    packed = octets[..., 0].clone()
    for bit in range(1, 8):
        packed |= octets[..., bit] << bit
    return packed


def membership_words(packed: Tensor, pixels: int) -> Tensor:
    """The masks that each pixel lies in.

    Args:
        packed: Masks [N, B] uint8, as from `pack_pixels`.
        pixels: Pixels of a mask.

    Returns:
        Words [ceil(N / 64), pixels], int64: bit m % 64 of word m // 64 says whether mask m holds the pixel.
    """
    words = [_words(packed[first : first + 64]) for first in range(0, len(packed), 64)]
    return torch.stack(words)[:, :pixels] if words else packed.new_zeros((0, pixels), dtype=torch.int64)


def _words(packed: Tensor) -> Tensor:
    """The words of up to 64 masks, some bytes at a time."""
    count, size = packed.shape
    places = torch.arange(count, device=packed.device)[:, None]
    words = packed.new_empty((size, 8), dtype=torch.int64)
    at_once = max(1, _BLOCK_BYTES // (16 * count))
    for first in range(0, size, at_once):
        block = packed[:, first : first + at_once]
        for bit in range(8):
            flags = ((block >> bit) & 1).long()
            words[first : first + at_once, bit] = (flags << places).sum(dim=0)
    return words.reshape(-1)
