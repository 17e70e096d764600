"""Polygons, against a test of every pixel and against pycocotools where it is."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.masks.own.polygons import polygon_mask


def star(seed: int, height: int, width: int) -> list[float]:
    """A polygon that does not cross itself, part of it outside of the picture."""
    generator = np.random.default_rng(seed)
    angles = np.sort(generator.random(generator.integers(3, 12)) * 2 * np.pi)
    radii = generator.uniform(0.2, 0.7, len(angles))
    x, y = width * (0.5 + radii * np.cos(angles)), height * (0.5 + radii * np.sin(angles))
    return np.stack([x, y], axis=1).round(2).ravel().tolist()  # type: ignore[no-any-return]


def slowly(polygon: list[float], height: int, width: int) -> np.ndarray:
    """Whether a ray to the right of each pixel's centre crosses an odd number of edges."""
    corners = np.array(polygon).reshape(-1, 2)
    mask = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            x, y, inside = column + 0.5, row + 0.5, False
            for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                    inside = not inside
            mask[row, column] = inside
    return mask


@pytest.mark.parametrize("seed", range(8))
def test_pixels_are_inside_whose_centres_are(seed: int) -> None:
    polygon = star(seed, 17, 23)
    found = polygon_mask([polygon], (17, 23))
    assert (found != slowly(polygon, 17, 23)).sum() <= 1  # a centre on an edge


def test_a_rectangle_on_pixel_borders_is_exact() -> None:
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:7] = True
    np.testing.assert_array_equal(polygon_mask([[2, 1, 7, 1, 7, 4, 2, 4]], (6, 8)), expected)


def test_several_polygons_are_united_and_a_hole_is_a_crossing() -> None:
    one, other = [0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 4, 1, 4, 4, 1, 4]
    assert polygon_mask([one, other], (5, 5)).sum() == 4 + 9 - 1
    twice = [0, 0, 4, 0, 4, 4, 0, 4, 0, 0, 1, 1, 1, 3, 3, 3, 3, 1, 1, 1]
    assert polygon_mask([twice], (4, 4)).sum() == 16 - 4


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_agrees_but_for_the_border() -> None:
    tools = pytest.importorskip("pycocotools.mask", reason="needs pycocotools")
    for seed in range(20):
        polygon = star(seed, 90, 120)
        theirs = tools.decode(tools.frPyObjects([polygon], 90, 120)[0]).astype(bool)
        ours = polygon_mask([polygon], (90, 120))
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.98


@pytest.mark.parametrize(
    "polygons", [None, [], "0 0 1 1", [[0, 0, 1, 1]], [[0, 0, 1, 0, 1]], [[0, 0, 1, 0, 1, "1"]], [[0, 0, 1, 0, 1, 1e9]]]
)
def test_what_is_no_polygon_is_refused(polygons: object) -> None:
    with pytest.raises(ValueError, match="polygon"):
        polygon_mask(polygons, (4, 4))


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="polygon"):
        polygon_mask([[0, 0, 1, 0, 1, float("nan")]], (4, 4))
