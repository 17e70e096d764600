"""Nearest pixels of the same picture on the GPU, by comparing all with all."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ....ultrametric.kernels.boruvka_gpu import EDGE_BITS, NO_KEY
from ....ultrametric.kernels.pairs_gpu import load_pairs


def pixel_neighbors_gpu(positions: Tensor, neighbors: int) -> Tensor:
    """The nearest others of each pixel [B, n, k], int64, as `pixel_neighbors` returns them.

    Args:
        positions: Pixel coordinates [B, n, 2], compared in float32; meant for n up to some ten thousand.
        neighbors: Nearest others per pixel k.
    """
    positions = positions.float().contiguous()
    images, points, _ = positions.shape
    table = torch.empty(images, points, neighbors, dtype=torch.int64, device=positions.device)
    if table.numel() == 0:
        return table
    # Groups and their members are balanced, as each neighbour costs one look at the groups and one at a group.
    groups = max(min(triton.next_power_of_2(int(points**0.5)), 256), 32)
    members = triton.next_power_of_2(triton.cdiv(points, groups))
    # One warp, so that the minima are found by shuffles alone; its queries share what it loads.
    queries = 4 if groups < 256 else 2
    grid = (images * triton.cdiv(points, queries),)
    _nearest_kernel[grid](
        positions, table, points, neighbors, GROUPS=groups, MEMBERS=members, QUERIES=queries, num_warps=1
    )
    return table


@triton.jit
def _squared_distance(x, y, other_x, other_y):
    right, down = other_x - x, other_y - y
    return right * right + down * down


@triton.jit
def _distance_key(squared, index):
    """Key that sorts by (squared distance, index); none at a distance that is not finite."""
    bits = squared.to(tl.int32, bitcast=True).to(tl.int64)  # of numbers ≥ 0, which sort as their bits do
    return tl.where(squared < float("inf"), (bits << 32) | index, NO_KEY)


@triton.jit
def _nearest_kernel(
    positions, table, num_points, neighbors, GROUPS: tl.constexpr, MEMBERS: tl.constexpr, QUERIES: tl.constexpr
):
    """The k least keys of each query, one after the other, from the least key of each group of pixels.

    Pixel i belongs to group i % GROUPS. Once a group's key is taken, its next one is found by looking at its members.
    """
    blocks = tl.cdiv(num_points, QUERIES)
    start = (tl.program_id(0) // blocks).to(tl.int64) * num_points
    query = (tl.program_id(0) % blocks) * QUERIES + tl.arange(0, QUERIES)
    positions += 2 * start
    x, y = load_pairs(positions, query, query < num_points)
    x, y, own = x[:, None], y[:, None], query[:, None]

    group = tl.arange(0, GROUPS)[None, :]
    distance = tl.full([QUERIES, GROUPS], float("inf"), tl.float32)
    nearest = tl.zeros([QUERIES, GROUPS], tl.int32)
    for begin in range(0, num_points, GROUPS):
        other = begin + group
        other_x = tl.load(positions + 2 * other, mask=other < num_points, other=float("inf"))
        other_y = tl.load(positions + 2 * other + 1, mask=other < num_points, other=float("inf"))
        squared = _squared_distance(x, y, other_x, other_y)
        nearer = (squared < distance) & (other != own)  # indices rise, so that `<` leaves the smaller among equals
        distance = tl.where(nearer, squared, distance)
        nearest = tl.where(nearer, other, nearest)
    least = _distance_key(distance, nearest)

    rows = table + (start + query) * neighbors
    member = tl.arange(0, MEMBERS)[None, :] * GROUPS
    for rank in range(neighbors):
        taken = tl.min(least, axis=1)
        index = taken & EDGE_BITS
        tl.store(rows + rank, tl.where(taken == NO_KEY, -1, index), mask=query < num_points)
        taken_group = (index % GROUPS).to(tl.int32)[:, None]
        other = taken_group + member
        other_x = tl.load(positions + 2 * other, mask=other < num_points, other=float("inf"))
        other_y = tl.load(positions + 2 * other + 1, mask=other < num_points, other=float("inf"))
        key = _distance_key(_squared_distance(x, y, other_x, other_y), other)
        following = tl.min(tl.where((key > taken[:, None]) & (other != own), key, NO_KEY), axis=1)
        least = tl.where(group == taken_group, following[:, None], least)
