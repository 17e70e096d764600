"""The mask generator mask by mask, from its description in the papers: an oracle for the fast one.

The network is asked as its documentation shows, with a picture and points; everything else is plain loops over NumPy
arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from ultrafield.masks.sam.options import GeneratorOptions

_COLORS = {  # mean and standard deviation by family
    "sam": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "sam2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "sam3": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


@dataclass
class SlowMask:
    """A mask in the frame of the picture [H, W] bool, its box (left, top, right, bottom), scores, point and crop."""

    mask: np.ndarray
    box: tuple[int, int, int, int]
    score: float
    stability: float
    point: tuple[float, float]
    crop_area: int


def slow_masks(folder: Path, family: str, picture: np.ndarray, options: GeneratorOptions) -> list[SlowMask]:
    """The masks of a picture [H, W, 3] uint8 in the order of the published generators."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    model = transformers.AutoModelForMaskGeneration.from_pretrained(folder).eval()
    least = options.pred_iou_thresh if options.pred_iou_thresh is not None else 0.88 if family == "sam" else 0.8
    found: list[SlowMask] = []
    boxes = _crop_boxes(picture.shape[1], picture.shape[0], options)
    for layer, (left, top, right, bottom) in boxes:
        crop = picture[top:bottom, left:right]
        side = int(options.points_per_side / options.crop_n_points_downscale_factor**layer)
        points = [
            ((column + 0.5) / side * crop.shape[1], (row + 0.5) / side * crop.shape[0])
            for row in range(side)
            for column in range(side)
        ]
        in_crop = []
        for point, logits, score in _ask(model, family, crop, points):
            mask = _judged(logits, score, point, least, options)
            if mask is not None and not _cut_off(mask.box, (left, top, right, bottom), picture.shape):
                in_crop.append(_moved(mask, left, top, picture.shape))
        found += _suppressed(in_crop, [mask.score for mask in in_crop], options.box_nms_thresh)
    if len(boxes) > 1:
        found = _suppressed(found, [1 / mask.crop_area for mask in found], options.crop_nms_thresh)
    if options.min_mask_region_area:
        changed = [_clean(mask, options.min_mask_region_area) for mask in found]
        threshold = max(options.box_nms_thresh, options.crop_nms_thresh)
        found = _suppressed(found, [float(not flag) for flag in changed], threshold)
    if options.mask_nms_thresh is not None:
        found = _suppressed(found, [mask.score for mask in found], options.mask_nms_thresh, pixels=True)
    return found


