"""Containment between the masks of a view, and the chains of parents that follow from it."""

from __future__ import annotations

import numpy as np

from ..bits import unpack_bits
from ..errors import check_shape
from .mask_set import MaskSet

INSIDE_FRACTION = 0.95  # i lies inside j if more than this part of i is in j …
SAME_IOU = 0.9  # … and the two are not the same mask, which they are above this IoU
_RUNS_PER_BLOCK = 1 << 16  # bounds the memory of `_intersections` for masks of pure noise


def build_mask_set(masks: np.ndarray) -> MaskSet:
    """Pack the masks of one view and compute containment between them.

    Args:
        masks: [M, H, W] bool; M may be 0. The order is kept.

    Returns:
        The packed set with areas, containment and sameness.

    Raises:
        ValueError: The array has another shape, or a mask holds no pixel.

    Example:
        >>> halves = np.zeros((2, 4, 4), bool)
        >>> halves[0] = True
        >>> halves[1, :, :2] = True
        >>> build_mask_set(halves).inside.tolist()
        [[False, False], [True, False]]
    """
    check_shape("masks", masks, (None, None, None))
    bits = pack_masks(masks)
    shared = _intersections(bits, len(masks))
    areas = np.diagonal(shared).copy()
    if (areas == 0).any():
        raise ValueError(f"masks: mask {int(np.argmin(areas))} of {len(masks)} holds no pixel")
    inside, same = containment(shared)
    return MaskSet._trusted(bits, areas, inside, same)


def pack_masks(masks: np.ndarray) -> np.ndarray:
    """Pack masks [M, H, W] bool into words [H, W, ceil(M / 64)] uint64, bit m % 64 of word m // 64 for mask m."""
    count, height, width = masks.shape
    words = -(-count // 64)
    octets = np.zeros((height, width, words * 8), np.uint8)
    flags = np.ascontiguousarray(masks, bool).view(np.uint8)  # 0 or 1; shifting is much faster than packbits here
    for first in range(0, count, 8):
        packed = np.zeros((height, width), np.uint8)
        for bit, mask in enumerate(flags[first : first + 8]):
            packed |= mask << np.uint8(bit)
        octets[:, :, first // 8] = packed
    return octets.view("<u8").astype(np.uint64, copy=False)


def containment(shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Containment and sameness from the pixels that masks share.

    Args:
        shared: |i ∩ j| [M, M] int64, with the areas (all positive) on the diagonal.

    Returns:
        inside [M, M] bool (|i ∩ j| / |i| > 0.95 and IoU < 0.9) and same [M, M] bool (IoU > 0.9).
    """
    areas = np.diagonal(shared)
    iou = shared / (areas[:, None] + areas[None, :] - shared)
    inside = (shared / areas[:, None] > INSIDE_FRACTION) & (iou < SAME_IOU)
    return inside, iou > SAME_IOU


def mask_chains(mask_set: MaskSet) -> list[list[int]]:
    """Chains of masks leaf ⊂ parent ⊂ …, one for every mask that holds no other mask.

    A mask's parent is the smallest mask around it that holds no other mask around it. Of near-duplicates this picks
    the smaller, and as parents are larger than their children, every chain ends.

    Args:
        mask_set: The masks of one view.

    Returns:
        Mask indices from each leaf upwards, in the order of the leaves.
    """
    areas = mask_set.areas
    around = mask_set.inside & (areas[None, :] > areas[:, None])  # published hierarchy files may hold cycles
    parents = [_parent(around, areas, child) for child in range(len(mask_set))]
    chains = []
    for leaf in np.flatnonzero(~around.any(axis=0)).tolist():
        chain = [leaf]
        while (parent := parents[chain[-1]]) >= 0:
            chain.append(parent)
        chains.append(chain)
    return chains


def _parent(around: np.ndarray, areas: np.ndarray, child: int) -> int:
    """The parent of `child`, -1 for none; around[i, j] says that mask j lies around mask i."""
    candidates = np.flatnonzero(around[child])
    if len(candidates) == 0:
        return -1
    # The smallest cannot hold another candidate, as whatever a mask holds is smaller than the mask.
    return int(candidates[np.argmin(areas[candidates])])


def _intersections(bits: np.ndarray, count: int) -> np.ndarray:
    """Pixels that each two of `count` packed masks share [M, M], int64.

    Masks are made of areas, so neighbouring pixels mostly lie in the same masks: the matrix product runs over
    stretches of equal pixels, weighted by their length, and is exact in float64.
    """
    if count == 0:
        return np.zeros((0, 0), np.int64)
    pixels = bits.reshape(-1, bits.shape[2])  # [P, words]
    differs = np.ones(len(pixels), bool)
    differs[1:] = False
    for word in pixels.T:
        differs[1:] |= word[1:] != word[:-1]
    starts = np.flatnonzero(differs)
    lengths = np.diff(starts, append=len(pixels))
    shared = np.zeros((count, count))
    for first in range(0, len(starts), _RUNS_PER_BLOCK):
        block = slice(first, first + _RUNS_PER_BLOCK)
        members = unpack_bits(pixels[starts[block]], count).astype(np.float64)  # [R, M]
        shared += (members * lengths[block, None]).T @ members
    return shared.astype(np.int64)
