"""From the network's small maps of logits to masks of a picture's size, their boxes and their stability."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..sizes import Size
from .grid import Crop

MASK_THRESHOLD = 0.0  # logits above are inside
_EDGE = 20.0  # pixels, within which a box counts as cut off by the edge of its crop


def upsampled(logits: Tensor, frame: Size | None, shown: Size, size: Size) -> Tensor:
    """Logits at the size of a picture.

    Args:
        logits: [N, h, w], any float; computed with in float32.
        frame: Size of the network's input, to which logits are brought first; None to leave that out.
        shown: The part of that frame, from its top left corner, which the picture fills.
        size: Size of the picture.

    Returns:
        [N, H, W], float32.
    """
    maps = logits[:, None].float()
    if frame is not None:
        maps = _bilinear(maps, frame)[..., : shown[0], : shown[1]]
    return _bilinear(maps, size)[:, 0]


def stability(logits: Tensor, offset: float) -> Tensor:
    """IoU of the masks at a threshold that is `offset` higher and at one that is `offset` lower [N], float32.

    One lies inside the other; not a number where even the larger one is empty.
    """
    counts = [(logits > MASK_THRESHOLD + shift).sum(dim=(-2, -1), dtype=torch.int32) for shift in (offset, -offset)]
    return counts[0] / counts[1]


def mask_boxes(masks: Tensor) -> Tensor:
    """First and last column and row of masks [N, H, W] bool as (left, top, right, bottom) [N, 4] int64; 0 if empty."""
    spans = [_span(masks.any(dim=dim)) for dim in (-2, -1)]
    return torch.stack([spans[0][0], spans[1][0], spans[0][1], spans[1][1]], dim=-1)


def cut_off(boxes: Tensor, crop: Crop, size: Size) -> Tensor:
    """Which boxes [N, 4] in a crop's pixels come near an edge of the crop that is no edge of the picture [N], bool."""
    offset = boxes.new_tensor([crop.left, crop.top, crop.left, crop.top])
    placed = (boxes + offset).float()
    near_crop, near_picture = (
        (placed - placed.new_tensor(edges)).abs() <= _EDGE for edges in (crop.box, (0, 0, size[1], size[0]))
    )
    return (near_crop & ~near_picture).any(dim=-1)


def placed(masks: Tensor, crop: Crop, size: Size) -> Tensor:
    """Masks [N, h, w] of a crop in the frame of the whole picture [N, H, W]."""
    if crop.size == size:
        return masks
    margins = (crop.left, size[1] - crop.right, crop.top, size[0] - crop.bottom)
    return functional.pad(masks, margins)


def _bilinear(maps: Tensor, size: Size) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps  # what interpolation would give
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def _span(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First and last true place of flags [N, L], both [N] int64; 0 if there is none."""
    length = occupied.shape[-1]
    places = torch.arange(length, device=occupied.device)
    last = torch.where(occupied, places, 0).amax(dim=-1)
    first = torch.where(occupied, places, length).amin(dim=-1)
    return torch.where(first < length, first, 0), last
