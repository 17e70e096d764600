"""Containment between the masks of a view, and the chains of parents that follow from it."""

from __future__ import annotations

import numpy as np

from ..bits import unpack_bits
from ..errors import check_shape
from .mask_set import MaskSet
from .packing import MaskPacker, pack_masks
from .sizes import Size

INSIDE_FRACTION = 0.95  # i lies inside j if more than this part of i is in j …
SAME_IOU = 0.9  # … and the two are not the same mask, which they are above this IoU
_FEW = 256  # masks, up to which a matrix product is the fastest way to count what they share
_PAIR_COST = 16  # multiplications of a matrix product that take as long as counting one pair
_BLOCK_BYTES = 1 << 25  # of a temporary array


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
    areas = np.array([np.count_nonzero(mask) for mask in masks], np.int64)
    if (areas == 0).any():
        raise ValueError(f"masks: mask {int(np.argmin(areas))} of {len(masks)} holds no pixel")
    return packed_mask_set(pack_masks(masks), areas)


def packed_mask_set(bits: np.ndarray, areas: np.ndarray) -> MaskSet:
    """The set of masks that are packed already, with their containment; `bits` and `areas` as in `MaskSet`."""
    inside, same = containment(_intersections(bits, len(areas)))
    return MaskSet._trusted(bits, areas, inside, same)


def disjoint_mask_set(bits: np.ndarray, areas: np.ndarray) -> MaskSet:
    """The set of masks that are packed already and share no pixel; `bits` and `areas` as in `MaskSet`."""
    count = len(areas)
    return MaskSet._trusted(bits, areas, np.zeros((count, count), bool), np.eye(count, dtype=bool))


def resized_mask_set(masks: MaskSet, size: Size) -> MaskSet:
    """The masks at another size (nearest pixel), without those that vanish; their containment is computed anew."""
    if masks.shape == size:
        return masks
    packer = MaskPacker(len(masks), size)
    for index in range(len(masks)):
        packer.add(masks.mask(index))
    return packed_mask_set(*packer.finish())


def containment(shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Containment and sameness from the pixels that masks share.

    Args:
        shared: |i ∩ j| [M, M] integers, with the areas (all positive) on the diagonal.

    Returns:
        inside [M, M] bool (|i ∩ j| / |i| > 0.95 and IoU < 0.9) and same [M, M] bool (IoU > 0.9).
    """
    areas = np.diagonal(shared).astype(np.int64)
    inside, same = np.zeros(shared.shape, bool), np.zeros(shared.shape, bool)
    rows = _rows_per_block(len(shared))
    for first in range(0, len(shared), rows):
        block = slice(first, first + rows)
        iou = shared[block] / (areas[block, None] + areas[None, :] - shared[block])
        inside[block] = (shared[block] / areas[block, None] > INSIDE_FRACTION) & (iou < SAME_IOU)
        same[block] = iou > SAME_IOU
    return inside, same


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
    """Pixels that each two of `count` packed masks share [M, M], integers.

    Masks are made of areas, so neighbouring pixels mostly lie in the same masks: what is counted are stretches of equal
    pixels, weighted by their length. Few masks take a matrix product; of many, a pixel lies in few, whose pairs are
    counted one by one.
    """
    pixels = bits.reshape(bits.shape[0] * bits.shape[1], bits.shape[2])  # [P, words]
    if count == 0 or len(pixels) == 0:
        return np.zeros((count, count), np.int64)
    starts = _run_starts(pixels)
    lengths = np.diff(starts, append=len(pixels))
    if count > _FEW and _pairs(pixels, starts) * _PAIR_COST < count**2 * len(starts):
        from .kernels.overlap_cpu import add_shared

        shared = np.zeros((count, count), np.int32 if len(pixels) < 1 << 31 else np.int64)
        add_shared(pixels, starts, lengths, shared)
        return shared
    return _product(pixels, starts, lengths, count)


def _rows_per_block(columns: int) -> int:
    """Rows that are worked on at once, so that a temporary array of 8-byte numbers stays small."""
    return max(1, _BLOCK_BYTES // (8 * max(1, columns)))


def _run_starts(pixels: np.ndarray) -> np.ndarray:
    """The first pixel of each stretch of equal pixels [R], int64."""
    differs = np.ones(len(pixels), bool)
    rows = _rows_per_block(pixels.shape[1])
    for first in range(1, len(pixels), rows):
        last = min(first + rows, len(pixels))
        differs[first:last] = (pixels[first:last] != pixels[first - 1 : last - 1]).any(axis=1)
    return np.flatnonzero(differs)


def _pairs(pixels: np.ndarray, starts: np.ndarray) -> int:
    """How many pairs of masks the runs are held by, all together."""
    total, rows = 0, _rows_per_block(pixels.shape[1])
    for first in range(0, len(starts), rows):
        words = pixels[starts[first : first + rows]]
        members = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
        total += int((members**2).sum())
    return total


def _product(pixels: np.ndarray, starts: np.ndarray, lengths: np.ndarray, count: int) -> np.ndarray:
    """The shared pixels [M, M] int64 as a product of memberships, exact as no sum exceeds what floats hold exactly."""
    dtype = np.float32 if len(pixels) < 1 << 24 else np.float64
    shared = np.zeros((count, count), dtype)
    rows = _rows_per_block(count)
    for first in range(0, len(starts), rows):
        block = slice(first, first + rows)
        members = unpack_bits(pixels[starts[block]], count).astype(dtype)  # [R, M]
        shared += (members * lengths[block, None].astype(dtype)).T @ members
    return shared.astype(np.int64)
