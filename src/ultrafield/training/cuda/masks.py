"""Pictures, pixels, memberships and comparisons of feature training, drawn on the device without the host.

The distribution is that of `MaskPool.draw` followed by `sample_pairs`, and the rules are those of `contrast.rules`. All
shapes are fixed when the tables are made, and nothing waits for the device, so that a CUDA graph can hold a whole step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...config import FeatureConfig
from ..contrast.mask_pool import MaskPool
from ..contrast.neighbors import neighbor_memberships, pixel_neighbors
from ..contrast.rules import SET_KINDS, RuleTable, chain_links, rule_table

_PICTURE = -1  # in place of a mask: all pixels of the picture, as `pack_regions_gpu` takes it


@dataclass(frozen=True, eq=False)
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
    """The masks of a scene on a device, with the rules of comparison for each view.

    Args:
        masks: Masks of the training views.
        settings: The numbers to draw and the rules: `images`, `pixels`, `mask_balance`, `pairs_per_mask`, `negatives`,
            `hierarchical`, `border_negatives`, `neighbors`, `min_pixels` and `min_uncovered`.
        device: Where masks and rules are kept and everything is drawn.

    Attributes:
        settings: As given.
        images: Pictures per step B, at most the number of views.
        pixels_per_image: Sampled pixels per picture n.
        num_comparisons: Capacity for comparisons K: enough for all rules of the B pictures that have most.

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
        shares = [
            np.zeros(size) if share is None else share.sums() for share, size in zip(masks.shares, sizes, strict=True)
        ]
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
            generator: Source of randomness, on the device of the masks; to be registered with the graph.
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
    """Transpose packed memberships: the pixels of each mask from the masks of each pixel.

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


@dataclass(frozen=True, eq=False)
class _Rules:
    """The regions and rules of all views, one view after the other.

    Attributes:
        regions: Two sets that each region lies in, and the span of `excluded` that it leaves out [R, 4], int32, as
            `pack_regions_gpu` takes them.
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
    words = np.array([view.rows.shape[1] for view in masks.sets])
    first_words = np.concatenate([[0], np.cumsum(sizes * words)[:-1]])
    widths = [view.shape[1] for view in masks.sets]
    return np.stack([masks.starts[:-1], sizes, widths, first_words, words], axis=1).astype(np.int64)


def _all_rules(masks: MaskPool, settings: FeatureConfig) -> _Rules:
    """The rule tables of all views, one after the other."""
    stride = 64 * masks.words
    tables = [
        rule_table(
            len(view),
            chain_links(chains if settings.hierarchical else ()),
            stride=stride,
            borders=settings.border_negatives,
            min_pixels=settings.min_pixels,
            min_uncovered=settings.min_uncovered,
        )
        for view, chains in zip(masks.sets, masks.chains, strict=True)
    ]
    first_outside = _starts([len(table.outside) for table in tables])[:-1]
    regions = [_regions(table, stride, first) for table, first in zip(tables, first_outside.tolist(), strict=True)]
    return _Rules(
        np.concatenate(regions).astype(np.int32),
        _starts([len(rows) for rows in regions]),
        np.concatenate([table.by_subject() for table in tables]).astype(np.int32),
        _starts([len(table.rules) for table in tables]),
        np.concatenate([table.outside for table in tables]).astype(np.int32),
    )


def _regions(table: RuleTable, stride: int, first_outside: int) -> np.ndarray:
    """The regions of a view [R, 4], whose excluded masks begin at `first_outside` among those of all views."""
    picture = table.inside // stride == SET_KINDS.index("picture")
    spans = first_outside + np.stack([table.outside_starts[:-1], table.outside_starts[1:]], axis=1)
    return np.concatenate([np.where(picture, _PICTURE, table.inside), spans], axis=1)


def _starts(counts: list[int]) -> np.ndarray:
    """Sums of the counts before each one, and of all [V + 1], int64."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
