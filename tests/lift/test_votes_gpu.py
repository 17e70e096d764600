"""The Triton votes against the compiled ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.cameras import Lens
from ultrafield.config import SegmentConfig
from ultrafield.errors import RunError
from ultrafield.lift import build_graph
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.kernels.votes_cpu import add_votes_cpu
from ultrafield.lift.votes import mask_votes
from ultrafield.masks.weights import mask_weights
from ultrafield.scene import Scene, Split
from ultrafield.surface import Surface

from .test_votes import random_masks, with_masks

pytest.importorskip("triton")


@pytest.mark.parametrize(("points", "edges", "words"), [(1, 0, 1), (40, 1, 1), (300, 700, 1), (257, 1030, 3)])
def test_votes_equal_those_of_the_cpu(kernel_device, points, edges, words):
    from ultrafield.lift.kernels.votes_gpu import add_votes_gpu

    generator = np.random.default_rng(points)
    codes = generator.integers(0, 2**63, (points, words), np.uint64) << np.uint64(1)  # the highest bit too
    codes[points // 2 :] = codes[0]
    seen = generator.random(points) < 0.8
    weights = generator.random(64 * words)
    ends = generator.integers(0, points, (edges, 2))
    both, either = np.ones(edges), np.full(edges, 2.0)
    moved = [torch.from_numpy(array).to(kernel_device) for array in (ends, codes.view(np.int64), seen)]
    moved += [torch.from_numpy(array.astype(np.float32)).to(kernel_device) for array in (weights, both, either)]
    add_votes_gpu(*moved)
    add_votes_cpu(ends, codes, seen, weights, both, either)
    # Sums of up to 192 float32 weights.
    np.testing.assert_allclose(moved[4].cpu().numpy(), both, rtol=2e-5)
    np.testing.assert_allclose(moved[5].cpu().numpy(), either, rtol=2e-5)


@pytest.fixture
def thinned(toy_surface):
    """Every tenth point of the surface: Triton's interpreter is slow."""
    some = slice(None, None, 10)
    seen = np.stack([toy_surface.seen_from(view)[some] for view in range(len(toy_surface.visible))])
    visible = np.packbits(seen, axis=1, bitorder="little")
    points, normals, colors = (toy_surface.__dict__[name][some] for name in ("points", "normals", "colors"))
    return Surface(np.ascontiguousarray(points), normals, colors, visible, toy_surface.voxel)


def distorted(scene: Scene) -> Scene:
    """The same views, every other one through a lens that distorts."""
    cameras = scene.train.normalised_cameras
    lenses, distortion = cameras.lenses.copy(), cameras.distortion.copy()
    lenses[::2], distortion[::2, 0] = Lens.OPENCV, -0.05
    split = Split(scene.train.views, replace(cameras, lenses=lenses, distortion=distortion))
    return replace(scene, splits={"train": split})


@pytest.mark.parametrize("lens", ["pinhole", "mixed"])
@pytest.mark.parametrize("counts", [[4] * 10, [3, 70, 0, 130, 64, 1, None, None, 2, 0]])
def test_a_scene_is_added_up_on_the_device(kernel_device, toy, thinned, counts, lens):
    from ultrafield.lift.votes_device import add_up_on_device

    masks = [None if count is None else random_masks(seed, count) for seed, count in enumerate(counts)]
    scene = with_masks(toy.scene if lens == "pinhole" else distorted(toy.scene), masks)
    edges = neighbor_edges(thinned, 6)
    *found, holding = add_up_on_device(thinned, edges, scene, kernel_device)
    assert holding
    assert found[0].any()
    for one, other in zip(found, mask_votes(thinned, edges, scene), strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)  # float32 sums over the views


def test_ends_in_the_same_masks_are_not_set_apart_by_rounding(kernel_device):
    from ultrafield.lift.kernels.votes_gpu import add_votes_gpu

    generator = np.random.default_rng(4)
    codes = np.repeat(generator.integers(0, 2**63, (50, 2), np.uint64), 2, axis=0)
    ends = np.arange(100).reshape(50, 2)
    arrays = (ends, codes.view(np.int64), np.ones(100, bool), generator.random(128).astype(np.float32))
    moved = [torch.from_numpy(array).to(kernel_device) for array in arrays]
    both, either = torch.full((2, 50), 0.1, device=kernel_device)
    for _ in range(3):
        add_votes_gpu(*moved, both, either)
    assert torch.equal(both, either)


def test_what_no_view_sees_has_no_votes(kernel_device, toy, thinned):
    from ultrafield.lift.votes_device import add_up_on_device

    edges = neighbor_edges(thinned, 6)
    blind = replace(thinned, visible=np.zeros_like(thinned.visible))
    both, either, holding = add_up_on_device(blind, edges, toy.scene, kernel_device)
    assert not both.any()
    assert not either.any()
    assert not holding
    nothing = add_up_on_device(thinned, np.zeros((0, 2), np.int64), toy.scene, kernel_device)
    assert [len(sums) for sums in nothing[:2]] == [0, 0]


def test_weights_on_the_device(kernel_device):
    from ultrafield.lift.votes_device import weight_table

    points = np.array([0, 1, 4, 100, 999_999])
    found = weight_table(999_999, kernel_device)[torch.from_numpy(points).to(kernel_device)].cpu().numpy()
    np.testing.assert_array_equal(found, mask_weights(points).astype(np.float32))


@pytest.mark.gpu
def test_votes_and_errors_are_those_of_the_cpu(toy, toy_surface):
    edges = neighbor_edges(toy_surface, 6)
    for one, other in zip(*(mask_votes(toy_surface, edges, toy.scene, device=d) for d in ("cuda", "cpu")), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    blind = replace(toy_surface, visible=np.zeros_like(toy_surface.visible))
    with pytest.raises(RunError, match="no mask of any training view holds a point"):
        mask_votes(blind, edges, toy.scene, device="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["lift", "both"])
@pytest.mark.parametrize("superpoints", [0, 300])
def test_graphs_are_those_of_the_cpu(toy, toy_surface, engine, superpoints):
    features = np.random.default_rng(0).normal(size=(len(toy_surface), 8)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    config = SegmentConfig(neighbors=8, superpoints=superpoints)
    given = {"engine": engine, "scene": toy.scene, "features": features, "config": config}
    one, other = (build_graph(toy_surface, **given, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(one.edges, other.edges)
    np.testing.assert_allclose(one.evidence, other.evidence, rtol=1e-4, atol=1e-6)
    # Patches cut among equal heights may differ; an edge's own share may not.
    error = np.abs(one.dissimilarity - other.dissimilarity)
    assert (error > 1e-4).mean() <= (0.05 if superpoints else 0.0)
