from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.masks.watershed import watershed_cut, watershed_masks, watershed_regions
from ultrafield.reading import read_image


def best_iou(masks: np.ndarray, truth: np.ndarray) -> float:
    return float(((masks & truth).sum((1, 2)) / (masks | truth).sum((1, 2))).max())


def card(height: int = 80, width: int = 100) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A noisy picture of a dark board with a red and a blue square on a light ground, and the truth."""
    rows, columns = np.mgrid[:height, :width] / [[[height]], [[width]]]
    truth = {
        "board": (rows > 0.15) & (rows < 0.85) & (columns > 0.1) & (columns < 0.9),
        "red": (rows > 0.3) & (rows < 0.7) & (columns > 0.2) & (columns < 0.45),
        "blue": (rows > 0.3) & (rows < 0.7) & (columns > 0.55) & (columns < 0.8),
    }
    image = np.full((height, width, 3), (235, 230, 215), np.float64)
    image[truth["board"]] = (90, 70, 50)
    image[truth["red"]] = (190, 60, 50)
    image[truth["blue"]] = (50, 90, 180)
    image += np.random.default_rng(0).normal(scale=4, size=image.shape)
    return image.clip(0, 255).astype(np.uint8), truth


def check_family(masks: np.ndarray, shape: tuple[int, int]) -> None:
    """Masks are of the picture's size, not empty, nested or disjoint, and pairwise different."""
    assert masks.dtype == bool
    assert masks.shape[1:] == shape
    assert len(masks) >= 1
    flat = masks.reshape(len(masks), -1).astype(np.float64)
    areas = flat.sum(1)
    assert areas.min() > 0
    common = flat @ flat.T
    smaller = np.minimum(areas[:, None], areas[None])
    assert ((common == 0) | (common == smaller)).all()
    iou = common / (areas[:, None] + areas[None] - common)
    np.fill_diagonal(iou, 0)
    assert iou.max() <= 0.9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 40), st.integers(2, 255), st.floats(0, 0.2))
def test_any_picture_gives_a_nested_family(seed: int, height: int, width: int, colors: int, least: float) -> None:
    image = np.random.default_rng(seed).integers(0, colors, (height, width, 3)).astype(np.uint8)
    masks = watershed_masks(image, min_area_fraction=least)
    check_family(masks, (height, width))
    if len(masks) > 1:
        assert masks.sum((1, 2)).min() >= least * height * width


def test_things_come_out_as_masks() -> None:
    image, truth = card()
    masks = watershed_masks(image)
    check_family(masks, image.shape[:2])
    assert best_iou(masks, truth["red"]) > 0.9
    assert best_iou(masks, truth["blue"]) > 0.9
    whole = truth["board"]
    assert max(best_iou(masks, whole), best_iou(masks, whole & ~truth["red"] & ~truth["blue"])) > 0.9


def test_every_pixel_is_in_some_mask() -> None:
    image, _ = card()
    assert watershed_masks(image, min_area_fraction=0.0).any(axis=0).mean() > 0.99


def test_coarse_to_fine() -> None:
    image, _ = card()
    areas = watershed_masks(image).sum((1, 2))
    assert areas[: len(areas) // 3].mean() > areas[-len(areas) // 3 :].mean()


def test_one_colour_is_one_mask() -> None:
    for shape in ((40, 50), (1, 1), (1, 9), (9, 1)):
        masks = watershed_masks(np.full((*shape, 3), 90, np.uint8))
        assert masks.shape == (1, *shape)
        assert masks.all()


def test_two_flat_halves() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[:, 20:] = 200
    masks = watershed_masks(image)
    assert len(masks) == 2
    assert best_iou(masks, image[..., 0] > 0) >= 0.95  # smoothing may move a border by a pixel
    assert best_iou(masks, image[..., 0] == 0) >= 0.95


def test_large_pictures_are_segmented_small() -> None:
    image, truth = card(600, 750)
    masks = watershed_masks(image, working_pixels=10_000)
    check_family(masks, (600, 750))
    assert best_iou(masks, truth["red"]) > 0.9


def test_the_number_of_masks_is_bounded_and_coarse_ones_stay() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 60, 3)).astype(np.uint8)
    masks = watershed_masks(image)
    few = watershed_masks(image, max_masks=5)
    assert len(few) == 5 < len(masks)
    np.testing.assert_array_equal(few, masks[:5])


def test_same_picture_same_masks() -> None:
    image, _ = card()
    np.testing.assert_array_equal(watershed_masks(image), watershed_masks(image))


def test_the_fox_has_a_reasonable_number_of_regions(fox: Path) -> None:
    image = read_image(fox / "images" / "0012.jpg")[::4, ::4]
    masks = watershed_masks(np.ascontiguousarray(image))
    check_family(masks, (480, 270))
    assert 30 <= len(masks) <= 192
    assert masks.any(axis=0).mean() > 0.97


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((4, 5), np.uint8), r"image: expected shape \[H, W, 3\], got \[4, 5\]"),
        (np.zeros((4, 5, 4), np.uint8), r"image: expected shape \[H, W, 3\], got \[4, 5, 4\]"),
        (np.zeros((0, 5, 3), np.uint8), r"image: expected shape \[H, W, 3\], got \[0, 5, 3\]"),
        (np.zeros((4, 5, 3), np.float32), "image: expected uint8, got float32"),
    ],
)
def test_pictures_of_the_wrong_kind(image: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        watershed_masks(image)


def test_options_out_of_range() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="min_area_fraction: expected 0 to below 1, got 1"):
        watershed_masks(image, min_area_fraction=1)
    with pytest.raises(ValueError, match="max_masks: expected at least 1, got 0"):
        watershed_masks(image, max_masks=0)
    with pytest.raises(ValueError, match=r"levels: expected positive numbers of regions, got \[0\]"):
        watershed_masks(image, levels=[0])


def test_masks_one_by_one_are_those_all_at_once() -> None:
    image, _ = card(300, 420)
    nested, masks = watershed_cut(image), watershed_masks(image)
    assert len(nested) == len(masks)
    np.testing.assert_array_equal([nested[index] for index in range(len(nested))], masks)
    # What is kept of a picture does not depend on the number of masks.
    assert nested.ranks.nbytes == 4 * 300 * 420
    assert (nested.first.shape, nested.last.shape) == ((len(masks),), (len(masks),))


def test_regions_are_the_finest_that_masks_tell_apart() -> None:
    image, _ = card()
    regions, masks = watershed_regions(image), watershed_masks(image)
    assert regions.shape == image.shape[:2]
    sets = np.unique(masks.reshape(len(masks), -1), axis=1, return_inverse=True)[1].reshape(regions.shape)
    pairs = np.unique(np.stack([regions.ravel(), sets.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(regions)) == len(np.unique(sets)) > 3
    small = watershed_regions(image, working_pixels=2000)
    assert small.shape == (40, 50)
    assert 2 <= len(np.unique(small)) < 2000
