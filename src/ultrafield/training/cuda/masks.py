"""Pictures, pixels, memberships and comparisons of feature training, drawn on the device without the host.

The distribution is that of `MaskPool.draw` followed by `sample_pairs`. All shapes are fixed when the tables are made,
and nothing waits for the device, so that a CUDA graph can hold a whole training step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ...config import FeatureConfig
from ..contrast.mask_pool import MaskPool
from ..contrast.neighbors import neighbor_memberships, pixel_neighbors

_PICTURE = -1  # in place of a mask: all pixels of the picture


@dataclass(frozen=True)
class DeviceBatch:
    """The pixels of one step, n from each of B pictures (N = B · n), and K comparisons between them.

    Attributes:
        pixels: Pool index of each drawn pixel [N], int64, picture after picture.
        views: The pictures [B], int64.
        positions: Column and row of each pixel [B, n, 2], int32.
        neighbors: Nearest drawn pixels of each one, within the picture [B, n, k], int64; −1 where there are no more.
        bits: Packed memberships among the masks of the pixel's own picture [N, W], int64.
        anchor: Drawn pixels [K], int64 in [0, N); 0 where not `valid`.
        positive: [K], int64; may be the anchor itself.
        negative: [K, m], int64; of the anchor's picture.
        valid: Which comparisons count, all before those that do not [K], bool.
        live: Number of valid comparisons [1], int64.
    """

    pixels: Tensor
    views: Tensor
    positions: Tensor
    neighbors: Tensor
    bits: Tensor
    anchor: Tensor
    positive: Tensor
    negative: Tensor
    valid: Tensor
    live: Tensor


class DeviceMasks:
    """The masks of a scene on a device, with the rules of comparison that follow from them.

    Args:
        masks: Masks of the training views.
        settings: What is drawn: `images`, `pixels`, `mask_balance`, `pairs_per_mask`, `negatives`, `hierarchical`,
            `border_negatives`, `neighbors`, `min_pixels` and `min_uncovered`.
        device: Where everything lies and is drawn.

    Attributes:
        settings: As given.
        images: Pictures per step B, at most as many as there are.
        pixels_per_image: n.
        num_comparisons: K, enough for every rule of the B pictures that have most.

    Raises:
        ValueError: There are fewer pixels than pictures.
    """

    def __init__(self, masks: MaskPool, settings: FeatureConfig, device: torch.device | str) -> None:
        self.settings = settings
        self.images = min(settings.images, len(masks.sets))
        self.pixels_per_image = settings.pixels // self.images
        if self.pixels_per_image < 1:
            raise ValueError(f"pixels: expected at least 1 for each of {self.images} pictures, got {settings.pixels}")
        self._words = masks.words
        layout = _layout(masks)
        packed = np.concatenate([view.bits.reshape(-1) for view in masks.sets])
        sizes = np.diff(masks.starts)
        shares = [np.zeros(size) if share is None else share for share, size in zip(masks.shares, sizes, strict=True)]
        rules = _all_rules(masks, settings)
        self._most_rules, self._most_regions = rules.most_rules, rules.most_regions
        fullest = np.sort(np.diff(rules.rule_starts))[-self.images :]
        self.num_comparisons = int(fullest.sum()) * settings.pairs_per_mask

        def put(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        self._layout, self._packed, self._share = put(layout), put(packed.view(np.int64)), put(np.concatenate(shares))
        self._regions, self._region_starts = put(rules.regions), put(rules.region_starts)
        self._rules, self._rule_starts = put(rules.rules), put(rules.rule_starts)
        self._excluded = put(rules.excluded)

    def draw(self, generator: torch.Generator) -> DeviceBatch:
        """Draw a step's pictures, pixels and comparisons; can be captured in a CUDA graph.

        Args:
            generator: Source of randomness, on the device of the masks; a graph must have it registered.
        """
        from ..contrast.kernels.comparisons_gpu import draw_comparisons_gpu
        from ..contrast.kernels.pixels_gpu import draw_pixels_gpu
        from ..contrast.kernels.regions_gpu import choose_rules_gpu, pack_regions_gpu

        settings, count, device = self.settings, self.pixels_per_image, self._layout.device

        def chance(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.rand(shape, dtype=dtype, generator=generator, device=device)

        views = chance(len(self._layout)).argsort()[: self.images]
        pixels, positions, bits, members = draw_pixels_gpu(
            views,
            chance(self.images, count, dtype=torch.float64),
            self._layout,
            self._packed,
            self._share,
            words=self._words,
            balanced=int(count * settings.mask_balance),
        )
        neighbors = pixel_neighbors(positions, settings.neighbors)
        if settings.border_negatives:
            near = pack_members(neighbor_memberships(bits, neighbors), self.images)
            members = torch.cat([members, near], dim=1)
        words, cumulative = pack_regions_gpu(
            views, members, self._regions, self._region_starts, self._excluded, count=count, most=self._most_regions
        )
        chosen, live = choose_rules_gpu(
            views,
            cumulative,
            self._rules,
            self._rule_starts,
            most=self._most_rules,
            pairs_per_rule=settings.pairs_per_mask,
        )
        anchor, positive, negative, valid = draw_comparisons_gpu(
            words,
            cumulative,
            chosen,
            live,
            chance(2 + settings.negatives, self.num_comparisons),
            count=count,
            pairs_per_rule=settings.pairs_per_mask,
        )
        return DeviceBatch(pixels, views, positions, neighbors, bits, anchor, positive, negative, valid, live)


def pack_members(bits: Tensor, images: int) -> Tensor:
    """The pixels of each mask as packed sets, from the masks of each pixel.

    Args:
        bits: Packed masks of each pixel, picture after picture [B · n, W], int64.
        images: B.

    Returns:
        Packed pixels of each mask [B, 64 · W, ceil(n / 32)], int32, as in `draw_pixels_gpu`.
    """
    count, masks = len(bits) // images, 64 * bits.shape[1]
    places = torch.arange(64, device=bits.device)
    flags = ((bits[:, :, None] >> places) & 1).view(images, count, masks)
    flags = torch.nn.functional.pad(flags, (0, 0, 0, -count % 32))
    words = (flags.view(images, -(-count // 32), 32, masks) << places[:32, None]).sum(2)  # [B, G, 64 W]
    return words.transpose(1, 2).to(torch.int32, memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class _Rules:
    """The regions and rules of all views, one view after the other.

    Attributes:
        regions: Pixels in both of two masks and in none of a span of `excluded` [R, 4], int32.
        region_starts: First region of each view, and R [V + 1], int64.
        rules: Regions of anchor, positive and negative, numbered within the view, and the pixels each needs [T, 4],
            int32.
        rule_starts: First rule of each view, and T [V + 1], int64.
        excluded: Masks, numbered within their view [X], int32.
    """

    regions: np.ndarray
    region_starts: np.ndarray
    rules: np.ndarray
    rule_starts: np.ndarray
    excluded: np.ndarray

    @property
    def most_regions(self) -> int:
        """Largest number of regions of any view."""
        return int(np.diff(self.region_starts).max())

    @property
    def most_rules(self) -> int:
        """Largest number of rules of any view."""
        return int(np.diff(self.rule_starts).max())


def _layout(masks: MaskPool) -> np.ndarray:
    """First pixel, number of pixels, width, first word and words per pixel of each view [V, 5], int64."""
    sizes = np.diff(masks.starts)
    held = np.array([view.bits.shape[2] for view in masks.sets])
    first_words = np.concatenate([[0], np.cumsum(sizes * held)[:-1]])
    widths = [view.shape[1] for view in masks.sets]
    return np.stack([masks.starts[:-1], sizes, widths, first_words, held], axis=1).astype(np.int64)


def _all_rules(masks: MaskPool, settings: FeatureConfig) -> _Rules:
    regions, region_counts, rules, excluded = [], [], [], []
    for view, chains in zip(masks.sets, masks.chains, strict=True):
        links = sorted({link for chain in chains for link in pairwise(chain)}) if settings.hierarchical else []
        view_regions, view_rules = _view_rules(len(view), links, settings.min_pixels, settings.min_uncovered)
        if settings.border_negatives:
            _add_borders(view_regions, view_rules, len(view), links, 64 * masks.words)
        for one, other, without in view_regions:
            regions.append((one, other, len(excluded), len(excluded) + len(without)))
            excluded += without
        region_counts.append(len(view_regions))
        rules.append(np.array(view_rules, np.int32).reshape(-1, 4))
    return _Rules(
        np.array(regions, np.int32).reshape(-1, 4),
        np.concatenate([[0], np.cumsum(region_counts)]).astype(np.int64),
        np.concatenate(rules),
        np.concatenate([[0], np.cumsum([len(part) for part in rules])]).astype(np.int64),
        np.array(excluded, np.int32),
    )


def _view_rules(
    count: int, links: list[tuple[int, int]], min_pixels: int, min_uncovered: int
) -> tuple[list[tuple[int, int, list[int]]], list[tuple[int, int, int, int]]]:
    """The regions of a view with `count` masks, and the rules that draw from them, as in `sample_pairs`.

    Returns:
        regions: Pixels in both of two masks and in none of a list of masks.
        rules: Regions of anchor, positive and negative, and the pixels that each must have.
    """
    regions = [(mask, mask, []) for mask in range(count)]  # inside: region `mask`
    regions += [(_PICTURE, _PICTURE, [mask]) for mask in range(count)]  # outside: region `count + mask`
    rules = [(mask, mask, count + mask, min_pixels) for mask in range(count)]
    children: dict[int, list[int]] = {}
    for child, parent in links:
        both, ring = len(regions), len(regions) + 1
        regions += [(child, parent, []), (parent, parent, [child])]
        rules += [(child, child, ring, min_pixels), (both, ring, count + parent, min_pixels)]
        children.setdefault(parent, []).append(child)
    for mother, covering in children.items():
        rest = len(regions)
        regions.append((mother, mother, covering))
        rules.append((rest, rest, count + mother, max(min_pixels, min_uncovered)))
    return regions, rules


def _add_borders(
    regions: list[tuple[int, int, list[int]]],
    rules: list[tuple[int, int, int, int]],
    count: int,
    links: list[tuple[int, int]],
    near: int,
) -> None:
    """Add every rule once more with the negatives along the border of the mask that they are outside of.

    Args:
        regions: Those of `_view_rules`, to which others are added.
        rules: Likewise.
        count: Masks of the view.
        links: Child and parent of each link, in the order given to `_view_rules`.
        near: `near` + m stands for the pixels that have a neighbour in mask m.
    """
    border = {count + mask: len(regions) + mask for mask in range(count)}  # of the region outside of a mask
    regions += [(near + mask, near + mask, [mask]) for mask in range(count)]
    for index, (child, parent) in enumerate(links):
        border[2 * count + 2 * index + 1] = len(regions)  # of the ring around a child
        regions.append((parent, near + child, [child]))
    rules += [(anchor, positive, border[negative], least) for anchor, positive, negative, least in rules]
