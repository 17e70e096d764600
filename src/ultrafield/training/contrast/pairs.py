"""Comparisons between sampled pixels, drawn on the CPU from masks and their chains by the rules of `rules`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...bits import pack_bits, unpack_bits
from ...errors import check_shape
from .rules import RuleTable, chain_links, rule_table

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pairs:
    """K comparisons: an anchor must be nearer to its positive than to each of its negatives.

    Attributes:
        anchor: Sampled pixels [K], int64.
        positive: [K], int64; may be the anchor itself.
        negative: [K, n], int64; of the anchor's picture.
        valid: Which comparisons count [K], bool; the indices of the others, which fill up a fixed K, may be any
            numbers. None if all count.
        weight: Weight of each negative [K, n], float32, ≥ 0: those of weight 0 are left out, and a comparison is
            weighted by the mean over its negatives. None weighs all alike.
    """

    anchor: np.ndarray | Tensor
    positive: np.ndarray | Tensor
    negative: np.ndarray | Tensor
    valid: np.ndarray | Tensor | None = None
    weight: np.ndarray | Tensor | None = None

    def __len__(self) -> int:
        return len(self.anchor)


def unpack_membership(
    bits: np.ndarray, image_of_pixel: np.ndarray, masks_per_image: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Stack the masks of several pictures.

    Args:
        bits: Each sampled pixel's packed memberships among the masks of its own picture [N, W], uint64; bit m % 64 of
            word m // 64 belongs to mask m.
        image_of_pixel: Picture of each pixel [N], int64 in [0, B).
        masks_per_image: Number of masks of each picture [B].

    Returns:
        membership: Which pixels each mask holds [M, N] bool, M = Σ masks_per_image, picture after picture.
        image_of_mask: [M], int64.

    Raises:
        ValueError: A shape is wrong, or a pixel has fewer bits than its picture has masks.
    """
    check_shape("image_of_pixel", image_of_pixel, (len(bits),))
    flags = unpack_bits(bits).T  # [64 W, N]
    if max(masks_per_image, default=0) > len(flags):
        raise ValueError(f"bits: {len(flags)} bits per pixel, too few for {max(masks_per_image)} masks")
    stacked = [flags[:count] & (image_of_pixel == image) for image, count in enumerate(masks_per_image)]
    membership = np.concatenate([*stacked, np.zeros((0, len(bits)), bool)])
    return membership, np.repeat(np.arange(len(masks_per_image)), masks_per_image)


def sample_pairs(
    membership: np.ndarray,
    image_of_pixel: np.ndarray,
    image_of_mask: np.ndarray,
    chains: Sequence[Sequence[int]],
    *,
    pairs_per_mask: int,
    negatives: int,
    hierarchical: bool,
    min_pixels: int,
    generator: np.random.Generator,
    min_uncovered: int = 10,
    near: np.ndarray | None = None,
) -> Pairs:
    """Draw comparisons from the masks of a step, so that distance grows with the level at which pixels share a mask.

    For every mask: positives inside, negatives outside. If `hierarchical`, also for every link child ⊂ parent of a
    chain: pairs (child, parent∖child) serve as negatives of pairs within the child, and as positives against pixels
    outside the parent; and for every mask with children: positives within the part that no child covers. Each rule
    (see `rules.RULES`) yields `pairs_per_mask` comparisons, drawn uniformly with replacement, and, if `near` is given,
    as many again whose negatives lie along the border of the mask that they are outside of.

    Args:
        membership: Which sampled pixels each mask holds [M, N] bool; the masks of all pictures, stacked. Pixels of
            other pictures than the mask's own are ignored.
        image_of_pixel: Picture of each sampled pixel [N], int64.
        image_of_mask: Picture of each mask [M], int64.
        chains: Masks leaf ⊂ parent ⊂ … of one picture each; shared tails are used once.
        pairs_per_mask: Comparisons per mask and kind.
        negatives: Negatives per comparison n.
        hierarchical: Whether to follow the chains.
        min_pixels: A rule is skipped where one of its three regions has fewer pixels, ≥ 1.
        generator: Source of every draw.
        min_uncovered: Likewise for the rule on the part of a mask that no child covers, if that is more.
        near: Which sampled pixels have a neighbour in each mask [M, N] bool (see `neighbor_memberships`); None for no
            comparisons along borders.

    Returns:
        Comparisons, K a multiple of `pairs_per_mask`; possibly none.

    Raises:
        ValueError: A shape is wrong, a count is below 1, or a chain names a mask that does not exist.
    """
    from .kernels.pairs_cpu import draw_members

    _check_sampling(membership, image_of_pixel, image_of_mask, chains, pairs_per_mask, negatives, min_pixels)
    if near is not None:
        check_shape("near", near, membership.shape)
    table = rule_table(
        len(membership),
        chain_links(chains if hierarchical else ()),
        stride=len(membership),
        borders=near is not None,
        min_pixels=min_pixels,
        min_uncovered=min_uncovered,
    )
    words = _regions(table, membership, near, image_of_pixel, image_of_mask)
    cumulative = np.cumsum(np.bitwise_count(words), axis=1, dtype=np.int64)
    counts = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    rules = table.rules[(counts[table.rules[:, :3]] >= table.rules[:, 3:]).all(1)]

    def draw(regions: np.ndarray, per_pair: int) -> np.ndarray:
        chance = generator.random((len(regions), pairs_per_mask * per_pair))
        ranks = (chance * counts[regions, None]).astype(np.int64)
        return draw_members(words, cumulative, regions, ranks).reshape(-1, per_pair)

    return Pairs(draw(rules[:, 0], 1)[:, 0], draw(rules[:, 1], 1)[:, 0], draw(rules[:, 2], negatives))


def _check_sampling(
    membership: np.ndarray,
    image_of_pixel: np.ndarray,
    image_of_mask: np.ndarray,
    chains: Sequence[Sequence[int]],
    pairs_per_mask: int,
    negatives: int,
    min_pixels: int,
) -> None:
    check_shape("membership", membership, (len(image_of_mask), len(image_of_pixel)))
    for name, value in (("pairs_per_mask", pairs_per_mask), ("negatives", negatives), ("min_pixels", min_pixels)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    for mask in (mask for chain in chains for mask in chain):
        if not 0 <= mask < len(membership):
            raise ValueError(f"chains: expected mask indices in [0, {len(membership)}), found {mask}")


def _regions(
    table: RuleTable,
    membership: np.ndarray,
    near: np.ndarray | None,
    image_of_pixel: np.ndarray,
    image_of_mask: np.ndarray,
) -> np.ndarray:
    """Packed pixels of each region of a table [R, ceil(N / 64)], uint64."""
    pictures = np.arange(image_of_mask.max(initial=-1) + 1)
    picture = pack_bits(image_of_pixel == pictures[:, None])[image_of_mask]  # of each mask [M, W]
    mask = pack_bits(membership) & picture
    beside = np.zeros_like(mask) if near is None else pack_bits(near) & picture
    sets = np.concatenate([mask, beside, picture])  # as numbered by `SET_KINDS`
    one, other = table.inside.T
    return sets[one] & sets[other] & ~_unions(mask, table.outside, table.outside_starts)


def _unions(words: np.ndarray, members: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Unions [R, W] of runs of packed sets: of the rows `members` from starts[r] up to starts[r + 1]."""
    unions = np.zeros((len(starts) - 1, words.shape[1]), words.dtype)
    filled = np.diff(starts) > 0
    if filled.any():
        unions[filled] = np.bitwise_or.reduceat(words[members], starts[:-1][filled])
    return unions
