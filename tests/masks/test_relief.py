"""Steps and creases of exact surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.masks.relief import BULGE, FULL_CREASE, HOLLOW, STEP, ViewDepth
from ultrafield.masks.watershed import watershed_masks

HEIGHT, WIDTH, FOCAL = 40, 50, 60.0
INTRINSICS = np.array([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2])


def plane(normal: tuple[float, float, float], offset: float) -> np.ndarray:
    """Depth of the plane n·p = offset."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(columns - WIDTH / 2) / FOCAL, (rows - HEIGHT / 2) / FOCAL, np.ones_like(rows)], axis=-1)
    return (offset / (rays @ np.array(normal))).astype(np.float32)


def contrasts(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ViewDepth(depth, INTRINSICS).contrasts()


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.7, 0, 0.7), (0.3, -0.6, 0.5)])
def test_planes_are_smooth_however_they_are_tilted(normal: tuple[float, float, float]) -> None:
    right, below = contrasts(plane(normal, 2.0))
    assert max(right.max(), below.max()) < 0.1


@pytest.mark.parametrize(("footprints", "least", "most"), [(0.5, 0, 0.5), (3, 2, 10), (7, 20, 27), (20, STEP, STEP)])
def test_a_step_counts_by_its_height_in_footprints(footprints: float, least: float, most: float) -> None:
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth[:, 25:] += footprints * 2.0 / FOCAL
    right, below = contrasts(depth)
    assert least <= right[10:30, 24].mean() <= most  # low steps bend the fitted planes and count less
    assert below[10:30, :20].max() < 0.1


@pytest.mark.parametrize(("apart", "weight"), [(1, BULGE), (-1, HOLLOW)])
def test_hollow_creases_count_more_than_bulging_ones(apart: int, weight: float) -> None:
    slope = np.tan(np.pi / 8)  # two walls at 45 degrees to each other
    left, right = plane((apart * slope, 0, 1), 2.0), plane((-apart * slope, 0, 1), 2.0)
    depth = np.where(np.arange(WIDTH) < WIDTH / 2, left, right)
    found = contrasts(depth)[0][10:30, 24].mean()
    assert found == pytest.approx(weight * (np.pi / 4) / FULL_CREASE, rel=0.15)


def test_the_outline_against_nothing_counts_fully() -> None:
    depth = plane((0, 0, 1), 2.0)
    depth[:, 30:] = 0
    right, _ = contrasts(depth)
    assert (right[:, 29] == STEP).all()
    assert right[:, 31:].max() == 0


@pytest.mark.parametrize("size", [(20, 25), (33, 41), (80, 100)])
def test_resizing_averages_nothing_across_a_step_and_keeps_planes(size: tuple[int, int]) -> None:
    near, far = plane((0.3, 0.2, 1), 1.0), plane((0, 0, 1), 3.0)
    depth = np.where(np.arange(WIDTH) < WIDTH / 2, near, far)
    small = ViewDepth(depth, INTRINSICS).resized(size)
    assert small.depth.shape == size
    assert not ((small.depth > 1.3) & (small.depth < 2.9)).any()
    right, below = small.contrasts()
    margin = 3 * -(-size[1] // WIDTH)
    inner = np.s_[margin:-margin, margin : size[1] // 2 - margin]
    assert max(right[inner].max(), below[inner].max()) < 0.5


def test_shape_parts_what_colour_does_not_and_joins_what_is_only_printed() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[8:32, 4:14] = (170, 110, 110)  # a print on the flat ground
    block = np.zeros((HEIGHT, WIDTH), bool)
    block[12:28, 28:42] = True
    depth = np.where(block, 1.6, 2.0).astype(np.float32)

    def best(masks: np.ndarray) -> float:
        return float(((masks & block).sum((1, 2)) / (masks | block).sum((1, 2))).max())

    seen = ViewDepth(depth, INTRINSICS)
    assert best(watershed_masks(image)) < 0.5
    assert best(watershed_masks(image, seen, levels=(2,))) > 0.95  # the block goes first, the print stays whole
    assert len(watershed_masks(image, seen, levels=(2,))) == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 3)])
def test_pictures_of_few_pixels(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    depth = np.random.default_rng(1).random(shape, np.float32)
    assert watershed_masks(image, ViewDepth(depth, INTRINSICS)).any()


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        ViewDepth(np.zeros((2, 2, 1), np.float32), INTRINSICS)
    with pytest.raises(ValueError, match="intrinsics"):
        ViewDepth(np.zeros((2, 2), np.float32), INTRINSICS[:3])
