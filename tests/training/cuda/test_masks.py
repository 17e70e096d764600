"""Batches drawn on the device against the tables they come from, and against the comparisons of `sample_pairs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from ultrafield.config import FeatureConfig
from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, Split, View
from ultrafield.training.contrast import Pairs, sample_pairs, unpack_membership
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.contrast.neighbors import neighbor_memberships
from ultrafield.training.cuda.masks import DeviceBatch, DeviceMasks, pack_members

CHANCE = 1e-5  # of a fair draw failing a chi-square test; the draws are seeded
_MANY = 4000  # comparisons per rule that show all of its pixels


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Fill memory that is not yet written with the largest number there is."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def rectangles(height: int, width: int, *spans: tuple[int, int, int, int]) -> np.ndarray:
    """Masks [M, H, W] of the given rows and columns."""
    masks = np.zeros((len(spans), height, width), bool)
    for mask, (top, bottom, left, right) in zip(masks, spans, strict=True):
        mask[top:bottom, left:right] = True
    return masks


def nested(height: int = 12, width: int = 10) -> np.ndarray:
    """Two children in a part, the part in a whole that has another child, and a mask across their borders."""
    return rectangles(
        height, width, (0, 3, 0, 4), (3, 6, 0, 4), (0, 6, 0, 7), (7, 10, 0, 9), (0, 11, 0, 9), (4, 9, 5, 10)
    )


def scattered(count: int, seed: int, height: int = 9, width: int = 14) -> np.ndarray:
    """Random rectangles, many of them inside of others."""
    generator = np.random.default_rng(seed)
    top, left = generator.integers(height, size=count), generator.integers(width, size=count)
    bottom = np.minimum(top + generator.integers(1, height, size=count), height)
    right = np.minimum(left + generator.integers(1, width, size=count), width)
    return rectangles(height, width, *zip(top, bottom, left, right, strict=True))


def pool_of(balls: Scene, *views: np.ndarray) -> MaskPool:
    parts = [View(f"r_{index}", masks=build_mask_set(masks)) for index, masks in enumerate(views)]
    train = Split(tuple(parts), balls.train.normalised_cameras[: len(parts)])
    return MaskPool(replace(balls, splits={"train": train}))


@dataclass(frozen=True)
class Step:
    """A batch, the settings it was drawn with, and the pixels of each rule's anchor, positive and negative."""

    batch: DeviceBatch
    settings: FeatureConfig
    rules: list[tuple[frozenset[int], ...]]


