"""What segmentation is made of: votes of masks on edges, merge trees and their cuts."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import torch
from lib.case import Case, Check, Op, Outputs, Setup, Skipped

from ultrafield.ultrametric import build_tree, check_tree, cut

_NEIGHBORS = 10
_MASKS = 120


def cases(setup: Setup) -> Iterator[Case]:
    """Every operation of this kind that exists on the device; trees are built and cut on the CPU alone."""
    nodes = 2000 if setup.quick else 100_000
    size = f"{nodes:,} points, {nodes * _NEIGHBORS:,} edges"
    yield Case("votes of a view", f"{size}, {_MASKS} masks", lambda: _votes(setup, nodes))
    if not setup.triton:
        for linkage in ("single", "average"):
            tree = f"{nodes:,} points, {_NEIGHBORS} neighbours"
            yield Case(f"build_tree, {linkage}", tree, lambda kind=linkage: _build_tree(setup, nodes, kind))
        yield Case("cut", f"{nodes:,} points", lambda: _cut(nodes))


def _votes(setup: Setup, nodes: int) -> Op:
    rng = np.random.default_rng(0)
    edges = rng.integers(0, nodes, (nodes * _NEIGHBORS, 2))
    members = rng.random((nodes, 128)) < 0.1
    members[:, _MASKS:] = False
    members[nodes // 2 :] = members[rng.integers(0, 8, nodes - nodes // 2)]  # many points that no mask tells apart
    seen, weights = rng.random(nodes) < 0.7, rng.random(128)
    codes = np.packbits(members, axis=1, bitorder="little").view(np.uint64)

    inputs = [torch.from_numpy(array).to(setup.device) for array in (edges, codes.view(np.int64), seen)]
    light = torch.from_numpy(weights.astype(np.float32)).to(setup.device)

    def run() -> Outputs:
        if setup.triton:
            from ultrafield.lift.kernels.votes_gpu import add_votes_gpu

            sums = torch.zeros((2, len(edges)), device=setup.device)
            add_votes_gpu(*inputs, light, sums[0], sums[1])
            return sums[0], sums[1]
        from ultrafield.lift.kernels.votes_cpu import add_votes_cpu

        both, either = np.zeros((2, len(edges)))
        add_votes_cpu(edges, codes, seen, weights, both, either)
        return torch.from_numpy(both), torch.from_numpy(either)

    def check(outputs: Outputs) -> list[Check]:
        one, other = members[edges[:, 0]], members[edges[:, 1]]
        counts = seen[edges].all(axis=1)
        wanted = (one & other) @ weights * counts, (one | other) @ weights * counts
        tolerance = 1e-5 if setup.triton else 1e-12  # float32 on a GPU
        return [Check(one, torch.from_numpy(sums), tolerance) for one, sums in zip(outputs, wanted, strict=True)]

    moved = edges.nbytes + codes.nbytes + seen.nbytes + 16 * len(edges)
    return Op(run, check, bytes=moved)


def _build_tree(setup: Setup, nodes: int, linkage: str) -> Op:
    if find_spec("higra") is None:
        raise Skipped("needs higra to compare with")
    from trees import same_as_higra, surface_graph

    graph = surface_graph(nodes, _NEIGHBORS)
    small = surface_graph(min(nodes, 10_000), _NEIGHBORS)

    def run() -> Outputs:
        tree = build_tree(graph, linkage=linkage)
        return tuple(torch.from_numpy(array) for array in (tree.parents, tree.heights, tree.sizes))

    def check(outputs: Outputs) -> list[Check]:
        same = torch.tensor(same_as_higra(small, linkage))
        return [Check(same, torch.ones_like(same), 0.0)]

    arrays = (graph.edges, graph.dissimilarity, graph.evidence)
    return Op(run, check, bytes=sum(array.nbytes for array in arrays) + (2 * nodes - 1) * 20)


def _cut(nodes: int) -> Op:
    from trees import surface_graph

    tree = build_tree(surface_graph(nodes, _NEIGHBORS), linkage="average")
    check_tree(tree)
    height = float(np.median(tree.heights[nodes:]))

    def wanted() -> np.ndarray:
        """Every leaf's highest ancestor that is not above the height, by climbing for all leaves at once."""
        here = np.arange(nodes)
        while True:
            above = tree.parents[here]
            moved = np.where(tree.heights[above] <= height, above, here)
            if np.array_equal(moved, here):
                return here
            here = moved

    def check(outputs: Outputs) -> list[Check]:
        return [Check(outputs[0], torch.from_numpy(wanted()), 0.0)]

    # Parents and heights in, one number per leaf out.
    return Op(lambda: (torch.from_numpy(cut(tree, height)),), check, bytes=(2 * nodes - 1) * 12 + 8 * nodes)