def _crop_boxes(width: int, height: int, options: GeneratorOptions) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Layers and boxes of all crops, the whole picture first."""
    boxes = [(0, (0, 0, width, height))]
    for layer in range(1, options.crop_n_layers + 1):
        count = 2**layer
        overlap = int(options.crop_overlap_ratio * min(width, height) * 2 / count)
        wide, high = (math.ceil((length + overlap * (count - 1)) / count) for length in (width, height))
        for x in range(count):
            for y in range(count):
                left, top = x * (wide - overlap), y * (high - overlap)
                boxes.append((layer, (left, top, min(left + wide, width), min(top + high, height))))
    return boxes


def _ask(
    model: Any, family: str, crop: np.ndarray, points: list[tuple[float, float]]
) -> Iterator[tuple[tuple[float, float], np.ndarray, float]]:
    """Of each mask that the network gives, the point, the logits at the size of the crop, and the predicted quality."""
    height, width = crop.shape[:2]
    side = model.prompt_encoder.input_image_size
    mean, std = (np.array(values, np.float32) for values in _COLORS[family])
    if family == "sam":
        scale = side / max(height, width)
        shown = int(height * scale + 0.5), int(width * scale + 0.5)
        small = np.asarray(Image.fromarray(crop).resize(shown[::-1], Image.Resampling.BILINEAR))
        framed = np.zeros((side, side, 3), np.float32)
        framed[: shown[0], : shown[1]] = (small / np.float32(255) - mean) / std
        pixels = torch.from_numpy(framed).permute(2, 0, 1)[None]
    else:
        shown = side, side
        whole = torch.from_numpy(crop / np.float32(255)).permute(2, 0, 1)[None]
        whole = functional.interpolate(whole, shown, mode="bilinear", align_corners=False, antialias=True)
        pixels = (whole - torch.from_numpy(mean)[:, None, None]) / torch.from_numpy(std)[:, None, None]
    placed = torch.tensor([[[[x * shown[1] / width, y * shown[0] / height]] for x, y in points]])
    with torch.no_grad():
        answer = model(pixel_values=pixels, input_points=placed, multimask_output=True)
    for point, maps_of_point, scores in zip(points, answer.pred_masks[0], answer.iou_scores[0].tolist(), strict=True):
        for logits, score in zip(maps_of_point, scores, strict=True):
            maps = logits[None, None]
            if family == "sam":
                maps = functional.interpolate(maps, (side, side), mode="bilinear")[..., : shown[0], : shown[1]]
            yield point, functional.interpolate(maps, (height, width), mode="bilinear")[0, 0].numpy(), score


def _judged(
    logits: np.ndarray, score: float, point: tuple[float, float], least: float, options: GeneratorOptions
) -> SlowMask | None:
    """The mask of some logits in the frame of its crop, None if it is not good enough."""
    mask = logits > 0
    if not mask.any() or (least > 0 and score <= least):
        return None
    stable = (logits > options.stability_score_offset).sum() / (logits > -options.stability_score_offset).sum()
    if stable < options.stability_score_thresh:
        return None
    return SlowMask(mask, _box(mask), score, float(stable), point, mask.size)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def _cut_off(box: tuple[int, int, int, int], crop: tuple[int, int, int, int], shape: tuple[int, ...]) -> bool:
    """Whether a box comes within 20 pixels of an edge of its crop that is not as near to the picture's."""
    offset = (crop[0], crop[1], crop[0], crop[1])
    edges = (0, 0, shape[1], shape[0])
    return any(
        abs(value + shift - limit) <= 20 and abs(value + shift - edge) > 20
        for value, shift, limit, edge in zip(box, offset, crop, edges, strict=True)
    )


def _moved(mask: SlowMask, left: int, top: int, shape: tuple[int, ...]) -> SlowMask:
    """A mask of a crop in the frame of the picture."""
    whole = np.zeros(shape[:2], bool)
    height, width = mask.mask.shape
    whole[top : top + height, left : left + width] = mask.mask
    point = mask.point[0] + left, mask.point[1] + top
    return SlowMask(whole, _box(whole), mask.score, mask.stability, point, mask.crop_area)


def _suppressed(
    masks: list[SlowMask], scores: list[float], threshold: float, *, pixels: bool = False
) -> list[SlowMask]:
    """Those that are unlike every better one that stays, best first."""
    kept: list[SlowMask] = []
    for index in sorted(range(len(masks)), key=lambda index: -scores[index]):
        overlap = _mask_iou if pixels else _box_iou
        if not any(overlap(masks[index], other) > threshold for other in kept):
            kept.append(masks[index])
    return kept


def _box_iou(one: SlowMask, other: SlowMask) -> float:
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    shared = max(0, min(c, g) - max(a, e)) * max(0, min(d, h) - max(b, f))
    union = (c - a) * (d - b) + (g - e) * (h - f) - shared
    return shared / union if union else 0.0


def _mask_iou(one: SlowMask, other: SlowMask) -> float:
    return float((one.mask & other.mask).sum() / (one.mask | other.mask).sum())


def _clean(mask: SlowMask, least: int) -> bool:
    """Fill small holes and remove small islands in place; whether there were any."""
    square, changed = np.ones((3, 3)), False
    pieces, count = ndimage.label(~mask.mask, square)
    for number in range(1, count + 1):
        if (pieces == number).sum() < least:
            mask.mask[pieces == number], changed = True, True
    pieces, count = ndimage.label(mask.mask, square)
    areas = [int((pieces == number).sum()) for number in range(1, count + 1)]
    for number, area in enumerate(areas, start=1):
        is_only_hope = max(areas) < least and number == 1 + int(np.argmax(areas))
        if area < least:
            changed = True
            if not is_only_hope:
                mask.mask[pieces == number] = False
    mask.box = _box(mask.mask)
    return changed
