"""The Triton votes against the compiled ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.segment.kernels.votes_cpu import add_votes_cpu

pytest.importorskip("triton")


@pytest.mark.parametrize(("points", "edges", "words"), [(1, 0, 1), (40, 1, 1), (300, 700, 1), (257, 1030, 3)])
def test_votes_equal_those_of_the_cpu(kernel_device, points, edges, words):
    from ultrafield.segment.kernels.votes_gpu import add_votes_gpu

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


def test_a_scene_is_added_up_on_the_device(kernel_device, toy, toy_surface):
    from ultrafield.segment.graph import neighbor_edges
    from ultrafield.segment.votes import _add_up_on_device, mask_votes, view_votes

    edges = neighbor_edges(toy_surface, 6)
    found = _add_up_on_device(edges, view_votes(toy_surface, toy.scene), kernel_device)
    for one, other in zip(found, mask_votes(toy_surface, edges, toy.scene), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)  # float32 sums over the views
