"""Masks that imitate Segment Anything's automatic generator, from the exact segmentation of a view.

Where they are wrong, and differently in every view:

- A node of the hierarchy gets a mask with a probability that grows with its visible size and depends on its level
  (parts most often, groups and the whole scene least).
- A node that falls into several pieces in the picture may come back as its largest piece, or as one mask per piece.
- Some masks lack a round bite; in some, holes are filled.
- Borders are displaced by a smooth random field of about a pixel (at 200 pixels' width; it scales with the picture).
- Now and then two touching siblings come as one mask, a part is split by a plane or by its brightness, a blob within
  a part gets a mask of its own, a mask comes twice with different borders, and the background is segmented.
- Masks under 20 pixels do not exist.

Rates are per picture; `strength` scales all of them, and 0 gives every visible node with exact borders. All draws come
from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .scene_graph import Node

MIN_PIXELS = 20
REFERENCE_PIXELS = 200 * 200  # sizes below are pixels in a picture of this many

# Chance of a mask for a large node, and the size at which it has reached 63 % of that.
SEEN = {
    "part": (0.87, 75.0),
    "sub": (0.45, 60.0),
    "object": (0.72, 450.0),
    "group": (0.40, 200.0),
    "scene": (0.30, 200.0),
}
MERGES, PLANE_SPLITS, BRIGHTNESS_SPLITS, BLOBS, DUPLICATES = 1.5, 0.7, 0.6, 0.5, 0.5  # mean events per picture
LARGEST_PIECE, EVERY_PIECE = 0.3, 0.35  # shares of the masks that consist of several pieces
BITE, FILL, BACKGROUND = 0.04, 0.3, 0.25
JITTER = 0.6  # standard deviation of a border's displacement, pixels at the reference size


@dataclass(frozen=True, eq=False)
class _Mask:
    """A mask [H, W] bool and its origin."""

    pixels: np.ndarray
    origin: str


def clean_masks(nodes: Sequence[Node], parts: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Exact masks of every visible node, one for nodes that look the same.

    Args:
        nodes: The true hierarchy.
        parts: Part ids [H, W], 0 for background.

    Returns:
        Masks [M, H, W] bool of at least 20 pixels, and the name of the node each one shows.
    """
    visible = _visible_nodes(nodes, parts)
    return _stacked([_Mask(pixels, node.name) for node, pixels in visible], parts.shape)


def sam_like_masks(
    nodes: Sequence[Node],
    parts: np.ndarray,
    image: np.ndarray,
    depth: np.ndarray,
    *,
    rng: np.random.Generator,
    strength: float = 1.0,
) -> tuple[np.ndarray, list[str]]:
    """Masks of one view as Segment Anything might return them.

    Args:
        nodes: The true hierarchy.
        parts: Part ids [H, W], 0 for background.
        image: The picture [H, W, 3], uint8.
        depth: z-depth [H, W], float32, 0 for background; any unit.
        rng: Source of every draw.
        strength: How far from the truth, 0 to 1 (or more).

    Returns:
        Masks [M, H, W] bool of at least 20 pixels each, in random order, and a note on the origin of each; no masks
        only where nothing of that size is visible.
    """
    visible = _visible_nodes(nodes, parts)
    if not visible:
        return _stacked([], parts.shape)
    scale = float(np.sqrt(parts.size / REFERENCE_PIXELS))
    seen = [(node, pixels) for node, pixels in visible if rng.random() < _seen_chance(node, pixels, scale, strength)]
    masks = [mask for node, pixels in seen for mask in _flawed(node, pixels, scale, strength, rng)]
    masks += _merges(seen, strength, rng)
    masks += _sub_parts(visible, image, depth, scale, strength, rng)
    background = parts == 0
    if background.sum() >= MIN_PIXELS and rng.random() < BACKGROUND * strength:
        masks.append(_Mask(background, "background"))
    repeats = min(rng.poisson(DUPLICATES * strength), len(masks))
    masks += [_Mask(masks[i].pixels, f"duplicate:{masks[i].origin}") for i in rng.permutation(len(masks))[:repeats]]
    masks = [_Mask(_jittered(mask.pixels, JITTER * scale * strength, scale, rng), mask.origin) for mask in masks]
    masks = [mask for mask in masks if mask.pixels.sum() >= MIN_PIXELS]
    if not masks:  # a picture that shows something has at least one mask
        node, pixels = max(visible, key=lambda item: (item[0].level == "part", item[1].sum()))
        masks = [_Mask(pixels, f"{node.level}:{node.name}")]
    return _stacked([masks[i] for i in rng.permutation(len(masks))], parts.shape)


def _visible_nodes(nodes: Sequence[Node], parts: np.ndarray) -> list[tuple[Node, np.ndarray]]:
    """Nodes of at least 20 pixels; of a chain of nodes that look the same, the lowest one."""
    visible: list[tuple[Node, np.ndarray]] = []
    areas = np.bincount(parts.ravel(), minlength=max(max(node.parts, default=0) for node in nodes) + 1)
    size = {node.id: int(areas[list(node.parts)].sum()) for node in nodes}
    covered = {node.parent for node in nodes if node.parent is not None and size[node.id] == size[node.parent]}
    for node in nodes:
        if size[node.id] >= MIN_PIXELS and node.id not in covered:
            visible.append((node, np.isin(parts, node.parts)))
    return visible


def _seen_chance(node: Node, pixels: np.ndarray, scale: float, strength: float) -> float:
    """Chance that a node gets a mask."""
    ceiling, size = SEEN[node.level]
    area = pixels.sum() / scale**2
    return 1 - (1 - ceiling * (1 - np.exp(-area / size))) * strength


