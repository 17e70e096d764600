"""What the masks of all views say of a comparison that was drawn from the masks of one.

A rendered feature is a function of the surface point that a pixel shows, so pixels of other views that show the same
point add no pairs. What they add is a verdict: views meet in voxels, and the masks that hold two voxels in all views
that show both are added up as the engine "lift" adds them; views without masks say nothing.
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
from ..contrast.losses import flat_pairs, split_pairs
from ..contrast.mask_pool import MaskPool
from ..contrast.pairs import Pairs
from ..pixels import PixelPool
from .surface_cache import PaddedCache, SurfaceCache

_LEAST_OPACITY = 0.5  # a pixel that shows less than this of a surface shows none
_MOST_BYTES = 4 << 30  # of a table
_PIXELS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class VoteTable:
    """The masks that hold each of N voxels in each of V views, and which voxel each pixel shows.

    What no mask of a view holds counts as one more mask.

    Attributes:
        voxel: Voxel of every pixel of the pool [P], int64; −1 where it shows no surface.
        codes: Packed memberships [N, V, W], int64; 0 where a view does not show the voxel.
        sums: Summed weights of the masks that hold the voxel [N, V], float32; −1 where the view does not show it.
        weights: Weight of every mask, zero-padded [V, 64 W], float32: the number of voxels that it holds ^ −0.5.
    """

    voxel: Tensor
    codes: Tensor
    sums: Tensor
    weights: Tensor

    def shares(self, voxels: Tensor) -> Tensor:
        """Σ weights of the masks that hold both voxels of each pair / Σ of those that hold either, over all views.

        Only views that show both count. Nothing waits for the device.

        Args:
            voxels: Pairs [K, 2], int64; −1 for none.

        Returns:
            [K], float32, in [0, 1]; 0 where no view shows both.
        """
        if voxels.is_cuda:
            from .kernels.votes_gpu import vote_shares_gpu

            return vote_shares_gpu(voxels, self.codes, self.sums, self.weights)
        from .kernels.votes_cpu import vote_shares_cpu

        shares = torch.empty(len(voxels))
        tables = (self.codes.view(torch.uint64), self.sums, self.weights)
        vote_shares_cpu(voxels.numpy(), *(table.numpy() for table in tables), shares.numpy())
        return shares

    def weigh(self, pixels: Tensor, pairs: Pairs) -> Pairs:
        """The comparisons, with the weight of each negative: by how much its share is below that of the positive.

        A negative that belongs to the anchor no less than the positive does, by the masks of all views, has weight 0.

        Args:
            pixels: Pool index of each sampled pixel [N], int64.
            pairs: Comparisons between these, K with n negatives each.
        """
        shown, ends = self.voxel[pixels], flat_pairs(pairs, self.voxel.device)
        shares = self.shares(torch.where(ends >= 0, shown[ends.clamp(min=0)], -1))
        positive, negative = split_pairs(shares, pairs)
        return replace(pairs, weight=(positive[:, None] - negative).clamp(min=0))


def vote_table(pool: PixelPool, masks: MaskPool, cache: SurfaceCache | PaddedCache, edge: float) -> VoteTable:
    """Find the voxels that each view shows, and the masks that hold them.

    A view's word on a voxel is that of its last pixel there.

    Args:
        pool: Training pixels.
        masks: Masks of their views.
        cache: The pixels' samples.
        edge: Of a voxel of the cube of half extent 0.5, normalised frame, from 1e-4 on; twice, four times … as much if
            the table would take more than 4 GB otherwise.

    Returns:
        The table, on the device of the pool.
    """
    words = max(len(view) for view in masks.sets) // 64 + 1
    while True:
        voxels, count = _number_voxels(_voxel_keys(pool, cache, edge))
        if count * len(masks.sets) * (8 * words + 4) <= _MOST_BYTES or edge > 1:
            break
        edge *= 2  # surfaces of many views and fog have more voxels than say anything
    voxel = voxels.cpu().numpy()
    codes = np.zeros((count, len(masks.sets), words), np.uint64)
    sums = np.full((count, len(masks.sets)), -1, np.float32)
    weights = np.zeros((len(masks.sets), 64 * words), np.float32)

    def fill(index: int) -> None:
        view, shown = masks.sets[index], voxel[masks.starts[index] : masks.starts[index + 1]]
        if len(view) == 0:  # nothing was drawn, so nothing is said
            return
        codes[shown[shown >= 0], index] = _memberships(view, words)[shown >= 0]
        seen = np.zeros(count, bool)
        seen[shown[shown >= 0]] = True
        flags = unpack_bits(codes[seen, index])  # [seen, 64 W]
        sizes = flags.sum(0, dtype=np.int64)
        weights[index] = mask_weights(sizes)
        sums[seen, index] = flags @ weights[index]

    pixels = int(np.diff(masks.starts).max())
    bytes_each = min(count, pixels) * 64 * words * 5 + pixels * words * 24  # flags and their sums, memberships thrice
    for _ in in_threads(fill, range(len(masks.sets)), workers=workers_for(bytes_each)):
        pass
    arrays = (codes.view(np.int64), sums, weights)
    return VoteTable(voxels, *(torch.from_numpy(array).to(voxels.device) for array in arrays))


def _memberships(masks: MaskSet, words: int) -> np.ndarray:
    """Packed memberships of a view's pixels [H · W, W], uint64, with one more mask for what none holds."""
    bits = masks.bits.reshape(masks.shape[0] * masks.shape[1], -1)
    codes = np.zeros((len(bits), words), np.uint64)
    codes[:, : bits.shape[1]] = bits
    codes[~bits.any(axis=1), len(masks) // 64] |= np.uint64(1) << np.uint64(len(masks) % 64)
    return codes


@torch.no_grad()
def _voxel_keys(pool: PixelPool, cache: SurfaceCache | PaddedCache, edge: float) -> Tensor:
    """A number for the voxel that the mean sample of each pixel lies in [P], int64; −1 where no surface is shown.

    Around the cube of half extent 0.5 lie boxes of twice the size each, whose voxels are twice as large.
    """
    along = math.ceil(0.5 / edge) + 1  # voxels from the middle of a box to beyond its face
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
    """Sums of the weights, and of weights times distances, of each pixel's samples."""
    if isinstance(cache, PaddedCache):
        weights = cache.weights[pixels]
        return weights.sum(1), (weights * cache.t[pixels]).sum(1)
    offsets, t, weights = cache.gather(pixels)
    opacity, reach = accumulate(weights, torch.stack([torch.ones_like(t), t], dim=1), offsets).unbind(1)
    return opacity, reach


def _number_voxels(keys: Tensor) -> tuple[Tensor, int]:
    """Keys other than −1, numbered through [P], int64; and how many there are."""
    shown = keys >= 0
    found, numbers = torch.unique(keys[shown], return_inverse=True)
    return torch.full_like(keys, -1).masked_scatter(shown, numbers), len(found)
