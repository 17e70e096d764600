"""Planes where masks tell nothing apart: the depth of three pixels in a line that all masks hold alike.

Pictures say nothing about the depth of a plain wall, nor of what lies behind a reflection; masks say that it is one
thing. Along a line of pixels the inverse depth of a plane is linear, so that its second difference is zero.

Sources: Woodford et al., "Global Stereo Reconstruction under Second Order Smoothness Priors", 2009 (second
differences); Geman and Reynolds, "Constrained Restoration and the Recovery of Discontinuities", 1992 (a cost that steps
can pay).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ...config.settings import Regions
from ...parallel import in_threads, workers_for
from ...scene import Split, View
from ..pixels import PixelPool, fill

MIN_OPACITY = 0.5  # of the rays of a triple that counts
_NOTHING = -1  # number of a pixel that is in no mask
_Numbered: TypeAlias = tuple[list[tuple[int, int]], torch.dtype, Iterable[np.ndarray]]  # shapes, kind, views' numbers
_LINES = ((1, 0), (0, 1), (1, 1), (1, -1))  # steps right and down


@dataclass(frozen=True, eq=False)
class Triples:
    """Triples of pixels, of which the middle one lies halfway between the others.

    Attributes:
        views: View of each [T], int64.
        pixels: Row-major indices in the view's picture [T, 3], int64; of some picture even where it does not count.
        part: How far from the first pixel's ray to the last one's the middle ray is, at unit depth [T]; 0.5 without
            distortion.
        counted: Whether the three exist, are trained on and lie in the same masks, at least one [T], bool.
    """

    views: Tensor
    pixels: Tensor
    part: Tensor
    counted: Tensor


@dataclass(frozen=True, eq=False)
class MaskedPixels:
    """Which pixels of the training pictures lie in the same masks, on a device.

    Attributes:
        pool: The pixels; masks may be smaller than the pictures.
        numbers: Number of each mask pixel's set of masks within its view, −1 if it is in none [N]; int16 where that
            suffices, int32 otherwise.
        firsts: First row of each view in `numbers` [V], int64.
        sizes: Width and height of the pictures [V, 2], int64.
        mask_sizes: Width and height of the masks [V, 2], int64.
        focal: Focal lengths in pixels of the pictures [V].
        lines: The directions in which pixels of a triple may follow each other [4, 2], int64.
    """

    pool: PixelPool
    numbers: Tensor
    firsts: Tensor
    sizes: Tensor
    mask_sizes: Tensor
    focal: Tensor
    lines: Tensor

    @classmethod
    def of(cls, split: Split, pool: PixelPool, *, regions: Regions = "masks") -> Self:
        """Those of a split whose pixels are in `pool`.

        Args:
            split: The training views.
            pool: Their pixels.
            regions: Whether the views' masks are meant, of which a view may have none, or regions of their "pictures".

        Raises:
            BackendError: Regions of pictures are asked for, and what makes them is not installed.
        """
        device, sizes = pool.colors.device, pool.rays.sizes
        shapes, kind, parts = _masks(split) if regions == "masks" else _regions(split)
        starts = np.cumsum([0, *(height * width for height, width in shapes)])
        numbers = torch.empty(int(starts[-1]), dtype=kind, device=device)
        fill(numbers, starts, parts)
        focal = split.normalised_cameras.resized(sizes.cpu().numpy()).intrinsics[:, :2].prod(axis=1) ** 0.5
        return cls(
            pool,
            numbers,
            torch.from_numpy(starts[:-1]).to(device),
            sizes.to(device),
            torch.tensor([shape[::-1] for shape in shapes], dtype=torch.int64, device=device),
            torch.from_numpy(focal.astype(np.float32)).to(device),
            torch.tensor(_LINES, device=device),
        )

    def draw(self, count: int, reach: int, generator: torch.Generator) -> Triples:
        """Draw triples around random training pixels, without a wait for the device.

        Args:
            count: Number of triples T.
            reach: Largest distance of neighbours in a triple, in pixels: 1, 2, 4, … up to that are equally likely.
            generator: Source of randomness, on the device of the tables.
        """
        triples = self._drawn(count, reach, generator)
        if self.pool.valid is None:
            return triples
        used = self.pool.uses(self.pool.starts[triples.views][:, None] + triples.pixels).all(1)
        return replace(triples, counted=triples.counted & used)

    def _drawn(self, count: int, reach: int, generator: torch.Generator) -> Triples:
        """The triples, of pixels that may be excluded."""
        pool = self.pool
        chance = torch.rand((3, count), dtype=torch.float64, generator=generator, device=self.numbers.device)
        number = len(pool.colors) if pool.valid is None else len(pool.valid)
        distances = 1 + int(math.log2(reach))
        if chance.is_cuda:
            from .kernels.triples_gpu import triples_gpu  # Triton exists only beside CUDA builds

            masks = (self.numbers, self.firsts, self.sizes, self.mask_sizes)
            return Triples(*triples_gpu(chance, pool, number, *masks, self.lines, distances))
        middle = picked(chance[0], number)
        views, inside = pool.locate(middle if pool.valid is None else pool.valid[middle])
        distance = torch.exp2(picked(chance[1], distances))
        step = self.lines[picked(chance[2], len(_LINES))] * distance[:, None].long()
        sizes = self.sizes[views]
        width = sizes[:, :1]
        place = torch.stack([inside % sizes[:, 0], inside // sizes[:, 0]], dim=1)
        places = torch.stack([place - step, place, place + step], dim=1)  # [T, 3, 2]
        exist = ((places >= 0) & (places < sizes[:, None])).all(2)
        places = torch.minimum(places.clamp(min=0), sizes[:, None] - 1)
        pixels = places[:, :, 1] * width + places[:, :, 0]
        sets = self._sets(views, places)
        together = (sets[:, 0] == sets[:, 1]) & (sets[:, 1] == sets[:, 2]) & (sets[:, 1] != _NOTHING)
        part, seen = self._part(views, pixels)
        return Triples(views, pixels, part, exist.all(1) & together & seen)

    def _sets(self, views: Tensor, places: Tensor) -> Tensor:
        """Number of the set of masks at places [T, 3, 2] of the pictures of views [T]: [T, 3]."""
        mask_sizes = self.mask_sizes[views][:, None]
        column, row = (places * mask_sizes // self.sizes[views][:, None]).unbind(2)
        return self.numbers[self.firsts[views][:, None] + row * mask_sizes[:, :, 0] + column]

    def _part(self, views: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """`Triples.part` of pixels [T, 3], and whether all three have rays [T]."""
        rays = self.pool.rays
        first, middle, last = rays.directions[rays.starts[views][:, None] + pixels].unbind(1)
        whole = last - first
        part = ((middle - first) * whole).sum(1) / whole.square().sum(1).clamp(min=1e-20)
        seen = part.isfinite()
        return torch.where(seen, part, 0.5), seen


def planes_loss(
    depth: Tensor, opacity: Tensor, part: Tensor, focal: Tensor, counted: Tensor, *, tolerance: float
) -> Tensor:
    """Mean of r / (1 + r / tolerance); r: by how many pixel footprints the middle leaves the line of the others.

    Args:
        depth: Expected z-depths of triples [T, 3].
        opacity: [T, 3]; a triple counts if all three exceed a half.
        part: As in `Triples` [T].
        focal: Focal length of each triple's picture, in pixels [T].
        counted: Which triples count besides [T], bool.
        tolerance: Footprints from which on a step costs hardly more.

    Returns:
        Scalar, differentiable in `depth`.
    """
    counted = counted & (opacity.detach() > MIN_OPACITY).all(1)
    first, middle, last = torch.where(counted[:, None], depth, 1.0).unbind(1)
    off = focal * (middle * ((1.0 - part) / first + part / last) - 1.0).abs()
    cost = off / (1.0 + off / tolerance)
    return torch.where(counted, cost, 0.0).sum() / counted.sum().clamp(min=1)


def _regions(split: Split) -> _Numbered:
    """Numbers of the regions of each view's picture, perhaps smaller than the picture."""
    from ...masks.watershed import regions_bytes, watershed_regions

    def regions(view: View) -> np.ndarray:
        image = view.image
        assert image is not None  # a training view
        return watershed_regions(image).astype(np.int16)

    bytes_each = max((regions_bytes(view.shape) for view in split if view.shape is not None), default=0)
    parts = list(in_threads(regions, split, workers=workers_for(bytes_each)))
    return [(part.shape[0], part.shape[1]) for part in parts], torch.int16, parts


def _masks(split: Split) -> _Numbered:
    """Numbers of the sets of masks of each view, made view by view."""
    sets = [view.masks for view in split]
    shapes = [(1, 1) if masks is None or len(masks) == 0 else masks.shape for masks in sets]
    most = max((len(masks.rows) for masks in sets if masks is not None), default=0)
    return shapes, torch.int16 if most <= np.iinfo(np.int16).max else torch.int32, in_threads(_numbers, split)


def _numbers(view: View) -> np.ndarray:
    """Number of the set of masks of each pixel [H, W]; −1 where that is empty."""
    masks = view.masks
    if masks is None or len(masks) == 0:
        return np.full((1, 1), _NOTHING, np.int16)
    sets = len(masks.rows)
    named = np.where(masks.rows.any(axis=1), np.arange(sets), _NOTHING).astype(np.min_scalar_type(-sets - 1))
    return named[masks.numbers]


def picked(chance: Tensor, count: int) -> Tensor:
    """Indices below `count` from random numbers in [0, 1)."""
    return (chance * count).long().clamp(max=count - 1)
