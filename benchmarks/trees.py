"""Check merge trees against Higra on a small graph, then time the parts of building it and the queries on it.

    python benchmarks/trees.py [--nodes 1000000] [--neighbors 16] [--linkages single average] [--device cuda]
        [--json FILE]

The graph joins points on a curved surface with their nearest neighbours; dissimilarities change across invisible
borders, some edges are guesses without evidence. A linkage whose tree differs from Higra's is reported and not timed.
With a device the spanning forest and the tree of single linkage are made there too, from NumPy arrays to NumPy arrays;
they are timed if they are those of the CPU, bit for bit.
Times are medians over the repeats, with the fastest and the slowest, after one run that does not count. Threads are
numba's: NUMBA_NUM_THREADS=1 for one. The last column is the largest memory the process has had so far.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import numba
import numpy as np
from lib.machine import package_version, processor
from lib.options import parser_of, positive
from lib.results import Results
from lib.times import wall
from scipy.spatial import cKDTree

from ultrafield.extras import require
from ultrafield.pipeline.memory import peak_memory
from ultrafield.ultrametric import (
    AffinityGraph,
    EditedTree,
    Tree,
    build_tree,
    check_tree,
    condense,
    cut,
    cut_into,
    flat,
    lowest_common_ancestor,
    merge_evidence,
    mixed_cut,
    subtree,
)
from ultrafield.ultrametric.kernels.boruvka_cpu import boruvka_cpu

_CHECKED = 20_000  # nodes of the graph that is compared with Higra


def main() -> int:
    """Check and time; the exit code is 1 if a check failed."""
    parser = parser_of(__doc__)
    parser.add_argument("--nodes", type=positive, default=1_000_000)
    parser.add_argument("--neighbors", type=positive, default=16)
    parser.add_argument("--linkages", nargs="+", default=["single", "average"], choices=("single", "average"))
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    results = Results("trees", options)
    versions = ", ".join(f"{name} {package_version(name)}" for name in ("numba", "higra"))
    print(f"{processor()}, {numba.config.NUMBA_NUM_THREADS} threads, {versions}")
    small = surface_graph(_CHECKED, options.neighbors)
    right = [linkage for linkage in options.linkages if same_as_higra(small, linkage)]
    graph = surface_graph(options.nodes, options.neighbors)
    print(f"{graph.num_nodes} nodes, {len(graph.edges)} edges; the graph takes {peak()} GB to make")
    print(f"{'operation':38} {'median ms':>10} {'fastest':>9} {'slowest':>9} {'us/node':>9} {'peak GB':>8}")
    report("spanning forest", lambda: boruvka_cpu(graph.num_nodes, graph.edges, graph.dissimilarity), options, results)
    same = options.device == "cpu" or time_on_device(graph, options, results)
    for linkage in right:
        report(f"{linkage}: tree", lambda linkage=linkage: build_tree(graph, linkage=linkage), options, results)
        tree = build_tree(graph, linkage=linkage)
        check_tree(tree)
        for name, query in queries(tree, graph):
            report(f"{linkage}: {name}", query, options, results)
    results.save()
    failed = [linkage for linkage in options.linkages if linkage not in right]
    for linkage in failed:
        print(f"{linkage}: differs from Higra; not timed")
    if not same:
        print(f"{options.device}: the tree differs from the CPU's; not timed")
    return 0 if same and not failed else 1


def time_on_device(graph: AffinityGraph, options: argparse.Namespace, results: Results) -> bool:
    """Time forest and tree on a device; False, and nothing is timed, if the tree is not that of the CPU."""
    import torch

    from ultrafield.ultrametric.boruvka import rounds_needed
    from ultrafield.ultrametric.kernels.forest_gpu import sorted_forest_gpu

    def tree(device: str) -> Tree:
        return build_tree(graph, linkage="single", device=device)

    def upload() -> list[torch.Tensor]:
        return [torch.from_numpy(part).to(options.device) for part in (graph.edges, graph.dissimilarity)]

    def forest(edges: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        result = sorted_forest_gpu(graph.num_nodes, edges, weights, rounds_needed(graph.num_nodes))
        torch.cuda.synchronize()
        return result

    one, other = tree("cpu"), tree(options.device)
    if not all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("parents", "heights", "sizes")):
        return False
    there, name = upload(), options.device
    print(torch.cuda.get_device_name())
    report(f"{name}: forest, left on the device", lambda: forest(*there), options, results)
    report(f"{name}: forest", lambda: [part.cpu().numpy() for part in forest(*upload())], options, results)
    report(f"{name}: single: tree", lambda: tree(name), options, results)
    print(f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB on the device at most")
    return True


def surface_graph(nodes: int, neighbors: int) -> AffinityGraph:
    """Points on a curved surface, in the order of coarse voxels, joined with their nearest neighbours."""
    generator = np.random.default_rng(0)
    points = generator.random((nodes, 3), np.float32)
    points[:, 2] = 0.1 * np.sin(7 * points[:, 0]) * np.cos(5 * points[:, 1])
    voxels = np.floor(points * np.sqrt(nodes) / 2).astype(np.int64)
    points = points[np.lexsort(voxels.T[::-1])]
    _, near = cKDTree(points).query(points, neighbors + 1, workers=numba.config.NUMBA_NUM_THREADS)
    ends = np.sort(np.stack([np.repeat(near[:, 0], neighbors), near[:, 1:].ravel()], axis=1), axis=1)
    pairs = np.unique(ends[:, 0] * nodes + ends[:, 1])
    edges = np.stack(np.divmod(pairs, nodes), axis=1)
    x, y = points[:, 0], points[:, 1]
    parts = np.sin(9 * x) + np.cos(8 * y) + 0.3 * np.sin(60 * x * y)
    noise = generator.random(len(edges), np.float32)
    steps = np.abs(parts[edges[:, 0]] - parts[edges[:, 1]])
    dissimilarity = np.clip(5 * steps + 0.3 * noise, 0, 1).astype(np.float32)
    return AffinityGraph(nodes, edges, dissimilarity, generator.integers(0, 30, len(edges)).astype(np.float32), 1.0)


def same_as_higra(graph: AffinityGraph, linkage: str) -> bool:
    """Whether random pairs of nodes merge at the height that Higra computes."""
    hg = require("higra", "masks")
    theirs = hg.UndirectedGraph(graph.num_nodes)
    theirs.add_edges(*graph.edges.T.copy())
    values = graph.dissimilarity.astype(np.float64)
    if linkage == "single":
        dendrogram, altitudes = hg.bpt_canonical(theirs, values)
    else:
        dendrogram, altitudes = hg.binary_partition_tree_average_linkage(theirs, values)
    tree = build_tree(graph, linkage=linkage, weights="count")
    pairs = np.random.default_rng(1).integers(0, graph.num_nodes, (100_000, 2))
    expected = altitudes[dendrogram.lowest_common_ancestor(*pairs.T.copy())]
    return np.allclose(tree.heights[lowest_common_ancestor(tree, pairs)], expected, rtol=1e-6, atol=0)


def queries(tree: Tree, graph: AffinityGraph) -> Iterator[tuple[str, Callable[[], object]]]:
    """Queries of a tree and edits, by name."""
    n, root = tree.num_leaves, len(tree.parents) - 1
    pairs = np.random.default_rng(2).integers(0, n, (1_000_000, 2))
    height = float(np.median(tree.heights[n:]))
    smallest = max(2, n // 1000)
    segments = np.unique(cut(tree, height))
    parts = np.flatnonzero((tree.parents == root) & (np.arange(len(tree.parents)) != root))
    edited = EditedTree(tree)

    def edit() -> Tree:
        edited.merge([0, n - 1])
        compiled = edited.tree
        edited.undo()
        return compiled

    yield "cut", lambda: cut(tree, height)
    yield "cut into 1000", lambda: cut_into(tree, 1000)
    yield "mixed cut", lambda: mixed_cut(tree, segments)
    yield "ancestors of a million pairs", lambda: lowest_common_ancestor(tree, pairs)
    yield "subtree", lambda: subtree(tree, int(parts[-1]))
    yield "condense", lambda: condense(tree, smallest)
    yield "flat", lambda: flat(tree, smallest)
    yield "evidence of merges", lambda: merge_evidence(tree, graph)
    yield "edit, new tree, undo", edit


def report(name: str, run: Callable[[], object], options: argparse.Namespace, results: Results) -> None:
    """Time and print one operation."""
    times = wall(run, options.repeats)
    results.add_times(name, times, peak_bytes=peak_memory()["host"])
    per_node = f"{times.median / options.nodes * 1e6:9.3f}"
    print(f"{name:38} {times.milliseconds()} {per_node} {peak():>8}", flush=True)


def peak() -> str:
    """Largest memory of this process so far, GB; a dash where the system does not tell."""
    size = peak_memory()["host"]
    return "–" if size is None else f"{size / 1e9:.1f}"


if __name__ == "__main__":
    sys.exit(main())
