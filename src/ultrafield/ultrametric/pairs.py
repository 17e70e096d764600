"""What a training step compares: pairs of sampled pixels, and the graph that joins neighbouring ones.

Everything here works on small arrays on the CPU, which `losses` moves to the device of the features; `pixel_neighbors`,
`border_crossings` and `border_shares` take tensors too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..config import BorderWeighting
from ..errors import check_choice, check_shape

if TYPE_CHECKING:
    from torch import Tensor

ArrayOrTensor = TypeVar("ArrayOrTensor")


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
    octets = np.ascontiguousarray(bits, "<u8").view(np.uint8)
    flags = np.unpackbits(octets, axis=1, bitorder="little").view(bool).T  # [64 W, N]
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
    picture = _pack(image_of_pixel == pictures[:, None])[image_of_mask]  # each mask's picture [M, W]
    mask = _pack(membership) & picture
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
        beside = _pack(near)
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


def _pack(flags: np.ndarray) -> np.ndarray:
    """Rows [R, N] bool as words [R, ceil(N / 64)] uint64, lowest bit first."""
    octets = np.packbits(flags, axis=1, bitorder="little")
    octets = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8)))
    return octets.view("<u8").astype(np.uint64, copy=False)


def pixel_graph(positions: np.ndarray, image_of_pixel: np.ndarray, neighbors: int = 10) -> np.ndarray:
    """Join every sampled pixel with its nearest ones in the same picture.

    Args:
        positions: Pixel coordinates [N, 2] or unit ray directions [N, 3], finite.
        image_of_pixel: Picture of each pixel [N], int64.
        neighbors: Nearest others per pixel; fewer where a picture has fewer.

    Returns:
        Edges [E, 2], int64, each undirected edge once.

    Raises:
        ValueError: A shape is wrong, a position is not finite, or `neighbors` is below 1.
    """
    check_shape("positions", positions, (None, None))
    check_shape("image_of_pixel", image_of_pixel, (len(positions),))
    if neighbors < 1:
        raise ValueError(f"neighbors: expected at least 1, got {neighbors}")
    if not np.isfinite(positions).all():
        raise ValueError("positions: expected finite numbers")
    table = np.full((len(positions), neighbors), -1, np.int64)
    order = np.argsort(image_of_pixel, kind="stable")
    for pixels in np.split(order, np.flatnonzero(np.diff(image_of_pixel[order])) + 1):
        found = _nearest(positions[pixels], min(neighbors, len(pixels) - 1))
        table[pixels, : found.shape[1]] = pixels[found]
    return _joined(table)


def pixel_neighbors(positions: ArrayOrTensor, neighbors: int = 10) -> ArrayOrTensor:
    """The nearest sampled pixels of each one in the same picture, for pictures with equally many.

    A table of fixed shape: on CUDA all pixels of a picture are compared with all, in float32 and without a wait for the
    device; elsewhere a k-d tree serves. Among equally distant pixels the choice may differ.

    Args:
        positions: Pixel coordinates [B, n, 2], integer or floating point. Pixels may coincide; one whose position is
            not finite has no neighbours and is none.
        neighbors: Nearest others per pixel k.

    Returns:
        Indices within the picture [B, n, k], int64, the nearest first; -1 where there are no more. Arrays in, array
        out; tensors in, tensor out.

    Raises:
        ValueError: The shape is wrong or `neighbors` is below 1.

    >>> pixel_neighbors(np.array([[[0, 0], [3, 0], [4, 0]]]), 2).tolist()
    [[[1, 2], [2, 0], [1, 0]]]
    """
    check_shape("positions", positions, (None, None, 2))
    if neighbors < 1:
        raise ValueError(f"neighbors: expected at least 1, got {neighbors}")
    if isinstance(positions, np.ndarray):
        return _neighbor_table(positions, neighbors)
    if positions.is_cuda:
        from .kernels.pixel_graph_gpu import pixel_neighbors_gpu

        return pixel_neighbors_gpu(positions, neighbors)
    import torch

    return torch.from_numpy(_neighbor_table(positions.numpy(), neighbors))


def _neighbor_table(positions: np.ndarray, neighbors: int) -> np.ndarray:
    table = np.full((*positions.shape[:2], neighbors), -1, np.int64)
    for rows, points in zip(table, positions, strict=True):
        real = np.flatnonzero(np.isfinite(points).all(1))
        found = _nearest(points[real], min(neighbors, len(real) - 1))
        rows[real, : found.shape[1]] = real[found]
    return table


def neighbor_graph(neighbors: np.ndarray) -> np.ndarray:
    """`pixel_graph` from the table of `pixel_neighbors`.

    Args:
        neighbors: Indices within the picture [B, n, k], int64, −1 for none.

    Returns:
        Edges [E, 2], int64, each undirected edge once, between pixels 0 … B · n − 1, picture after picture.
    """
    check_shape("neighbors", neighbors, (None, None, None))
    pictures, count, columns = neighbors.shape
    shifted = neighbors + count * np.arange(pictures)[:, None, None]
    return _joined(np.where(neighbors >= 0, shifted, -1).reshape(pictures * count, columns))


def _joined(table: np.ndarray) -> np.ndarray:
    """Edges [E, 2] between every pixel and those in its row of a table [N, k], each once."""
    from .kernels.pairs_cpu import first_mentions

    rows, columns = np.nonzero(first_mentions(table))
    return np.stack([rows, table[rows, columns]], axis=1)


def neighbor_memberships(bits: ArrayOrTensor, neighbors: ArrayOrTensor) -> ArrayOrTensor:
    """The masks that hold any neighbour of each pixel.

    Args:
        bits: Packed memberships of B pictures with n pixels each [B · n, W]: NumPy uint64, or a tensor as int64.
        neighbors: Indices within the picture [B, n, k], −1 for none, from `pixel_neighbors`.

    Returns:
        [B · n, W], packed likewise. Arrays in, array out; tensors in, tensor out, without a wait for the device.

    >>> neighbor_memberships(np.array([[1], [2], [4]], np.uint64), np.array([[[1, 2], [0, -1], [-1, -1]]])).tolist()
    [[6], [1], [0]]
    """
    check_shape("neighbors", neighbors, (None, None, None))
    pictures, count, columns = neighbors.shape
    check_shape("bits", bits, (pictures * count, None))
    table = bits.reshape(pictures, count, -1)
    if isinstance(bits, np.ndarray):
        take = np.take_along_axis
    else:
        from torch import take_along_dim as take
    found = 0 * table
    for column in range(columns):
        index = neighbors[:, :, column, None]  # [B, n, 1]
        found |= take(table, index.clip(0), 1) * (index >= 0)
    return found.reshape(bits.shape)


def _nearest(points: np.ndarray, count: int) -> np.ndarray:
    """The `count` nearest other points of each point [n, count], as indices."""
    from scipy.spatial import cKDTree

    if count < 1:
        return np.zeros((len(points), 0), np.int64)
    _, found = cKDTree(points).query(points, count + 1)
    # A point finds itself, though not always first and, among many equal points, not always at all.
    itself = found == np.arange(len(points))[:, None]
    itself[~itself.any(1), -1] = True
    return found[~itself].reshape(len(points), count)


def border_crossings(edges: ArrayOrTensor, bits: ArrayOrTensor) -> ArrayOrTensor:
    """Which edges cross the border of any mask.

    Args:
        edges: Pixel indices [E, 2], int64; both ends in one picture.
        bits: Packed memberships [N, W]: NumPy uint64, or a tensor of the same bits as int64.

    Returns:
        [E] bool: the ends differ in at least one mask. Arrays in, array out; tensors in, tensor out.
    """
    check_shape("edges", edges, (None, 2))
    check_shape("bits", bits, (None, None))
    return (bits[edges[:, 0]] != bits[edges[:, 1]]).any(1)


def border_shares(edges: ArrayOrTensor, bits: ArrayOrTensor) -> ArrayOrTensor:
    """Share of the masks around an edge that have their border on it.

    Where masks contradict each other, or draw one border a pixel apart, this is how much of the evidence speaks for the
    border, while `border_crossings` says that some of it does.

    Args:
        edges: Pixel indices [E, 2], int64; both ends in one picture.
        bits: Packed memberships [N, W]: NumPy uint64, or a tensor of the same bits as int64.

    Returns:
        [E], float32, in [0, 1]: masks that hold one end, divided by masks that hold either; 0 where none does. Arrays
        in, array out; tensors in, tensor out, without a wait for the device.

    >>> border_shares(np.array([[0, 1], [0, 2]]), np.array([[0b011], [0b001], [0b100]], np.uint64)).tolist()
    [0.5, 1.0]
    """
    check_shape("edges", edges, (None, 2))
    check_shape("bits", bits, (None, None))
    one, other = bits[edges[:, 0]], bits[edges[:, 1]]  # [E, W]
    if isinstance(bits, np.ndarray):
        apart, around = (np.bitwise_count(words).sum(1, dtype=np.float32) for words in (one ^ other, one | other))
        return apart / np.maximum(around, 1)
    apart, around = (_bit_count(words).sum(1).float() for words in (one ^ other, one | other))
    return apart / around.clamp(min=1)


def _bit_count(words: Tensor) -> Tensor:
    """Set bits of each int64 word.

    PyTorch has no such operation. Shifts copy the sign, and each mask leaves out the places that it was copied to.
    """
    words = words - ((words >> 1) & 0x5555555555555555)  # of every 2 bits
    words = (words & 0x3333333333333333) + ((words >> 2) & 0x3333333333333333)  # of every 4
    words = (words + (words >> 4)) & 0x0F0F0F0F0F0F0F0F  # of every 8
    return (words * 0x0101010101010101) >> 56  # their sum, at most 64, in the highest byte


def border_evidence(edges: ArrayOrTensor, bits: ArrayOrTensor, weighting: BorderWeighting) -> ArrayOrTensor:
    """How much of the border penalty each edge gets [E]: `border_crossings` for "any", `border_shares` for "share".

    Raises:
        ConfigError: An unknown weighting.
    """
    check_choice("border_weighting", weighting, ("any", "share"))
    return border_crossings(edges, bits) if weighting == "any" else border_shares(edges, bits)
