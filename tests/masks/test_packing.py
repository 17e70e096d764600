"""Packing of masks one by one, of label maps, and the memory that is checked before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ultrafield import budget
from ultrafield.cameras.pixels import resize_nearest
from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import build_mask_set, read_masks, resized_mask_set
from ultrafield.masks.packing import MaskPacker, pack_labels, pack_masks


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 55, 56, 57, 63, 64, 65, 72, 127, 128, 130])
@pytest.mark.parametrize("spare", [0, 1, 70])
def test_masks_one_by_one_are_packed_as_all_at_once(count: int, spare: int) -> None:
    masks = np.random.default_rng(count).random((count, 5, 7)) < 0.3
    packer = MaskPacker(count + spare, (5, 7))
    assert all(packer.add(mask) for mask in masks)
    bits, areas = packer.finish()
    np.testing.assert_array_equal(bits, pack_masks(masks))
    np.testing.assert_array_equal(areas, masks.sum(axis=(1, 2)))


@given(seed=st.integers(0, 1000), count=st.integers(0, 20), height=st.integers(1, 9), width=st.integers(1, 9))
def test_masks_that_hold_no_pixel_at_the_size_are_left_out(seed: int, count: int, height: int, width: int) -> None:
    masks = np.random.default_rng(seed).random((count, 6, 6)) < 0.1
    packer = MaskPacker(count, (height, width))
    resized = np.asarray(resize_nearest(masks, (height, width)), bool)
    kept = resized.any(axis=(1, 2))
    assert [packer.add(mask) for mask in masks] == kept.tolist()
    bits, areas = packer.finish()
    np.testing.assert_array_equal(bits, pack_masks(resized[kept]))
    np.testing.assert_array_equal(areas, resized[kept].sum(axis=(1, 2)))


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
def test_segments_of_a_label_map(count: int) -> None:
    labels = np.random.default_rng(0).integers(-1, count, (9, 11)).astype(np.int32)
    bits, areas = pack_labels(labels, count)
    masks = labels == np.arange(count)[:, None, None]
    np.testing.assert_array_equal(bits, pack_masks(masks))
    np.testing.assert_array_equal(areas, masks.sum(axis=(1, 2)))


def test_a_set_at_another_size(tmp_path: Path) -> None:
    masks = np.zeros((3, 8, 8), bool)
    masks[0], masks[1, 0, 0], masks[2, 4:, 4:] = True, True, True
    whole = build_mask_set(masks)
    assert resized_mask_set(whole, (8, 8)) is whole
    small = resized_mask_set(whole, (4, 4))
    expected = build_mask_set(resize_nearest(masks, (4, 4))[[0, 2]])
    for name in ("bits", "areas", "inside", "same"):
        np.testing.assert_array_equal(getattr(small, name), getattr(expected, name))


@pytest.mark.parametrize("kind", ["pictures", "stack", "id map"])
def test_too_many_masks_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = tmp_path / "train_seg/r_0"
    if kind == "stack":
        place.mkdir(parents=True)
        np.save(place / "0.npy", np.ones((300, 20, 20), bool))
    elif kind == "id map":
        write_image(
            tmp_path / "train_seg/r_0.png",
            np.arange(1, 401).astype(np.uint16).reshape(20, 20).repeat(2, 0).repeat(2, 1),
        )
        place = place.with_suffix(".png")
    else:
        for index in range(300):
            write_image(place / f"{index}.png", np.ones((20, 20), np.uint8))
    from ultrafield.masks import packing

    monkeypatch.setattr(packing, "array_limit", lambda: 100_000)
    text = rf"{place}: \d+ masks of \d+x\d+ pixels take 1 MB, more than 0; a larger --memory raises the limit"
    with pytest.raises(SceneError, match=text):
        read_masks(tmp_path, "train", "r_0")
    monkeypatch.setattr(packing, "array_limit", budget.array_limit)
    assert read_masks(tmp_path, "train", "r_0") is not None
