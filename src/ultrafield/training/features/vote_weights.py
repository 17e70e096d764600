"""Weights of comparisons by the votes of all views: each comparison is drawn from the masks of a single one.

A rendered feature is a function of the surface point that a pixel shows, so pixels of other views that show the same
point add no comparisons, but they add evidence. Pixels of all views are brought together in voxels; over all views that
show two voxels, the masks that hold both are summed as the engine "lift" sums them. Views without masks do not vote.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...bits import unpack_bits
from ...field.volrend import accumulate
from ...masks import MaskSet
from ...masks.weights import mask_weights
from ...parallel import in_threads, workers_for
from ...sharing import ALONE, Group
from ..contrast.losses import flat_pairs, split_pairs
from ..contrast.mask_pool import MaskPool
from ..contrast.pairs import Pairs
from ..pixels import PixelPool
from .surface_cache import PaddedCache, SurfaceCache

_LEAST_OPACITY = 0.5  # a less opaque pixel shows no surface
_MOST_BYTES = 4 << 30  # of the memberships of all voxels, were they written out
_PIXELS_AT_ONCE = 1 << 19
_FLAGS = 1 << 22  # that are unpacked at once


@dataclass(frozen=True, eq=False)
class VoteTable:
    """The masks that hold each of N voxels in each of V views, and which voxel each pixel shows.

    All that no mask of a view holds counts as one more mask.

    Attributes:
        voxel: Voxel of every pixel of the pool [P], int64; −1 where it shows no surface.
        rows: Distinct packed memberships of all views [R, W], int64; the first is that in no mask.
        codes: Which of them a voxel has in a view [N, V], int32; 0 where a view does not show the voxel.
        sums: Summed weights of the masks that hold the voxel [N, V], float32; −1 where the view does not show it.
        weights: Weight of every mask, zero-padded [V, 64 W], float32: the number of voxels that it holds ^ −0.5.
    """

    voxel: Tensor
    rows: Tensor
    codes: Tensor
    sums: Tensor
    weights: Tensor

    def shares(self, voxels: Tensor) -> Tensor:
        """Σ weights of the masks that hold both voxels of a pair / Σ weights of those that hold either.

        The sums are over the views that show both voxels. Nothing waits for the device.

        Args:
            voxels: Pairs [K, 2], int64; −1 for none.

        Returns:
            [K], float32, in [0, 1]; 0 where no view shows both.
        """
        if voxels.is_cuda:
            from .kernels.votes_gpu import vote_shares_gpu

            return vote_shares_gpu(voxels, self.rows, self.codes, self.sums, self.weights)
        from .kernels.votes_cpu import vote_shares_cpu

        shares = torch.empty(len(voxels))
        rows = self.rows.view(torch.uint64).numpy()
        arrays = (tensor.numpy() for tensor in (self.codes, self.sums, self.weights, shares))
        vote_shares_cpu(voxels.numpy(), rows, *arrays)
        return shares

    def weigh(self, pixels: Tensor, pairs: Pairs) -> Pairs:
        """Weigh each negative by how far its share with the anchor is below that of the positive; by 0 if it is not.

        Args:
            pixels: Pool index of each sampled pixel [N], int64.
            pairs: K comparisons between these pixels, with n negatives each.
        """
        voxel, ends = self.voxel[pixels], flat_pairs(pairs, self.voxel.device)
        shares = self.shares(torch.where(ends >= 0, voxel[ends.clamp(min=0)], -1))
        positive, negative = split_pairs(shares, pairs)
        return replace(pairs, weight=(positive[:, None] - negative).clamp(min=0))


def vote_table(
    pool: PixelPool, masks: MaskPool, cache: SurfaceCache | PaddedCache, edge: float, group: Group = ALONE
) -> VoteTable:
    """Find the voxels that each view shows, and the masks that hold them.

    If several pixels of a view fall into a voxel, the last one counts.

    Args:
        pool: Training pixels.
        masks: Masks of their views.
        cache: The surface samples of every pixel.
        edge: Edge of the voxels in the cube of half extent 0.5, normalised frame, ≥ 1e-4; doubled until the
            memberships of all voxels, written out, take at most 4 GiB.
        group: The processes whose views vote; each has its own pool, masks and cache.

    Returns:
        The table of all views, on the device of the pool, with the voxels of the pool's own pixels.
    """
    device = pool.colors.device
    views = _numbered(len(masks.sets), group, device)
    words = max(_all(group, [max(len(view) for view in masks.sets)], device)) // 64 + 1
    while True:
        voxels, count = _number_voxels(_voxel_keys(pool, cache, edge), group)
        if count * len(views) * (8 * words + 4) <= _MOST_BYTES or edge > 1:
            break
        edge *= 2  # large captures and fog occupy many voxels
    voxel = voxels.cpu().numpy()
    rows = [np.zeros((1, words), np.uint64), *(_memberships(view, words) for view in masks.sets)]
    starts = np.cumsum([len(part) for part in rows])  # of each view's rows
    starts[:-1] += sum(_all(group, [int(starts[-1]) - 1], device)[: group.rank])  # behind those of other processes
    codes = np.zeros((count, len(masks.sets)), np.int32)
    sums = np.full((count, len(masks.sets)), -1, np.float32)
    weights = np.zeros((len(masks.sets), 64 * words), np.float32)

    at_once = max(64, _FLAGS // (64 * words))

    def fill(index: int) -> None:
        view, of_pixel = masks.sets[index], voxel[masks.starts[index] : masks.starts[index + 1]]
        if len(view) == 0:  # views without masks do not vote
            return
        shown = np.flatnonzero(of_pixel >= 0)
        last = np.full(count, -1)
        last[of_pixel[shown]] = shown  # the last pixel of each voxel
        seen = np.flatnonzero(last >= 0)
        of_voxel = view.numbers.reshape(-1)[last[seen]]
        codes[seen, index] = starts[index] + of_voxel
        counts = np.bincount(of_voxel, minlength=len(view.rows))
        pieces = -(-len(view.rows) // at_once)  # of nearly equal length: products with few rows round otherwise
        parts, numbers = np.array_split(rows[index + 1], pieces), np.array_split(counts, pieces)
        sizes = sum(number @ unpack_bits(part) for number, part in zip(numbers, parts, strict=True))
        weights[index] = mask_weights(np.asarray(sizes, np.int64))
        of_row = np.concatenate([unpack_bits(part) @ weights[index] for part in parts])
        sums[seen, index] = of_row[of_voxel]

    pixels = int(np.diff(masks.starts).max())
    bytes_each = at_once * 64 * words * 5 + 16 * (count + pixels)  # flags, and what voxels show
    for _ in in_threads(fill, range(len(masks.sets)), workers=workers_for(bytes_each)):
        pass
    arrays = (np.concatenate(rows).view(np.int64), codes, sums, weights)
    return _of_all(VoteTable(voxels, *(torch.from_numpy(array).to(device) for array in arrays)), views, group)


def _of_all(own: VoteTable, views: Tensor, group: Group) -> VoteTable:
    """The table of all views [V], from those of the views of each process, for the voxels of this one's pixels."""
    if group.alone:
        return own
    rows = torch.cat([own.rows[:1], *group.collect(own.rows[1:])])
    codes, sums = (
        torch.cat(group.collect(part.T.contiguous()))[views].T.contiguous() for part in (own.codes, own.sums)
    )
    return VoteTable(own.voxel, rows, codes, sums, torch.cat(group.collect(own.weights))[views])


