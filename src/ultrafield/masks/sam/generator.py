"""Masks of everything in a picture: a grid of points, three masks for each, and filters that leave the good ones.

As in the published generators of Segment Anything and SAM 2: for each crop of the picture, masks whose predicted
quality or whose stability is too low and those that the crop cuts off are dropped, and of near-duplicates the best one
stays; then the same between crops; then small holes and islands are cleaned.

What the network gives are small maps of logits. Those of masks that pass the first filter are brought to the picture's
size a few at a time, measured and forgotten; the few that are left in the end are brought there once more and packed.
Memory thus depends on the points that are asked about at once, not on how many masks there are on the way.

Source: Kirillov et al., "Segment Anything", 2023, appendix B; Ravi et al., "SAM 2", 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ...errors import check_shape
from ...parallel import in_threads, workers_for
from ..distinct import distinct_rows, mask_areas, row_counts
from ..hierarchy import distinct_mask_set
from ..mask_set import MaskSet
from ..sizes import Size
from .bits import membership_words, pack_pixels
from .grid import Crop, crops, layer_points, point_grid
from .logits import MASK_THRESHOLD, cut_off, mask_boxes, placed, stability, upsampled
from .network import Embedding, Network
from .options import GeneratorOptions
from .regions import without_small_regions
from .suppression import box_nms, mask_nms

_POINTS = {"cuda": 256, "cpu": 16}  # asked about at once
_BLOCK_BYTES = {"cuda": 1 << 30, "cpu": 1 << 26}  # of masks at full size that are measured at once
_PIXEL_BYTES = 16  # of such a mask and what is measured on it
_CLEANING_BYTES = 16  # per pixel of a mask whose holes and islands are looked for


@dataclass(frozen=True, eq=False)
class GeneratedMasks:
    """The masks of a picture, best first within each crop.

    Attributes:
        bits: The masks that each pixel lies in [H, W, ceil(M / 64)] uint64, as in `MaskSet`.
        scores: The IoU that the network expects of each mask [M], float32.
        stability: Its stability [M], float32.
        points: The points that it was found at, in pixels (x, y) [M, 2], float32.
        boxes: Its first and last column and row (left, top, right, bottom) [M, 4], int64.
    """

    bits: np.ndarray
    scores: np.ndarray
    stability: np.ndarray
    points: np.ndarray
    boxes: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def mask_set(self) -> MaskSet:
        """The masks with their hierarchy, in the same order."""
        rows, numbers = distinct_rows(self.bits)
        return distinct_mask_set(rows, numbers, mask_areas(rows, row_counts(numbers, len(rows)), len(self)))


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Masks on the way, on the device: [N, …] each; `logits` are small maps, `crop` numbers the crops."""

    logits: Tensor
    scores: Tensor
    stability: Tensor
    points: Tensor
    boxes: Tensor
    crop: Tensor

    def __getitem__(self, chosen: Tensor) -> Self:
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """All masks of some lots."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


class MaskGenerator:
    """Finds the masks of everything in pictures.

    Args:
        network: What is asked.
        options: How.

    Attributes:
        points_per_batch: Points that are asked about at once.
    """

    def __init__(self, network: Network, options: GeneratorOptions) -> None:
        self.network, self.options = network, options
        self.points_per_batch = options.points_per_batch or _POINTS[network.device.type]
        default = network.family.pred_iou_thresh
        self._least_score = default if options.pred_iou_thresh is None else options.pred_iou_thresh

    @torch.inference_mode()
    def generate(self, picture: np.ndarray) -> GeneratedMasks:
        """Find the masks of a picture [H, W, 3] uint8 sRGB; there may be none.

        Raises:
            ValueError: Another shape or dtype.
        """
        check_shape("picture", picture, (None, None, 3))
        if picture.dtype != np.uint8 or picture.size == 0:
            raise ValueError(f"picture: expected pixels in uint8, got {list(picture.shape)} {picture.dtype}")
        size, options = (picture.shape[0], picture.shape[1]), self.options
        places = crops(size, options.crop_n_layers, options.crop_overlap_ratio)
        masks = _Candidates.joined([self._in_crop(picture, crop, number) for number, crop in enumerate(places)])
        if len(places) > 1:
            areas = [np.prod(crop.size) for crop in places]
            preference = torch.tensor([1 / area for area in areas], dtype=torch.float32, device=masks.crop.device)
            masks = masks[box_nms(masks.boxes, preference[masks.crop], options.crop_nms_thresh)]
        masks, bits = self._cleaned(masks, self._packed(masks, places, size), size)
        if options.mask_nms_thresh is not None:
            kept = mask_nms(bits, masks.scores, options.mask_nms_thresh)
            masks, bits = masks[kept], bits[kept]
        return _on_host(masks, bits, size)

    def _in_crop(self, picture: np.ndarray, crop: Crop, number: int) -> _Candidates:
        """The masks of one crop, best first, with boxes and points in the picture's frame."""
        options, device = self.options, self.network.device
        embedding = self.network.encode(picture[crop.top : crop.bottom, crop.left : crop.right])
        side = layer_points(options.points_per_side, crop.layer, options.crop_n_points_downscale_factor)
        points = torch.from_numpy(point_grid(side) * crop.size[::-1]).to(device)
        lots = [
            self._at_points(embedding, lot, crop, number, picture.shape[:2])
            for lot in points.split(self.points_per_batch)
        ]
        masks = _Candidates.joined(lots)
        masks = masks[box_nms(masks.boxes, masks.scores, options.box_nms_thresh)]
        offset = torch.tensor([crop.left, crop.top, crop.left, crop.top], device=device)
        return replace(masks, points=masks.points + offset[:2], boxes=masks.boxes + offset)

    def _at_points(
        self, embedding: Embedding, points: Tensor, crop: Crop, number: int, size: tuple[int, ...]
    ) -> _Candidates:
        """The masks at some points [P, 2] of a crop that pass the filters; all in the crop's frame."""
        logits, scores = self.network.decode(embedding, points)
        asked = points.repeat_interleave(scores.shape[1], dim=0).float()
        logits, scores = logits.flatten(0, 1), scores.flatten()
        if self._least_score > 0:
            good = scores > self._least_score
            logits, scores, asked = logits[good], scores[good], asked[good]
        measured = [self._measured(lot, embedding) for lot in logits.split(self._at_once(embedding.size))]
        stable, boxes, filled = (torch.cat(parts) for parts in zip(*measured, strict=True))
        masks = _Candidates(logits, scores, stable, asked, boxes, torch.full_like(scores, number, dtype=torch.int64))
        kept = filled & ~cut_off(boxes, crop, (size[0], size[1]))
        if self.options.stability_score_thresh > 0:
            kept &= stable >= self.options.stability_score_thresh
        return masks[kept]

    def _measured(self, logits: Tensor, embedding: Embedding) -> tuple[Tensor, Tensor, Tensor]:
        """Stability and box of masks, and whether they hold a pixel, at the size of their crop."""
        full = self._full_size(logits, embedding.shown, embedding.size)
        masks = full > MASK_THRESHOLD
        return stability(full, self.options.stability_score_offset), mask_boxes(masks), masks.flatten(1).any(dim=1)

    def _full_size(self, logits: Tensor, shown: Size, size: Size) -> Tensor:
        return upsampled(logits, self.network.frame, shown, size)

    def _at_once(self, size: Size) -> int:
        """How many masks of a size may be measured at once."""
        pixels = size[0] * size[1] + (self.network.input_size**2 if self.network.frame else 0)
        return max(1, _BLOCK_BYTES[self.network.device.type] // (_PIXEL_BYTES * pixels))

    def _packed(self, masks: _Candidates, places: list[Crop], size: Size) -> Tensor:
        """The masks as bits [N, ceil(H · W / 8)] uint8 in the frame of the picture, in their order."""
        packed = torch.zeros(
            (len(masks.scores), -(-size[0] * size[1] // 8)), dtype=torch.uint8, device=masks.crop.device
        )
        for number, crop in enumerate(places):
            chosen = torch.nonzero(masks.crop == number)[:, 0]
            shown = self.network.shown(crop.size)
            for lot in chosen.split(self._at_once(size)):
                inside = self._full_size(masks.logits[lot], shown, crop.size) > MASK_THRESHOLD
                packed[lot] = pack_pixels(placed(inside, crop, size))
        return packed

    def _cleaned(self, masks: _Candidates, bits: Tensor, size: Size) -> tuple[_Candidates, Tensor]:
        """The masks without small holes and islands, and without those that thereby became near-duplicates."""
        least = self.options.min_mask_region_area
        if least == 0 or len(bits) == 0:
            return masks, bits
        boxes, untouched = masks.boxes.clone(), torch.ones(len(bits), device=bits.device)
        for index, (mask, changed) in enumerate(_without_small(bits, size, least)):
            if changed:
                inside = torch.from_numpy(mask)[None].to(bits.device)
                bits[index], boxes[index], untouched[index] = pack_pixels(inside)[0], mask_boxes(inside)[0], 0.0
        kept = box_nms(boxes, untouched, max(self.options.box_nms_thresh, self.options.crop_nms_thresh))
        return replace(masks, boxes=boxes)[kept], bits[kept]


def _without_small(bits: Tensor, size: Size, least: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Each mask [H, W] without small holes and islands, and whether it changed; several are worked on at a time."""
    pixels = size[0] * size[1]

    def clean(octets: np.ndarray) -> tuple[np.ndarray, bool]:
        mask = np.unpackbits(octets, count=pixels, bitorder="little").view(bool).reshape(size)
        return without_small_regions(mask, least)

    return in_threads(clean, bits.cpu().numpy(), workers=workers_for(_CLEANING_BYTES * pixels))


def _on_host(masks: _Candidates, bits: Tensor, size: Size) -> GeneratedMasks:
    words = membership_words(bits, size[0] * size[1]).T.contiguous()  # transposed where it is fast
    return GeneratedMasks(
        words.cpu().numpy().view(np.uint64).reshape(*size, words.shape[1]),
        *(values.cpu().numpy() for values in (masks.scores, masks.stability, masks.points, masks.boxes)),
    )