def _flawed(node: Node, pixels: np.ndarray, scale: float, strength: float, rng: np.random.Generator) -> Iterator[_Mask]:
    """The mask or masks that stand for a node, before their borders are displaced."""
    origin = f"{node.level}:{node.name}"
    pieces = _pieces(pixels)
    draw = rng.random() / max(strength, 1e-9)
    if len(pieces) > 1 and draw < EVERY_PIECE:
        for index, piece in enumerate(pieces):
            yield _Mask(piece, f"{origin} (fragment {index})")
    elif len(pieces) > 1 and draw < EVERY_PIECE + LARGEST_PIECE:
        yield _Mask(pieces[0], f"{origin} (largest fragment)")
    elif rng.random() < BITE * strength:
        yield _Mask(pixels & ~_disc(pixels, 0.25, rng), f"{origin} (piece missing)")
    elif rng.random() < FILL * strength and (filled := _filled(pixels)).sum() > 1.02 * pixels.sum():
        yield _Mask(filled, f"{origin} (holes filled)")
    else:
        yield _Mask(pixels, origin)


def _merges(seen: list[tuple[Node, np.ndarray]], strength: float, rng: np.random.Generator) -> list[_Mask]:
    """Unions of two children of one node that touch in the picture."""
    touching = [
        _Mask(first | second, f"merge:{a.name} + {b.name}")
        for index, (a, first) in enumerate(seen)
        for b, second in seen[index + 1 :]
        if a.parent == b.parent and _touch(first, second)
    ]
    count = min(rng.poisson(MERGES * strength), len(touching))
    return [touching[i] for i in rng.permutation(len(touching))[:count]]


def _sub_parts(
    visible: list[tuple[Node, np.ndarray]],
    image: np.ndarray,
    depth: np.ndarray,
    scale: float,
    strength: float,
    rng: np.random.Generator,
) -> list[_Mask]:
    """Masks of pieces of parts that have no name: halves by a plane or by brightness, and blobs."""
    large = [(node, pixels) for node, pixels in visible if node.level == "part" and pixels.sum() >= 250 * scale**2]
    masks: list[_Mask] = []
    for rate, kind in ((PLANE_SPLITS, "plane"), (BRIGHTNESS_SPLITS, "brightness"), (BLOBS, "blob")):
        for _ in range(rng.poisson(rate * strength) if large else 0):
            node, pixels = large[rng.integers(len(large))]
            if kind == "blob":
                masks.append(_Mask(pixels & _disc(pixels, rng.uniform(0.1, 0.4), rng), f"blob:{node.name}"))
                continue
            side = _beyond_plane(pixels, depth, rng) if kind == "plane" else _brighter(pixels, image)
            masks += [_Mask(half, f"split by {kind}:{node.name}") for half in (pixels & side, pixels & ~side)]
    return masks


def _beyond_plane(pixels: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pixels on one side of a random plane through the centroid of a mask [H, W] bool."""
    rows, columns = np.nonzero(pixels)
    relief = depth / max(float(np.ptp(depth[pixels])), 1e-6) * np.ptp(rows)  # as deep as the mask is high
    place = np.stack([rows, columns, relief[pixels]], axis=1).astype(np.float64)
    side = np.zeros_like(pixels)
    side[pixels] = (place - place.mean(0)) @ rng.normal(size=3) > 0
    return side


def _brighter(pixels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The pixels brighter than a threshold that separates a mask's two shades best (Otsu) [H, W] bool."""
    import cv2

    grey = cv2.GaussianBlur(image.astype(np.float32).mean(axis=2), (0, 0), 1.0)
    values = np.clip(grey[pixels], 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(values, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return grey > threshold


def _disc(pixels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A disc around a random pixel of the mask, of `share` times its area [H, W] bool."""
    rows, columns = np.nonzero(pixels)
    centre = rng.integers(len(rows))
    height, width = pixels.shape
    squared = (np.arange(height) - rows[centre])[:, None] ** 2 + (np.arange(width) - columns[centre])[None] ** 2
    return squared * np.pi < share * len(rows)


def _pieces(pixels: np.ndarray) -> list[np.ndarray]:
    """Connected pieces of at least 20 pixels, the largest first."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    order = [i for i in np.argsort(-areas[1:], kind="stable") + 1 if areas[i] >= MIN_PIXELS] if count > 1 else []
    return [labels == i for i in order]


def _filled(pixels: np.ndarray) -> np.ndarray:
    """The mask without its holes."""
    from scipy.ndimage import binary_fill_holes

    return binary_fill_holes(pixels)


def _touch(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two masks share a border."""
    import cv2

    return bool((cv2.dilate(first.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & second).any())


def _jittered(pixels: np.ndarray, amplitude: float, scale: float, rng: np.random.Generator) -> np.ndarray:
    """The mask with its border moved by a smooth random field of the given standard deviation, pixels."""
    import cv2

    if amplitude == 0:
        return pixels
    inside = cv2.distanceTransform(pixels.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, 5)
    sigma = 4 * scale
    noise = cv2.GaussianBlur(rng.standard_normal(pixels.shape, np.float32), (0, 0), sigma) * (
        2 * np.sqrt(np.pi) * sigma
    )
    distance = np.where(pixels, inside - 0.5, 0.5 - outside)  # from the border, positive inside
    amplitude = min(amplitude, 0.3 * float(distance.max()))  # or thin masks, a pencil say, would vanish from every view
    return distance + amplitude * (noise + rng.normal()) > 0


def _stacked(masks: list[_Mask], shape: tuple[int, ...]) -> tuple[np.ndarray, list[str]]:
    """Masks as one array [M, H, W], and their origins."""
    pixels = np.stack([mask.pixels for mask in masks]) if masks else np.zeros((0, *shape), bool)
    return pixels, [mask.origin for mask in masks]
