"""Containment between the masks of a view, and the chains of parents that follow from it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..bits import unpack_bits
from ..errors import check_shape
from .distinct import distinct_rows, row_counts
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
    return distinct_mask_set(*distinct_rows(bits), areas)


def distinct_mask_set(rows: np.ndarray, numbers: np.ndarray, areas: np.ndarray) -> MaskSet:
    """The set of masks whose distinct memberships are known, with their containment; arguments as in `MaskSet`."""
    inside, same = containment(_intersections(rows, row_counts(numbers, len(rows)), len(areas)))
    return MaskSet._trusted((rows, numbers), areas, inside, same)


def mask_set_of(masks: Iterable[np.ndarray], most: int, size: Size) -> MaskSet:
    """The set of masks that come one after the other and never lie in memory together; empty ones are left out.

    Args:
        masks: [H, W] bool each, of any size; they are resampled (nearest pixel).
        most: How many may come.
        size: Height and width of the set.
    """
    packer = MaskPacker(most, size)
    for mask in masks:
        packer.add(mask)
    return packed_mask_set(*packer.finish())


def disjoint_mask_set(bits: np.ndarray, areas: np.ndarray) -> MaskSet:
    """The set of masks that are packed already and share no pixel; `bits` and `areas` as in `MaskSet`."""
    count = len(areas)
    return MaskSet._trusted(distinct_rows(bits), areas, np.zeros((count, count), bool), np.eye(count, dtype=bool))


def resized_mask_set(masks: MaskSet, size: Size) -> MaskSet:
    """The masks at another size (nearest pixel), without those that vanish; their containment is computed anew."""
    if masks.shape == size:
        return masks
    return mask_set_of(map(masks.mask, range(len(masks))), len(masks), size)


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


def _intersections(rows: np.ndarray, counts: np.ndarray, count: int) -> np.ndarray:
    """Pixels that each two of `count` packed masks share [M, M], integers.

    What is counted are the distinct memberships, weighted by their pixels. Few masks take a matrix product; of many, a
    pixel lies in few, whose pairs are counted one by one.

    Args:
        rows: The distinct memberships [C, ceil(M / 64)], uint64.
        counts: Pixels that have them [C], int64.
        count: Number of masks M.
    """
    if count == 0 or not counts.any():
        return np.zeros((count, count), np.int64)
    pixels = int(counts.sum())
    if count > _FEW and _pairs(rows) * _PAIR_COST < count**2 * len(rows):
        from .kernels.overlap_cpu import add_shared

        shared = np.zeros((count, count), np.int32 if pixels < 1 << 31 else np.int64)
        add_shared(rows, counts, shared)
        return shared
    return _product(rows, counts, count, np.float32 if pixels < 1 << 24 else np.float64)


def _rows_per_block(columns: int) -> int:
    """Rows that are worked on at once, so that a temporary array of 8-byte numbers stays small."""
    return max(1, _BLOCK_BYTES // (8 * max(1, columns)))


def _pairs(rows: np.ndarray) -> int:
    """How many pairs of masks the memberships are held by, all together."""
    total, at_once = 0, _rows_per_block(rows.shape[1])
    for first in range(0, len(rows), at_once):
        members = np.bitwise_count(rows[first : first + at_once]).sum(axis=1, dtype=np.int64)
        total += int((members**2).sum())
    return total


def _product(rows: np.ndarray, counts: np.ndarray, count: int, dtype: type) -> np.ndarray:
    """The shared pixels [M, M] int64 as a product of memberships, exact as `dtype` holds every sum exactly."""
    shared: np.ndarray = np.zeros((count, count), dtype)
    at_once = _rows_per_block(count)
    for first in range(0, len(rows), at_once):
        block = slice(first, first + at_once)
        members: np.ndarray = unpack_bits(rows[block], count).astype(dtype)  # [C, M]
        shared += (members * counts[block, None].astype(dtype)).T @ members
    return shared.astype(np.int64)