@pytest.fixture
def draw(kernel_device: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Step]:
    """A function that draws one step from a pool."""
    from ultrafield.training.contrast.kernels import (
        comparisons_gpu as pairs_gpu,  # needs Triton, for which `kernel_device` looks
    )

    rules = []
    draw_comparisons = pairs_gpu.draw_comparisons_gpu

    def record(words: Tensor, cumulative: Tensor, chosen: Tensor, live: Tensor, *args, **options):
        rules[:] = sets_of_rules(words, chosen[: int(live) // options["pairs_per_rule"]], options["count"])
        return draw_comparisons(words, cumulative, chosen, live, *args, **options)

    monkeypatch.setattr(pairs_gpu, "draw_comparisons_gpu", record)

    def draw(pool: MaskPool, seed: int = 0, **settings) -> Step:
        masks = DeviceMasks(pool, FeatureConfig(**settings), kernel_device)
        batch = masks.draw(torch.Generator(kernel_device).manual_seed(seed))
        assert batch.anchor.shape == batch.positive.shape == batch.valid.shape == (masks.num_comparisons,)
        assert batch.negative.shape == (masks.num_comparisons, masks.settings.negatives)
        assert batch.positions.shape == (masks.images, masks.pixels_per_image, 2)
        return Step(batch, masks.settings, list(rules))

    return draw


def sets_of_rules(words: Tensor, chosen: Tensor, count: int) -> list[tuple[frozenset[int], ...]]:
    """The pixels, numbered through all pictures, of the regions of each rule."""
    octets = words.cpu().numpy().view(np.uint8).reshape(words.shape[0] * words.shape[1], 4 * words.shape[2])
    flags = np.unpackbits(octets, axis=1, bitorder="little")
    assert not flags[chosen.cpu().numpy().ravel(), count:].any()
    return [
        tuple(frozenset((region // words.shape[1] * count + np.flatnonzero(flags[region])).tolist()) for region in rule)
        for rule in chosen.tolist()
    ]


def check_comparisons(step: Step, pool: MaskPool) -> None:
    """The rules are those of the CPU for the same pixels, and every comparison that counts obeys its rule."""
    batch, settings = step.batch, step.settings
    expected = pairs_of_cpu(batch, pool, settings)
    drawn = expected.anchor[:, None], expected.positive[:, None], expected.negative
    blocks = [slice(first, first + _MANY) for first in range(0, len(expected), _MANY)]
    assert Counter(step.rules) == Counter(
        tuple(frozenset(pixels[block].ravel().tolist()) for pixels in drawn) for block in blocks
    )

    live = int(batch.live)
    assert live == len(step.rules) * settings.pairs_per_mask
    assert batch.valid.tolist() == [index < live for index in range(len(batch.valid))]
    for position, indices in enumerate((batch.anchor[:, None], batch.positive[:, None], batch.negative)):
        assert not indices[live:].any()
        for index, pixels in enumerate(indices[:live].tolist()):
            assert step.rules[index // settings.pairs_per_mask][position].issuperset(pixels)


def pairs_of_cpu(batch: DeviceBatch, pool: MaskPool, settings: FeatureConfig) -> Pairs:
    """What `sample_pairs` draws from the same pixels, so much that no pixel of a region is missing.

    A region has at most 131 pixels, of which `_MANY` draws miss one with probability 131 · exp(−4000 / 131) < 1e−11.
    """
    image_of_pixel = np.arange(len(batch.pixels)) // batch.positions.shape[1]
    masks_per_image = [len(pool.sets[view]) for view in batch.views.tolist()]
    bases = np.cumsum([0, *masks_per_image]).tolist()
    chains = [
        [base + mask for mask in chain]
        for base, view in zip(bases[:-1], batch.views.tolist(), strict=True)
        for chain in pool.chains[view]
    ]
    bits = batch.bits.cpu().numpy().view(np.uint64)
    membership, image_of_mask = unpack_membership(bits, image_of_pixel, masks_per_image)
    near = None
    if settings.border_negatives:
        near_bits = neighbor_memberships(bits, batch.neighbors.cpu().numpy())
        near, _ = unpack_membership(near_bits, image_of_pixel, masks_per_image)
    return sample_pairs(
        membership,
        image_of_pixel,
        image_of_mask,
        chains,
        pairs_per_mask=_MANY,
        negatives=settings.negatives,
        hierarchical=settings.hierarchical,
        min_pixels=settings.min_pixels,
        min_uncovered=settings.min_uncovered,
        generator=np.random.default_rng(0),
        near=near,
    )


def check_pixels(batch: DeviceBatch, pool: MaskPool) -> None:
    """Pool indices, positions and memberships agree with the pictures."""
    assert len(set(batch.views.tolist())) == len(batch.views)
    pixels = batch.pixels.reshape(len(batch.views), -1).cpu().numpy()
    bits = batch.bits.cpu().numpy().view(np.uint64).reshape(*pixels.shape, -1)
    for row, view in enumerate(batch.views.tolist()):
        words = pool.sets[view].bits
        columns, rows = batch.positions[row].cpu().numpy().T
        np.testing.assert_array_equal(pixels[row], pool.starts[view] + rows * words.shape[1] + columns)
        np.testing.assert_array_equal(bits[row, :, : words.shape[2]], words[rows, columns])
        assert not bits[row, :, words.shape[2] :].any()


@pytest.mark.parametrize(("count", "words"), [(1, 1), (32, 1), (45, 2), (3, 0)])
def test_packed_sets_hold_the_pixels_of_each_mask(count, words):
    generator = np.random.default_rng(count)
    bits = generator.integers(0, 2**63, (2 * count, words), np.uint64) << np.uint64(1)  # the highest bit too
    sets = pack_members(torch.from_numpy(bits.view(np.int64)), 2).numpy().view(np.uint32)
    assert sets.shape == (2, 64 * words, -(-count // 32))
    for image, mask, place in np.ndindex(2, 64 * words, 32 * sets.shape[2]):
        held = place < count and int(bits[image * count + place, mask // 64]) >> mask % 64 & 1
        assert int(sets[image, mask, place // 32]) >> place % 32 & 1 == held


@pytest.mark.parametrize("borders", [True, False])
@pytest.mark.parametrize("hierarchical", [True, False])
def test_comparisons_are_those_of_the_cpu(balls, draw, hierarchical, borders):
    pool = pool_of(balls, nested(), np.zeros((0, 5, 6), bool), nested(11, 13)[:5])
    step = draw(
        pool,
        images=3,
        pixels=3 * 37 + 2,
        pairs_per_mask=5,
        negatives=2,
        hierarchical=hierarchical,
        min_pixels=3,
        min_uncovered=4,
        border_negatives=borders,
        neighbors=4,
    )
    check_pixels(step.batch, pool)
    check_comparisons(step, pool)
    assert len(step.rules) >= (15 if hierarchical else 8) * (1.5 if borders else 1)  # most rules hold


def test_more_masks_than_a_word_has_bits(balls, draw):
    pool = pool_of(balls, scattered(66, 0), scattered(20, 10, 7, 15))
    step = draw(pool, images=2, pixels=81, pairs_per_mask=2, min_pixels=2, min_uncovered=2)
    assert step.batch.bits.shape == (80, 2)
    check_pixels(step.batch, pool)
    check_comparisons(step, pool)
    assert len(step.rules) > 50


@pytest.mark.parametrize("pixels", [2, 32, 131])
def test_numbers_of_pixels(balls, draw, pixels):
    pool = pool_of(balls, nested(), nested(8, 15)[:4])
    step = draw(pool, 1, images=1, pixels=pixels, pairs_per_mask=7, min_pixels=1, min_uncovered=1)
    check_pixels(step.batch, pool)
    check_comparisons(step, pool)


@pytest.mark.parametrize("shape", [(0, 4, 5), (1, 4, 5)])
def test_views_without_rules(balls, draw, shape):
    """A mask that fills its picture has nothing outside."""
    pool = pool_of(balls, np.ones(shape, bool), np.ones(shape, bool))
    step = draw(pool, images=5, pixels=80, pairs_per_mask=64, border_negatives=False)
    assert len(step.batch.views) == 2
    assert step.batch.bits.shape == (80, shape[0])
    assert len(step.batch.anchor) == 2 * 64 * shape[0]
    assert int(step.batch.live) == 0
    check_pixels(step.batch, pool)
    check_comparisons(step, pool)


def test_comparisons_are_uniform_in_their_regions(balls, draw):
    pool = pool_of(balls, *[rectangles(6, 6, (0, 3, 0, 6))] * 2)
    step = draw(pool, images=2, pixels=2 * 70, pairs_per_mask=1000, negatives=2, border_negatives=False)
    check_comparisons(step, pool)
    for rule, regions in enumerate(step.rules):
        rows = slice(rule * 1000, (rule + 1) * 1000)
        for region, indices in zip(regions, (step.batch.anchor, step.batch.positive, step.batch.negative), strict=True):
            counts = np.bincount(indices[rows].flatten().cpu().numpy(), minlength=140)[sorted(region)]
            assert chisquare(counts).pvalue > CHANCE
        # Draws that do not depend on each other agree by chance only: 1000 / 35 times, give or take 5.
        one, other = step.batch.negative[rows].T
        assert int((one == other).sum()) == pytest.approx(1000 / len(regions[2]), abs=25)
        assert int((step.batch.anchor[rows] == step.batch.positive[rows]).sum()) == pytest.approx(
            1000 / len(regions[0]), abs=25
        )


def test_pixels_are_drawn_by_mask_and_uniformly(balls, draw):
    pool = pool_of(balls, nested(), np.zeros((0, 12, 10), bool))
    batch = draw(pool, images=2, pixels=4000, mask_balance=0.4, pairs_per_mask=1).batch
    masks = nested().reshape(-1, 120)
    share = (masks / masks.sum(1, keepdims=True)).mean(0)
    for row, view in enumerate(batch.views.tolist()):
        local = batch.pixels.reshape(2, -1)[row].cpu().numpy() - 120 * view
        by_mask, uniform = (np.bincount(part, minlength=120) for part in np.split(local, [800]))
        expected = share if view == 0 else np.full(120, 1 / 120)
        assert by_mask[expected == 0].sum() == 0
        assert chisquare(by_mask[expected > 0], 800 * expected[expected > 0]).pvalue > CHANCE
        assert chisquare(uniform).pvalue > CHANCE


def test_every_picture_is_as_likely(balls, draw):
    pool = pool_of(balls, *[np.zeros((0, 2, 2), bool)] * 6)
    drawn = [draw(pool, seed, images=2, pixels=2).batch.views for seed in range(100)]
    assert chisquare(torch.cat(drawn).cpu().bincount(minlength=6).numpy()).pvalue > CHANCE


def test_the_generator_decides(balls, draw):
    pool = pool_of(balls, nested(), nested(9, 11))
    first, again, other = (draw(pool, seed, images=2, pixels=80, pairs_per_mask=4).batch for seed in (4, 4, 5))
    for name in DeviceBatch.__dataclass_fields__:
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.pixels, other.pixels)


def test_fewer_pixels_than_pictures(balls):
    pool = pool_of(balls, nested(), nested(), nested())
    with pytest.raises(ValueError, match="pixels: expected at least 1 for each of 3 pictures, got 2"):
        DeviceMasks(pool, FeatureConfig(images=4, pixels=2), "cpu")


@pytest.mark.gpu
def test_a_graph_draws_anew_at_every_replay(balls):
    torch.use_deterministic_algorithms(False)
    pool = pool_of(balls, nested(), scattered(70, 3), nested(9, 11))
    masks = DeviceMasks(pool, FeatureConfig(images=2, pixels=80, min_pixels=2), "cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    masks.draw(generator)  # compiles the kernels
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        batch = masks.draw(generator)
    seen = set()
    for _ in range(3):
        graph.replay()
        check_pixels(batch, pool)
        assert (
            int(batch.live) == len(pairs_of_cpu(batch, pool, masks.settings)) // _MANY * masks.settings.pairs_per_mask
        )
        seen.add(tuple(batch.pixels.tolist() + batch.anchor.tolist()))
    assert len(seen) == 3
