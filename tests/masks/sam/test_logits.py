"""Logits at a picture's size, and what is measured on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.masks.sam.grid import Crop
from ultrafield.masks.sam.logits import cut_off, mask_boxes, placed, stability, upsampled


def bilinear(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear resampling with the centres of corner pixels half a pixel inside."""
    places = [
        np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        for new, old in zip(size, values.shape, strict=True)
    ]
    (top, left), (low, right) = (np.floor(place).astype(int) for place in places), (None, None)
    low, right = (np.minimum(first + 1, old - 1) for first, old in zip((top, left), values.shape, strict=True))
    down, across = (places[0] - top)[:, None], (places[1] - left)[None]
    upper = values[np.ix_(top, left)] * (1 - across) + values[np.ix_(top, right)] * across
    lower = values[np.ix_(low, left)] * (1 - across) + values[np.ix_(low, right)] * across
    return np.asarray(upper * (1 - down) + lower * down)


def test_logits_are_brought_to_the_frame_cut_and_brought_to_the_picture() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    found = upsampled(torch.from_numpy(maps), (32, 32), (32, 20), (50, 31))
    expected = [bilinear(bilinear(one, (32, 32))[:, :20], (50, 31)) for one in maps]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    stretched = upsampled(torch.from_numpy(maps), None, (32, 32), (50, 31))
    np.testing.assert_allclose(stretched.numpy(), [bilinear(one, (50, 31)) for one in maps], atol=1e-5)


def test_logits_of_the_right_size_are_left_alone() -> None:
    maps = torch.randn(2, 8, 8)
    assert torch.equal(upsampled(maps, (8, 8), (8, 8), (8, 8)), maps)
    assert upsampled(maps[:0], (16, 16), (16, 9), (30, 20)).shape == (0, 30, 20)
    assert upsampled(maps.half(), None, (8, 8), (4, 4)).dtype == torch.float32


def test_stability_is_the_iou_of_two_thresholds() -> None:
    logits = torch.tensor([[[-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]], [[-3.0] * 6], [[3.0] * 6]])
    found = stability(logits, 1.0)
    assert found[[0, 2]].tolist() == [0.25, 1.0]  # 1 of 4: neither -1 nor 1 lies above its threshold
    assert found[1].isnan()


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (40, 3)])
def test_boxes_reach_from_the_first_to_the_last_pixel(size: tuple[int, int]) -> None:
    masks = np.random.default_rng(1).random((30, *size)) < 0.05
    masks[0] = False
    expected = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        expected.append([columns.min(), rows.min(), columns.max(), rows.max()] if len(rows) else [0, 0, 0, 0])
    assert mask_boxes(torch.from_numpy(masks)).tolist() == expected
    assert mask_boxes(torch.zeros(0, *size, dtype=torch.bool)).shape == (0, 4)


def test_boxes_are_cut_off_by_edges_of_the_crop_but_not_of_the_picture() -> None:
    crop = Crop(0, 100, 200, 300, 1)
    boxes = torch.tensor(
        [[0, 40, 90, 90], [5, 21, 100, 178], [5, 20, 100, 178], [5, 21, 180, 100], [5, 21, 100, 180], [5, 21, 179, 179]]
    )
    assert cut_off(boxes, crop, (400, 400)).tolist() == [False, False, True, True, True, False]
    assert cut_off(boxes, Crop(0, 0, 200, 200), (200, 200)).tolist() == [False] * 6


def test_masks_of_a_crop_lie_where_the_crop_lies() -> None:
    crop, masks = Crop(2, 1, 5, 3, 1), torch.ones(2, 2, 3, dtype=torch.bool)
    whole = placed(masks, crop, (4, 6))
    assert whole.shape == (2, 4, 6)
    assert whole[:, 1:3, 2:5].all()
    assert int(whole.sum()) == 12
