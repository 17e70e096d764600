"""Votes on comparisons against loops over pixels, views and masks."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, Split
from ultrafield.training.contrast import Pairs
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.features import vote_weights as module
from ultrafield.training.features.surface_cache import PaddedCache, SurfaceCache
from ultrafield.training.features.vote_weights import VoteTable, vote_table
from ultrafield.training.pixels import pixel_pool


def random_table(voxels: int, views: int, words: int) -> VoteTable:
    """Random memberships, the highest bit of a word among them; a third of the voxels are not shown by a view."""
    generator = np.random.default_rng(voxels)
    bits = generator.random((voxels, views, 64 * words)) < 0.3
    bits[generator.random((voxels, views)) < 0.3] = False
    weights = generator.random((views, 64 * words)).astype(np.float32)
    sums = np.where(bits.any(2), (bits * weights).sum(2), -1).astype(np.float32)
    packed = np.packbits(bits, axis=2, bitorder="little").view("<i8").reshape(-1, words)
    rows, codes = np.unique(packed, axis=0, return_inverse=True)
    codes = codes.reshape(voxels, views).astype(np.int32)
    return VoteTable(*(torch.from_numpy(array) for array in (np.arange(voxels), rows, codes, sums, weights)))


def share_of(table: VoteTable, first: int, second: int) -> float:
    """The share of a pair, mask by mask."""
    both = either = 0.0
    for view in range(table.sums.shape[1]) if min(first, second) >= 0 else ():
        if table.sums[first, view] < 0 or table.sums[second, view] < 0:
            continue
        for mask, weight in enumerate(table.weights[view].tolist()):
            one, other = (
                int(table.rows[table.codes[voxel, view], mask // 64]) >> mask % 64 & 1 for voxel in (first, second)
            )
            both += weight * (one & other)
            either += weight * (one | other)
    return both / either if either else 0.0


@pytest.mark.parametrize(("voxels", "views", "words", "count"), [(1, 1, 1, 1), (9, 3, 1, 129), (20, 5, 2, 40)])
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_shares_are_those_of_a_loop(kernel_device, backend, voxels, views, words, count):
    table = random_table(voxels, views, words)
    pairs = torch.from_numpy(np.random.default_rng(0).integers(-1, voxels, (count, 2)))
    expected = [share_of(table, *pair) for pair in pairs.tolist()]
    if backend == "cpu":
        shares = table.shares(pairs)
    else:
        from ultrafield.training.features.kernels.votes_gpu import vote_shares_gpu

        inputs = (pairs, table.rows, table.codes, table.sums, table.weights)
        shares = vote_shares_gpu(*(tensor.to(kernel_device) for tensor in inputs)).cpu()
    torch.testing.assert_close(shares, torch.tensor(expected), rtol=1e-5, atol=1e-6)  # float32 sums of 640 weights


def test_no_pairs_have_no_shares(kernel_device):
    from ultrafield.training.features.kernels.votes_gpu import vote_shares_gpu

    table, pairs = random_table(2, 2, 1), torch.zeros((0, 2), dtype=torch.int64)
    assert table.shares(pairs).shape == (0,)
    tensors = (pairs, table.rows, table.codes, table.sums, table.weights)
    assert vote_shares_gpu(*(tensor.to(kernel_device) for tensor in tensors)).shape == (0,)


def test_a_negative_weighs_what_the_views_put_it_apart():
    table = random_table(9, 4, 1)
    generator = np.random.default_rng(1)
    pixels = torch.tensor([4, 0, 8, 3, 7])
    anchor, positive = generator.integers(5, size=(2, 30))
    negative, valid = generator.integers(5, size=(30, 3)), generator.random(30) < 0.8
    anchor[~valid], positive[~valid], negative[~valid] = 9999, -77777, 10**6  # pixels that do not exist
    weighed = table.weigh(pixels, Pairs(anchor, positive, negative, valid))
    assert weighed.anchor is anchor
    assert weighed.positive is positive
    assert weighed.negative is negative
    for index, weights in enumerate(weighed.weight.tolist()):
        if not valid[index]:
            assert weights == [0.0] * 3
            continue
        first, near, *far = (int(pixels[place]) for place in (anchor[index], positive[index], *negative[index]))
        gaps = [share_of(table, first, near) - share_of(table, first, other) for other in far]
        expected = [max(gap, 0.0) for gap in gaps]
        assert weights == pytest.approx(expected, abs=1e-5)


def surface_caches(pixels: int) -> tuple[SurfaceCache, PaddedCache]:
    """The same two samples for every pixel but each seventh, which is transparent, in both forms."""
    generator = torch.Generator().manual_seed(0)
    t, weights = 0.6 + 2 * torch.rand(pixels, 2, generator=generator), torch.rand(pixels, 2, generator=generator)
    weights = weights / weights.sum(1, keepdim=True)
    weights[::7] *= 0.4
    offsets = torch.arange(0, 2 * pixels + 1, 2)
    return SurfaceCache(offsets, t.reshape(-1), weights.reshape(-1)), PaddedCache(t, weights)


def test_a_table_is_that_of_loops_over_pixels_and_masks(balls: Scene, monkeypatch: pytest.MonkeyPatch):
    """The first view has no masks: it shows voxels, but says nothing."""
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 100)
    edge = 0.1
    views = [replace(view, masks=build_mask_set(np.zeros((0, 24, 24), bool))) for view in balls.train.views[:1]]
    scene = replace(
        balls, splits={"train": Split((*views, *balls.train.views[1:3]), balls.train.normalised_cameras[:3])}
    )
    pool, masks = pixel_pool(scene, torch.device("cpu")), MaskPool(scene)
    caches = surface_caches(len(pool.colors))
    tables = [vote_table(pool, masks, cache, edge) for cache in caches]
    for name in ("voxel", "rows", "codes", "sums", "weights"):
        torch.testing.assert_close(*(getattr(table, name) for table in tables), rtol=1e-6, atol=1e-6)

    padded, cells, last = caches[1], {}, {}
    for pixel in range(len(pool.colors)):
        opacity = padded.weights[pixel].sum()
        if opacity < 0.5:
            assert tables[0].voxel[pixel] == -1
            continue
        origin, direction, _ = (part[0] for part in pool.rays.rays(*pool.locate(torch.tensor([pixel]))))
        point = origin + (padded.weights[pixel] * padded.t[pixel]).sum() / opacity * direction
        voxel, box = int(tables[0].voxel[pixel]), 0
        while point.abs().max() > 0.5 * 2**box:
            box += 1
        cell = (box, *(point / (edge * 2**box)).floor().int().tolist())
        assert cells.setdefault(voxel, cell) == cell
        if pixel >= 576:
            last[pixel // 576, voxel] = pixel % 576
    assert len(set(cells.values())) == len(cells) == len(tables[0].codes)
    assert {cell[0] for cell in cells.values()} >= {0, 1}

    holding = {}
    for (view, voxel), pixel in last.items():
        held = [mask for mask in range(len(masks.sets[view])) if masks.sets[view].mask(mask).reshape(-1)[pixel]]
        holding[view, voxel] = held or [len(masks.sets[view])]
    sizes = Counter((view, mask) for (view, _), held in holding.items() for mask in held)
    for voxel in range(len(cells)):
        for view in range(3):
            held = holding.get((view, voxel), [])
            assert int(tables[0].rows[tables[0].codes[voxel, view], 0]) == sum(1 << mask for mask in held)
            expected = sum(sizes[view, mask] ** -0.5 for mask in held) if held else -1.0
            assert float(tables[0].sums[voxel, view]) == pytest.approx(expected, rel=1e-5)
    for view, mask in np.ndindex(3, 64):
        expected = sizes[view, mask] ** -0.5 if sizes[view, mask] else 0.0
        assert float(tables[0].weights[view, mask]) == pytest.approx(expected)


def test_a_large_table_takes_coarser_voxels(balls: Scene, monkeypatch: pytest.MonkeyPatch):
    pool, masks = pixel_pool(balls, torch.device("cpu")), MaskPool(balls)
    cache = surface_caches(len(pool.colors))[1]
    fine, coarse = vote_table(pool, masks, cache, 0.05), vote_table(pool, masks, cache, 0.1)
    monkeypatch.setattr(module, "_MOST_BYTES", len(fine.codes) * len(masks.sets) * 12 - 1)
    table = vote_table(pool, masks, cache, 0.05)
    assert len(table.codes) < len(fine.codes)
    assert torch.equal(table.voxel, coarse.voxel)


def test_many_masks_take_little_memory(balls: Scene):
    cells = np.kron(np.eye(144, dtype=bool).reshape(144, 12, 12), np.ones((1, 2, 2), bool))
    stack = np.concatenate([cells] * 20)  # 2,880 masks, 45 words
    views = tuple(replace(view, masks=build_mask_set(stack)) for view in balls.train)
    scene = replace(balls, splits={"train": Split(views, balls.train.normalised_cameras)})
    pool, masks = pixel_pool(scene, torch.device("cpu")), MaskPool(scene)
    cache = surface_caches(len(pool.colors))[1]
    vote_table(pool, masks, cache, 0.02)  # compiled
    tracemalloc.start()
    table = vote_table(pool, masks, cache, 0.02)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    written_out = len(table.codes) * len(views) * 46 * 8
    assert len(table.codes) > 2000
    assert peak < 0.8 * written_out


def test_pictures_without_any_surface(balls: Scene):
    pool, masks = pixel_pool(balls, torch.device("cpu")), MaskPool(balls)
    nothing = PaddedCache(torch.zeros(len(pool.colors), 2), torch.zeros(len(pool.colors), 2))
    table = vote_table(pool, masks, nothing, 0.1)
    assert table.codes.shape == (0, 8)
    weighed = table.weigh(torch.tensor([5, 6]), Pairs(np.array([0]), np.array([1]), np.array([[1]])))
    assert weighed.weight.tolist() == [[0.0]]