def _memberships(masks: MaskSet, words: int) -> np.ndarray:
    """Distinct memberships of a view's pixels [C, W], uint64, with one more mask of the pixels that none holds."""
    bits = masks.rows
    codes = np.zeros((len(bits), words), np.uint64)
    codes[:, : bits.shape[1]] = bits
    codes[~bits.any(axis=1), len(masks) // 64] |= np.uint64(1) << np.uint64(len(masks) % 64)
    return codes


@torch.no_grad()
def _voxel_keys(pool: PixelPool, cache: SurfaceCache | PaddedCache, edge: float) -> Tensor:
    """Key of the voxel that holds the mean sample of each pixel [P], int64; −1 where a pixel shows no surface.

    The cube of half extent 0.5 is nested in boxes of twice the size each, whose voxels are twice as large.
    """
    along = math.ceil(0.5 / edge) + 1  # voxels from the centre of a box to beyond its face
    keys = []
    for pixels in torch.arange(len(pool.colors), device=pool.colors.device).split(_PIXELS_AT_ONCE):
        opacity, reach = _opacity_and_reach(cache, pixels)
        rays_o, rays_d, _ = pool.rays.rays(*pool.locate(pixels))
        points = (rays_o + (reach / opacity.clamp(min=_LEAST_OPACITY))[:, None] * rays_d).double()
        box = (2 * points.abs().amax(1).clamp(min=0.5)).log2().ceil()
        key = box.long()
        for cell in (points / (edge * 2**box)[:, None]).floor().long().unbind(1):
            key = key * (2 * along) + cell + along
        keys.append(key.masked_fill(opacity < _LEAST_OPACITY, -1))
    return torch.cat(keys)


def _opacity_and_reach(cache: SurfaceCache | PaddedCache, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Σ weight and Σ weight · distance of each pixel's samples."""
    if isinstance(cache, PaddedCache):
        weights = cache.weights[pixels]
        return weights.sum(1), (weights * cache.t[pixels]).sum(1)
    offsets, t, weights = cache.gather(pixels)
    opacity, reach = accumulate(weights, torch.stack([torch.ones_like(t), t], dim=1), offsets).unbind(1)
    return opacity, reach


def _all(group: Group, numbers: list[int], device: torch.device) -> list[int]:
    """Numbers of all processes, by rank."""
    return [number for part in group.collect(torch.tensor(numbers, device=device)) for number in part.tolist()]


def _numbered(count: int, group: Group, device: torch.device) -> Tensor:
    """Where each of the scene's views is found among those of one process after the other [V], int64."""
    counts = _all(group, [count], device)
    order = [(index * group.size + rank) for rank, views in enumerate(counts) for index in range(views)]
    return torch.tensor(order, device=device).argsort()


def _number_voxels(keys: Tensor, group: Group) -> tuple[Tensor, int]:
    """Consecutive number of each key [P], int64, −1 for the key −1; and how many keys all processes have."""
    has_voxel = keys >= 0
    distinct, numbers = torch.unique(keys[has_voxel], return_inverse=True)
    if not group.alone:
        everyones = torch.unique(torch.cat(group.collect(distinct)))
        distinct, numbers = everyones, torch.searchsorted(everyones, distinct)[numbers]
    return torch.full_like(keys, -1).masked_scatter(has_voxel, numbers), len(distinct)
