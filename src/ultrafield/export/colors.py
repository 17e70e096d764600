"""One colour per tree node, fixed for all views and cuts: children are shades of their parent."""

from __future__ import annotations

import numpy as np

from ..ultrametric import CondensedTree, Tree, condense
from ..ultrametric.substantial import cluster_of_nodes, substantial_size

_FIRST_HUE, _HUES = 30.0, 330.0  # degrees; what is missing of the circle keeps the two ends of the scale apart
_MIDDLE, _STEP, _DARKEST, _LIGHTEST = 0.70, 0.14, 0.48, 0.88  # lightness
_CHROMA = 0.15
_ROUNDING = 1e-4  # of linear light: less than half a step of 8 bits, even in the dark


def node_colors(tree: Tree, *, min_size: int | None = None) -> np.ndarray:
    """Colours of every node, the same in whatever view or cut the node appears.

    The substantial segments share out the circle of hues: a parent's range is divided between its children, and each
    segment has the middle hue of its range, so parts are shades of their object. What narrow ranges no longer tell
    apart, lightness does: the smaller child of a split becomes lighter or darker, in turn. Other nodes have the colour
    of the smallest substantial segment around them.

    Args:
        tree: A merge tree over n leaves.
        min_size: Leaves of a substantial segment; None takes a thousandth of all, but at least 2.

    Returns:
        sRGB [2n − 1, 3], uint8.

    Source: M. Tennekes, E. de Jonge, "Tree Colors: Color Schemes for Tree-Structured Data", 2014.
    """
    condensed = condense(tree, substantial_size(tree, min_size))
    splits = _splits(condensed)
    colors = oklch_to_srgb(_lightness(splits, len(condensed)), _CHROMA, _hues(condensed, splits))
    return colors[cluster_of_nodes(tree, condensed)]


def oklch_to_srgb(lightness: np.ndarray, chroma: float, hue: np.ndarray) -> np.ndarray:
    """Colours of the OKLCH space as sRGB.

    Args:
        lightness: [C], 0 … 1.
        chroma: Wanted colourfulness; colours that sRGB cannot show get as much of it as it can.
        hue: [C], degrees.

    Returns:
        [C, 3], uint8.

    Source: B. Ottosson, "A perceptual color space for image processing", 2020.
    """
    within, beyond = np.zeros(len(hue)), np.full(len(hue), chroma)
    for _ in range(12):  # bisection, to less than what 8 bits tell apart
        middle = 0.5 * (within + beyond)
        linear = _oklch_to_linear(lightness, middle, hue)
        displayable = ((linear >= -_ROUNDING) & (linear <= 1.0 + _ROUNDING)).all(axis=1)
        within, beyond = np.where(displayable, middle, within), np.where(displayable, beyond, middle)
    linear = np.clip(_oklch_to_linear(lightness, within, hue), 0.0, 1.0)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * srgb).astype(np.uint8)


def _oklch_to_linear(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Linear red, green, blue [C, 3]; outside 0 … 1 where sRGB cannot show the colour."""
    angle = np.deg2rad(hue)
    a, b = chroma * np.cos(angle), chroma * np.sin(angle)
    cones = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=1,
    )
    matrix = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    return cones**3 @ matrix.T


def _splits(condensed: CondensedTree) -> np.ndarray:
    """Parent, larger and smaller child of every split [S, 3], int64, a split before those below it."""
    children = 1 + np.argsort(condensed.parents[1:], kind="stable").reshape(-1, 2)
    larger = np.argmax(condensed.sizes[children], axis=1)
    rows = np.arange(len(children))
    return np.stack([condensed.parents[children[:, 0]], children[rows, larger], children[rows, 1 - larger]], axis=1)


def _hues(condensed: CondensedTree, splits: np.ndarray) -> np.ndarray:
    """Middle of each cluster's range of hues [C], degrees."""
    weight = _weights(condensed, splits)
    start, width = np.full(len(condensed), _FIRST_HUE), np.full(len(condensed), _HUES)
    for parent, larger, smaller in splits:
        width[larger] = width[parent] * weight[larger] / (weight[larger] + weight[smaller])
        width[smaller] = width[parent] - width[larger]
        start[larger], start[smaller] = start[parent], start[parent] + width[larger]
    return start + 0.5 * width


def _weights(condensed: CondensedTree, splits: np.ndarray) -> np.ndarray:
    """How large a share of its parent's hues each cluster asks for [C], positive.

    A cluster asks for itself or for all that is in it, whichever is more. The cube root lets small parts have a share
    that one can see; the lifetime keeps short-lived pieces of a uniform surface from crowding out true parts.
    """
    lifetime = (condensed.death - condensed.birth) / max(float(condensed.death[0]), 1e-12)
    weight = np.cbrt(condensed.sizes) * (lifetime + 0.01)
    for parent, larger, smaller in splits[::-1]:
        weight[parent] = max(weight[parent], weight[larger] + weight[smaller])
    return weight


def _lightness(splits: np.ndarray, count: int) -> np.ndarray:
    """Lightness of each cluster [C], 0 … 1; the larger child keeps its parent's, so that a trunk changes little."""
    lightness, turn = np.full(count, _MIDDLE), np.full(count, _STEP)
    for parent, larger, smaller in splits:
        step = turn[parent]
        if not _DARKEST <= lightness[parent] + step <= _LIGHTEST:
            step = -step
        lightness[larger], lightness[smaller] = lightness[parent], lightness[parent] + step
        turn[larger] = turn[smaller] = -turn[parent]
    return lightness
