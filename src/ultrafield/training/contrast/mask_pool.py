"""The masks of all training views, and random draws of pixels in which small masks are seen too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import SceneError
from ...masks import MaskSet, mask_chains
from ...scene import Scene
from .mask_share import MaskShare


def check_masks(scene: Scene) -> list[MaskSet]:
    """The masks of each training view.

    Raises:
        SceneError: A training view has no masks.
    """
    sets = []
    for view in scene.train:
        if view.masks is None:
            raise SceneError(f"{scene.source}: training view {view.name!r} has no masks; {scene.masks_advice}")
        sets.append(view.masks)
    return sets


@dataclass(frozen=True, eq=False)
class MaskBatch:
    """The pixels of one step and the masks of their pictures.

    Attributes:
        pixels: Pool index of each drawn pixel [N], int64.
        image_of_pixel: Index of its picture among the pictures of the step [N], int64.
        positions: Column and row of the pixel [N, 2], float64.
        bits: Its packed memberships among the masks of its own picture [N, W], uint64.
        masks_per_image: Number of masks of each picture.
        chains: Chains of masks, each from a leaf upwards; masks are numbered picture after picture.
    """

    pixels: np.ndarray
    image_of_pixel: np.ndarray
    positions: np.ndarray
    bits: np.ndarray
    masks_per_image: list[int]
    chains: list[list[int]]


class MaskPool:
    """The masks of the training views, with their chains and the tables from which pixels are drawn.

    Args:
        scene: A scene whose training views all have masks.

    Attributes:
        sets: The masks of each view.
        starts: First pixel of each view, and the number of pixels [V + 1], int64.
        words: Largest number of 64-bit words per pixel of any view.
        chains: Each view's chains of masks, from a leaf upwards.
        shares: Each view's shares of its masks, from which pixels are drawn; None without masks.

    Raises:
        SceneError: A training view has no masks.
    """

    def __init__(self, scene: Scene) -> None:
        self.sets = [masks.expanded() for masks in check_masks(scene)]
        self.starts = np.concatenate([[0], np.cumsum([masks.shape[0] * masks.shape[1] for masks in self.sets])])
        self.words = max(masks.rows.shape[1] for masks in self.sets)
        self.chains = [mask_chains(masks) for masks in self.sets]
        self.shares = [MaskShare(masks) if len(masks) else None for masks in self.sets]

    def draw(self, images: int, pixels: int, balance: float, generator: np.random.Generator) -> MaskBatch:
        """Draw pictures, and pixels from them.

        Args:
            images: Number of pictures.
            pixels: Number of pixels in all.
            balance: Fraction of the pixels that are drawn from a randomly drawn mask, so that small masks are seen too;
                the others are drawn uniformly.
            generator: Source of randomness.
        """
        views = generator.choice(len(self.sets), size=min(images, len(self.sets)), replace=False)
        count = pixels // len(views)
        drawn = np.stack([self._draw_pixels(int(view), count, balance, generator) for view in views])  # [B, N / B]
        bits = np.zeros((len(views), count, self.words), np.uint64)
        for row, view in enumerate(views):
            masks = self.sets[view]
            bits[row, :, : masks.rows.shape[1]] = masks.rows[masks.numbers.reshape(-1)[drawn[row]]]
        widths = np.array([self.sets[view].shape[1] for view in views])[:, None]
        masks_per_image = [len(self.sets[view]) for view in views]
        bases = np.cumsum([0, *masks_per_image])
        return MaskBatch(
            (drawn + self.starts[views][:, None]).reshape(-1),
            np.repeat(np.arange(len(views)), count),
            np.stack([drawn % widths, drawn // widths], axis=-1).reshape(-1, 2).astype(np.float64),
            bits.reshape(-1, self.words),
            masks_per_image,
            [
                [int(base) + mask for mask in chain]
                for base, view in zip(bases, views, strict=False)
                for chain in self.chains[view]
            ],
        )

    def _draw_pixels(self, view: int, count: int, balance: float, generator: np.random.Generator) -> np.ndarray:
        """Random pixels of a view [count], row-major indices, drawn with replacement."""
        size = int(self.starts[view + 1] - self.starts[view])
        share = self.shares[view]
        picks = generator.integers(size, size=count)
        balanced = int(count * balance)
        if share is not None and balanced:
            picks[:balanced] = share.pick(generator.random(balanced))
        return np.minimum(picks, size - 1)
