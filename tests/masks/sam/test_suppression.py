"""Non-maximum suppression against loops, and against torchvision where it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ultrafield.masks.sam.bits import pack_pixels
from ultrafield.masks.sam.suppression import box_nms, mask_nms, shared_pixels

BOXES = st.lists(st.tuples(*[st.integers(0, 12)] * 4, st.integers(0, 3)), max_size=40)


def loops(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Greedy suppression as it is told."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        if all(not overlap(boxes[index], boxes[other]) > threshold for other in kept):
            kept.append(index)
    return kept


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """IoU in the precision in which torchvision computes it."""
    a, b, c, d = (np.float32(value) for value in one)
    e, f, g, h = (np.float32(value) for value in other)
    shared = max(np.float32(0), min(c, g) - max(a, e)) * max(np.float32(0), min(d, h) - max(b, f))
    union = (c - a) * (d - b) + (g - e) * (h - f) - shared
    return float(shared / union) if union else float("nan")


def sorted_boxes(rows: list[tuple[int, ...]]) -> np.ndarray:
    values = np.array([row[:4] for row in rows], np.float32).reshape(-1, 2, 2)
    return np.sort(values, axis=1).reshape(-1, 4)


@given(rows=BOXES, threshold=st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.7, 1.0]))
def test_boxes_stay_that_stay_one_by_one(rows: list[tuple[int, ...]], threshold: float) -> None:
    boxes, scores = sorted_boxes(rows), np.array([row[4] for row in rows], np.float32)
    found = box_nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert found.tolist() == loops(boxes, scores, threshold)


def test_a_long_chain_is_followed_to_its_end() -> None:
    # Each box removes the next one unless it was removed itself.
    boxes = torch.tensor([[5.0 * index, 0, 5.0 * index + 10, 10] for index in range(200)])
    scores = torch.arange(200, 0, -1).float()
    assert box_nms(boxes, scores, 0.3).tolist() == list(range(0, 200, 2))


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_torchvision_agrees(count: int) -> None:
    ops = pytest.importorskip("torchvision.ops", reason="needs torchvision")
    generator = torch.Generator().manual_seed(count)
    corners = torch.randint(0, 300, (count, 2), generator=generator).float()
    boxes = torch.cat([corners, corners + torch.randint(0, 200, (count, 2), generator=generator)], dim=1)
    scores = torch.rand(count, generator=generator).round(decimals=2)
    for threshold in (0.1, 0.5, 0.7, 0.9):
        assert torch.equal(box_nms(boxes, scores, threshold), ops.nms(boxes, scores, threshold))


@pytest.mark.parametrize("count", [0, 1, 7, 70])
@pytest.mark.parametrize("blocks", [False, True])
def test_masks_are_compared_pixel_by_pixel(count: int, blocks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if blocks:
        monkeypatch.setattr("ultrafield.masks.sam.suppression._BLOCK_BYTES", 4096)
    generator = np.random.default_rng(count)
    base = generator.random((6, 9, 11)) < 0.5
    masks = base[generator.integers(0, 6, count)] ^ (generator.random((count, 9, 11)) < 0.1)
    scores = generator.integers(0, 5, count).astype(np.float32)
    bits = pack_pixels(torch.from_numpy(masks))
    shared = np.einsum("mhw,nhw->mn", masks.astype(int), masks.astype(int))
    np.testing.assert_array_equal(shared_pixels(bits).numpy(), shared)
    iou = shared / (masks.sum((1, 2))[:, None] + masks.sum((1, 2))[None] - shared)
    kept: list[int] = []
    for index in sorted(range(count), key=lambda index: -scores[index]):
        if all(iou[index, other] <= 0.6 for other in kept):
            kept.append(index)
    assert mask_nms(bits, torch.from_numpy(scores), 0.6).tolist() == kept
