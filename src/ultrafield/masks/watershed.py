"""Nested masks of a single photo without any weights: a hierarchical watershed and region merging.

1. Mean-shift filtering flattens texture (fur, wallpaper); the gradient is taken between neighbouring pixels in Lab,
   with lightness at half weight because a shadow is not an object.
2. A hierarchical watershed by area (Cousty and Najman 2011) on that gradient gives a few hundred fine regions.
3. These are merged, least dissimilar pair first. Two regions are as dissimilar as the mean gradient along their common
   border plus a share of the difference of their mean colours, times a weak power of their size. What is too small or
   too thin to be a thing, and pairs that differ by less than the eye would notice, go first. On photos this keeps to
   objects where watersheds by area, volume or dynamics alone follow the illumination or spend their regions on specks,
   and because every term is a mean over many pixels the same regions come back in neighbouring views.
4. Where a depth map is known (of the trained field, or a sensor's), what it says about steps and creases of the
   surface joins in all of this (`relief.py`), and changes of colour on a smooth surface count less.
5. The merge tree is cut at several numbers of regions. Every region of every cut is a mask, so any two masks are nested
   or disjoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cameras.pixels import resize_nearest
from .merging import MergeTree, merge_tree
from .relief import ViewDepth

SAME_IOU = 0.9  # masks that overlap more are one
METHOD = "watershed-2"  # to be renamed when the same picture gives other masks
METHOD_WITH_DEPTH = "watershed-relief-1"  # likewise
_WORKING_PIXELS = 150_000
_BYTES_FIXED, _BYTES_PER_PIXEL = 100_000_000, 30


def watershed_masks(
    image: np.ndarray,
    depth: ViewDepth | None = None,
    *,
    min_area_fraction: float = 0.0008,
    max_masks: int = 192,
    levels: Sequence[int] = (3, 6, 12, 24, 48, 96),
    fine_regions: int = 500,
    working_pixels: int = _WORKING_PIXELS,
) -> np.ndarray:
    """Segment one picture into a nested family of masks.

    Args:
        image: Picture [H, W, 3], uint8 sRGB.
        depth: Its depth map, of any size with the same proportions.
        min_area_fraction: Least area of a mask as a fraction of the picture.
        max_masks: Most masks to return; the coarsest cuts come first.
        levels: Numbers of regions to cut the hierarchy into, in any order.
        fine_regions: Regions of the watershed that merging starts from.
        working_pixels: Larger pictures are segmented at about this many pixels.

    Returns:
        Masks [M, H, W], bool, coarse to fine, none empty; any two are nested or disjoint, and no two overlap by an IoU
        above 0.9. A picture of one colour gives a single mask of everything.

    Raises:
        ValueError: Wrong shape or dtype, or an option out of range.
        BackendError: Higra is not installed (extra `masks`).
    """
    return watershed_cut(
        image,
        depth,
        min_area_fraction=min_area_fraction,
        max_masks=max_masks,
        levels=levels,
        fine_regions=fine_regions,
        working_pixels=working_pixels,
    ).masks()


@dataclass(frozen=True, eq=False)
class NestedMasks:
    """Nested masks of one picture, each made when it is asked for.

    Attributes:
        ranks: Each pixel's region [H, W], int32, numbered so that those of every mask are contiguous.
        first: First region of each mask [M], int64.
        last: One past its last region [M], int64.
    """

    ranks: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: int) -> np.ndarray:
        """Mask `index` as [H, W] bool."""
        return np.asarray((self.ranks >= self.first[index]) & (self.ranks < self.last[index]))

    def masks(self) -> np.ndarray:
        """All masks as [M, H, W] bool."""
        return np.stack([self[index] for index in range(len(self))])


def watershed_cut(
    image: np.ndarray,
    depth: ViewDepth | None = None,
    *,
    min_area_fraction: float = 0.0008,
    max_masks: int = 192,
    levels: Sequence[int] = (3, 6, 12, 24, 48, 96),
    fine_regions: int = 500,
    working_pixels: int = _WORKING_PIXELS,
) -> NestedMasks:
    """The masks of `watershed_masks`, arguments and errors as there, without holding all of them in memory."""
    _check(image, min_area_fraction, max_masks, levels)
    height, width = image.shape[:2]
    small = _reduced(image, working_pixels)
    least = max(min_area_fraction * small.shape[0] * small.shape[1], 1.0)
    tree = merge_tree(small, fine_regions, least, None if depth is None else depth.resized(small.shape[:2]))
    first, last = tree.leaf_spans()
    # Each pixel's leaf in an order in which every node's leaves are contiguous.
    ranks = resize_nearest(first[tree.labels].astype(np.int32), (height, width))
    counts = np.concatenate([[0], np.cumsum(np.bincount(ranks.ravel(), minlength=tree.leaves))])
    areas = counts[last] - counts[first]  # pixels of every node in the full picture
    chosen = _choose(tree, areas, levels, min_area_fraction * height * width)[:max_masks]
    return NestedMasks(ranks, first[chosen], last[chosen])


def watershed_regions(image: np.ndarray, *, working_pixels: int = _WORKING_PIXELS) -> np.ndarray:
    """Number of each pixel's region; regions are the finest that the masks of a picture tell apart.

    Args:
        image: Picture [H, W, 3], uint8 sRGB.
        working_pixels: Larger pictures are segmented at about this many pixels.

    Returns:
        Numbers from 0 [H', W'], int64; of a larger picture at the size at which it was segmented.

    Raises:
        BackendError: Higra is not installed (extra `masks`).
    """
    masks = watershed_cut(_reduced(image, working_pixels), working_pixels=working_pixels)
    return np.searchsorted(np.union1d(masks.first, masks.last), masks.ranks, side="right")


def regions_bytes(shape: tuple[int, ...]) -> int:
    """Working memory of `watershed_regions` of a picture [H, W, 3], bytes, rounded up."""
    pixels = shape[0] * shape[1]
    return cut_bytes((1, min(pixels, _WORKING_PIXELS))) + 3 * pixels


def cut_bytes(shape: tuple[int, ...]) -> int:
    """Working memory of `watershed_cut` of a picture [H, W, …] and of writing its masks, bytes: about what was
    measured, rounded up.
    """
    height, width = shape[:2]
    return _BYTES_FIXED + _BYTES_PER_PIXEL * height * width


def _check(image: np.ndarray, min_area_fraction: float, max_masks: int, levels: Sequence[int]) -> None:
    """Raise `ValueError` for arguments that cannot be used."""
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image: expected shape [H, W, 3], got {list(image.shape)}")
    if image.dtype != np.uint8:
        raise ValueError(f"image: expected uint8, got {image.dtype}")
    if not 0 <= min_area_fraction < 1:
        raise ValueError(f"min_area_fraction: expected 0 to below 1, got {min_area_fraction}")
    if max_masks < 1:
        raise ValueError(f"max_masks: expected at least 1, got {max_masks}")
    if not levels or min(levels) < 1:
        raise ValueError(f"levels: expected positive numbers of regions, got {list(levels)}")


def _reduced(image: np.ndarray, pixels: int) -> np.ndarray:
    """The picture at no more than about `pixels` pixels."""
    import cv2

    factor = np.sqrt(pixels / (image.shape[0] * image.shape[1]))
    if factor >= 1:
        return np.ascontiguousarray(image)
    size = tuple(max(round(factor * edge), 1) for edge in (image.shape[1], image.shape[0]))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _choose(tree: MergeTree, areas: np.ndarray, levels: Sequence[int], least: float) -> np.ndarray:
    """Nodes that become masks [M], coarse to fine: the regions of every cut, without small ones and near-duplicates."""
    root = len(tree.parents) - 1
    merges = np.arange(tree.leaves, root + 1)
    merges = merges[tree.altitudes[merges] > 0]
    merges = merges[np.lexsort((merges, tree.altitudes[merges]))][::-1]  # the last merge first
    chosen: dict[int, None] = {}
    for count in sorted(levels):
        opened = np.zeros(root + 1, bool)
        opened[merges[: count - 1]] = True
        regions = np.flatnonzero(~opened & opened[tree.parents]).tolist() or [root]
        for node in sorted(regions, key=lambda node: -int(areas[node])):
            if areas[node] >= least and not _repeats(node, chosen, tree.parents, areas):
                chosen[node] = None
    return np.array(list(chosen) or [root], np.int64)


def _repeats(node: int, chosen: dict[int, None], parents: np.ndarray, areas: np.ndarray) -> bool:
    """Whether a node is nearly the same as the nearest chosen one above it; the IoU is the ratio of their areas."""
    above = node
    while above not in chosen:
        if parents[above] == above:
            return False
        above = int(parents[above])
    return bool(areas[node] > SAME_IOU * areas[above])
