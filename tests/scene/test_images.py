"""Pictures brought to working size, and pixels that are to be ignored."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ultrafield import budget
from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import write_masks
from ultrafield.parallel import in_threads
from ultrafield.scene import images as module
from ultrafield.scene import load_scene
from ultrafield.scene.images import blend, read_picture, read_valid, reduced
from ultrafield.scene.views import _workers

Make = Callable[..., Path]
COLOR = (0.25, 0.5, 1.0)


def rgba(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)


def whole(picture: np.ndarray) -> np.ndarray:
    """A picture put on `COLOR` at once, in float32."""
    picture = picture.astype(np.float32)
    alpha = picture[..., 3:] / 255.0
    return picture[..., :3] * alpha + np.float32(255.0) * np.array(COLOR, np.float32) * (1.0 - alpha)


def rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(0, 4), (1, 1), (7, 13), (50, 30)])
def test_pictures_are_blended_as_all_at_once(size: tuple[int, int]) -> None:
    picture = rgba(*size)
    fixed, turned = picture.copy(), np.asfortranarray(picture)
    fixed.flags.writeable = False
    for form in (picture, fixed, turned, picture.astype(np.float32), picture.astype(np.float32) - np.float32(0.25)):
        blended = blend(form, COLOR)
        np.testing.assert_array_equal(blended, whole(form))
        assert blended.dtype == np.float32
        np.testing.assert_array_equal(blend(form, COLOR, np.uint8), rounded(whole(form)))


def test_reducing_changes_no_bit() -> None:
    picture = rgba(50, 30)
    image, alpha = reduced(picture, COLOR, (30, 50))
    np.testing.assert_array_equal(image, rounded(whole(picture)))
    np.testing.assert_array_equal(alpha, picture[..., 3])
    image, alpha = reduced(picture, COLOR, (11, 19))
    np.testing.assert_array_equal(image, rounded(cv2.resize(whole(picture), (11, 19), interpolation=cv2.INTER_AREA)))
    shrunk = cv2.resize(picture[..., 3].astype(np.float32), (11, 19), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(alpha, rounded(shrunk))


def test_large_pictures_are_rounded_before_they_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = rgba(60, 60)
    exact = cv2.resize(whole(picture), (20, 20), interpolation=cv2.INTER_AREA)
    monkeypatch.setattr(module, "_LARGE", 100)
    image, alpha = reduced(picture, COLOR, (20, 20))
    assert np.abs(image - exact).max() < 1.01
    assert alpha.shape == (20, 20)


def test_pictures_of_16_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 1 << 16, (9, 5, 4), dtype=np.uint16)
    write_image(tmp_path / "a.png", values)
    monkeypatch.setattr(module, "_BLOCK", 10)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), np.round(values / 257).astype(np.uint8))


def test_threads_are_as_many_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    monkeypatch.setattr(budget, "_chosen", 4 << 30)
    assert [_workers([(10, 10)]), _workers([(4000, 3000), (10, 10)]), _workers([(9000, 7000)])] == [8, 3, 1]
    assert _workers([]) == 8


# Pixels that are to be ignored


def stripe(size: tuple[int, int], ignored: int, **kind: Any) -> np.ndarray:
    """White, with `ignored` black columns on the left."""
    mask = np.full(size, kind.get("white", 255), kind.get("dtype", np.uint8))
    mask[:, :ignored] = 0
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        stripe((6, 8), 3),
        stripe((6, 8), 3, white=1),
        stripe((6, 8), 3, white=65535, dtype=np.uint16),
        np.repeat(stripe((6, 8), 3)[..., None], 3, axis=2),
        np.where(stripe((6, 8), 3) > 0, 250, 9).astype(np.uint8),  # as JPEG leaves it
        stripe((12, 16), 6),
        stripe((12, 16), 5),  # a pixel half of which is to be ignored is
    ],
)
def test_black_pixels_are_to_be_ignored(make_capture: Make, edit: Callable, mask: np.ndarray) -> None:
    root = make_capture()
    write_image(root / "ignore/a.png", mask)
    edit(root / "transforms.json", lambda values: values["frames"][1].update(mask_path="ignore/a.png"))
    views = load_scene(root, hold_out=None).train.views
    assert [view.valid is None for view in views] == [True, False, True, True]
    np.testing.assert_array_equal(views[1].valid, stripe((6, 8), 3) > 0)


def test_ignored_pixels_are_in_no_mask(make_capture: Make, edit: Callable) -> None:
    root = make_capture()
    write_image(root / "ignore/a.png", stripe((6, 8), 3))
    edit(root / "transforms.json", lambda values: [f.update(mask_path="ignore/a") for f in values["frames"]])
    masks = np.zeros((3, 6, 8), bool)
    masks[0], masks[1, :, :3], masks[2, :2, 2:5] = True, True, True
    write_masks(root, "train", "0001", masks)
    view = load_scene(root, hold_out=None, warn=lambda _: None).train.views[1]
    kept = masks[[0, 2]]
    kept[:, :, :3] = False
    np.testing.assert_array_equal(view.masks.masks(), kept)
    assert view.masks.areas.tolist() == [30, 4]
    assert view.masks.inside.tolist() == [[False, False], [True, False]]


def test_nothing_ignored_is_nothing_to_remember(make_capture: Make, edit: Callable) -> None:
    root = make_capture()
    write_image(root / "a.png", np.full((6, 8), 255, np.uint8))
    edit(root / "transforms.json", lambda values: values["frames"][1].update(mask_path="a.png"))
    assert load_scene(root, hold_out=None).train.views[1].valid is None


def test_masks_at_other_sizes(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", stripe((30, 40), 7))
    np.testing.assert_array_equal(read_valid(tmp_path / "a.png", (40, 30), (10, 8)), stripe((8, 10), 2) > 0)
    np.testing.assert_array_equal(read_valid(tmp_path / "a.png", (40, 30), (80, 60)), stripe((60, 80), 14) > 0)


@pytest.mark.parametrize(
    ("mask", "listed", "message"),
    [
        (np.zeros((6, 8), np.uint8), "a.png", "{root}/a.png: excludes every pixel of its view"),
        (np.ones((8, 6), np.uint8), "a.png", "{root}/a.png: expected the aspect ratio of its picture (8x6 pixels)"),
        (None, "a.png", "{root}/transforms.json: frame 1: 'mask_path' names 'a.png', but there is no such file"),
        (None, ["a.png"], "{root}/transforms.json: frame 1: 'mask_path' must be a file name, got ['a.png']"),
        (None, "", "{root}/transforms.json: frame 1: 'mask_path' must be a file name, got ''"),
        (None, "images", "{root}/transforms.json: frame 1: 'mask_path' names 'images', but there is no such file"),
    ],
)
def test_masks_that_cannot_be_used(
    make_capture: Make, edit: Callable, mask: np.ndarray | None, listed: object, message: str
) -> None:
    root = make_capture()
    if mask is not None:
        write_image(root / "a.png", mask)
    edit(root / "transforms.json", lambda values: values["frames"][1].update(mask_path=listed))
    with pytest.raises(SceneError, match=re.escape(message.format(root=root))):
        load_scene(root, hold_out=None)


def test_a_mask_of_floats(make_capture: Make, edit: Callable) -> None:
    root = make_capture()
    cv2.imwrite(str(root / "a.tif"), np.ones((6, 8), np.float32))
    edit(root / "transforms.json", lambda values: values["frames"][1].update(mask_path="a.tif"))
    with pytest.raises(SceneError, match=r"a\.tif: expected 8 or 16 bits per channel, found float32"):
        load_scene(root, hold_out=None)


def test_keys_that_are_not_read_are_said_once(make_capture: Make, edit: Callable) -> None:
    root, warnings = make_capture(orientation_override="none", ply_file_path="a.ply", applied_scale=2), []
    edit(root / "transforms.json", lambda values: [f.update(depth_file_path="d.png") for f in values["frames"]])
    load_scene(root, warn=warnings.append)
    assert warnings == [f"{root}/transforms.json: depth_file_path, orientation_override: not used"]


def test_no_more_than_a_few_pictures_are_decoded_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", np.full((6, 8, 3), 77, np.uint8))
    stored, under_way, most = module.PictureFile.of(tmp_path / "a.png", (8, 6), (1.0, 1.0, 1.0)), [0], [0]
    read = module.read_picture

    def slow(file: Path) -> np.ndarray:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        time.sleep(0.02)
        under_way[0] -= 1
        return read(file)

    monkeypatch.setattr(module, "read_picture", slow)
    pictures = list(in_threads(lambda index: stored.read(), range(24), workers=12))
    assert all((picture == 77).all() for picture in pictures)
    assert 2 <= most[0] <= 4
