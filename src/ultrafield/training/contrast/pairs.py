"""What a training step compares: pairs of sampled pixels, drawn on the CPU from masks and their chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...bits import pack_bits, unpack_bits
from ...errors import check_shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """K comparisons: an anchor must be nearer to its positive than to each of its negatives.

    Attributes:
        anchor: Sampled pixels [K], int64.
        positive: [K], int64; may be the anchor itself.
        negative: [K, n], int64; of the anchor's picture.
        valid: Which comparisons count [K], bool, where a fixed K leaves some unused, whose pixels may then be any
            numbers; None if all count.
        weight: What is known of each negative [K, n], float32, ≥ 0: those of weight 0 are left out, and a comparison
            counts beside the others with the mean of its negatives'. None if all count alike.
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
        membership: Which pixel each stacked mask holds [M, N] bool; picture b's mask m is row m + Σ of those before.
        image_of_mask: [M], int64.
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

    Of every mask: positives within it, negatives across its border. If `hierarchical`, further, of every link
    child ⊂ parent of a chain: (child, parent∖child) as a negative of pairs within the child, and as a positive against
    pixels outside the parent; and of every mask with children: positives within the part that no child covers. Each
    of these kinds yields `pairs_per_mask` comparisons, drawn uniformly with replacement, and, if `near` is given, as
    many again whose negatives lie along the border of the mask that they are outside of.

    Args:
        membership: Which sampled pixel each mask holds [M, N] bool; the masks of all pictures, stacked. What a mask
            holds in other pictures than its own is ignored.
        image_of_pixel: Picture of each sampled pixel [N], int64.
        image_of_mask: Picture of each mask [M], int64.
        chains: Masks leaf ⊂ parent ⊂ … of one picture each; shared tails are used once.
        pairs_per_mask: Comparisons per mask and kind.
        negatives: Negatives per comparison n.
        hierarchical: Whether to follow the chains.
        min_pixels: A mask, or a link, is skipped if any of the parts to draw from has fewer pixels, ≥ 1.
        generator: Source of every draw.
        min_uncovered: A mask's uncovered part needs this many pixels.
        near: Which sampled pixels have a neighbour in each mask [M, N] bool (see `neighbor_memberships`); None for no
            comparisons along borders.

    Returns:
        Comparisons, K a multiple of `pairs_per_mask`; possibly none.

    Raises:
        ValueError: A shape is wrong, a count is below 1, or a chain names a mask that does not exist.
    """
    from .kernels.pairs_cpu import draw_members

    _check_sampling(membership, image_of_pixel, image_of_mask, chains, pairs_per_mask, negatives, min_pixels)
    links = sorted({link for chain in chains for link in pairwise(chain)}) if hierarchical else []
    if near is not None:
        check_shape("near", near, membership.shape)
    words, rules = _regions(membership, near, image_of_pixel, image_of_mask, links, min_pixels, min_uncovered)
    cumulative = np.cumsum(np.bitwise_count(words), axis=1, dtype=np.int64)
    counts = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    rules = rules[(counts[rules[:, :3]] >= rules[:, 3:]).all(1)]

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
    membership: np.ndarray,
    near: np.ndarray | None,
    image_of_pixel: np.ndarray,
    image_of_mask: np.ndarray,
    links: list[tuple[int, int]],
    min_pixels: int,
    min_uncovered: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The sets of pixels to draw from, and which of them make a comparison.

    Returns:
        words: Packed sets [R, ceil(N / 64)], uint64.
        rules: The sets of anchor, positive and negative, and the pixels each must have [T, 4], int64.
    """
    pictures = np.arange(image_of_mask.max(initial=-1) + 1)
    picture = pack_bits(image_of_pixel == pictures[:, None])[image_of_mask]  # each mask's picture [M, W]
    mask = pack_bits(membership) & picture
    child, parent = np.array(links, np.int64).reshape(-1, 2).T
    mothers = np.unique(parent)
    uncovered = [mask[mother] & ~np.bitwise_or.reduce(mask[child[parent == mother]]) for mother in mothers]
    sets = [
        mask,
        picture & ~mask,
        mask[child] & mask[parent],
        mask[parent] & ~mask[child],
        np.array(uncovered, np.uint64).reshape(len(mothers), mask.shape[1]),
    ]
    ends = np.cumsum([len(rows) for rows in sets])
    inside, outside, both, ring, rest = np.split(np.arange(ends[-1]), ends[:-1])
    rules = [
        (inside, inside, outside, min_pixels),
        (inside[child], inside[child], ring, min_pixels),
        (both, ring, outside[parent], min_pixels),
        (rest, rest, outside[mothers], max(min_pixels, min_uncovered)),
    ]
    if near is not None:
        beside = pack_bits(near)
        sets += [sets[1] & beside, sets[3] & beside[child]]
        border = ends[-1] + np.arange(len(mask))
        border_ring = ends[-1] + len(mask) + np.arange(len(child))
        rules += [
            (inside, inside, border, min_pixels),
            (inside[child], inside[child], border_ring, min_pixels),
            (both, ring, border[parent], min_pixels),
            (rest, rest, border[mothers], max(min_pixels, min_uncovered)),
        ]
    table = np.concatenate([np.stack(np.broadcast_arrays(*rule), axis=1) for rule in rules])
    return np.concatenate(sets), table
