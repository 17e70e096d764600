"""Non-maximum suppression in PyTorch: of two masks that are nearly the same, the one with the better score stays."""

from __future__ import annotations

import torch
from torch import Tensor

_BETWEEN_CHECKS = 8  # rounds between two looks at the result, each of which waits for the device
_BLOCK_BYTES = 1 << 28  # of masks that are unpacked at once


def box_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Which boxes stay, if every box that stays removes those that overlap it more than `threshold`, best score first.

    Args:
        boxes: Left, top, right and bottom [N, 4].
        scores: [N]; of equal ones the first goes first.
        threshold: IoU.

    Returns:
        Indices [K], int64, best score first; those of `torchvision.ops.nms`.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[_greedy(_box_iou(boxes[order].float()).double() > threshold)]


def mask_nms(bits: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """The same for masks instead of their boxes.

    Args:
        bits: Masks [N, B] uint8, eight pixels in a byte, see `bits.pack_pixels`.
        scores: [N]; of equal ones the first goes first.
        threshold: IoU.

    Returns:
        Indices [K], int64, best score first.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    shared = shared_pixels(bits[order])
    areas = shared.diagonal()
    union = areas[:, None] + areas[None, :] - shared
    return order[_greedy(shared.double() / union.double() > threshold)]


def shared_pixels(bits: Tensor) -> Tensor:
    """Pixels that each two masks share [N, N], int64; areas are on the diagonal. `bits` is as for `mask_nms`."""
    count, size = bits.shape
    shared = torch.zeros((count, count), dtype=torch.int64, device=bits.device)
    at_once = max(1, min(1 << 20, _BLOCK_BYTES // (32 * max(1, count))))  # a block's sums are exact in float32
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    for first in range(0, size, at_once):
        block = (bits[:, first : first + at_once, None] >> shifts) & 1
        flags = block.flatten(1).float()
        shared += (flags @ flags.T).long()
    return shared


def _box_iou(boxes: Tensor) -> Tensor:
    """IoU of each two boxes [N, N]; not a number for two without area."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    sides = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    width, height = sides.clamp(min=0).unbind(-1)
    shared = width * height
    return shared / (areas[:, None] + areas[None, :] - shared)


def _greedy(alike: Tensor) -> Tensor:
    """Indices of those that stay, in order.

    Whether one stays depends on those before it alone: it does unless one that stays is like it. Starting from all,
    each round makes at least one more answer final, and as answers only depend on earlier ones, the fixed point is that
    of the loop over all of them. Few rounds suffice, as chains in which each removes the next are short.

    Args:
        alike: Which pairs are alike [N, N], bool.
    """
    before = alike.triu(1).float()  # [i, j]: i goes before j and is like it
    stays = torch.ones(len(alike), device=alike.device)
    while True:
        for _ in range(_BETWEEN_CHECKS):
            earlier = stays
            stays = (stays @ before < 0.5).float()
        if torch.equal(stays, earlier):
            return torch.nonzero(stays)[:, 0]
