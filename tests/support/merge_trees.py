"""Merge trees for tests: a small one, and random ones whose ids need not be in the order of heights."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ultrafield.ultrametric import Tree


def make_tree(parents, heights):
    parents = np.array(parents)
    sizes = np.zeros(len(parents), np.int64)
    sizes[: (len(parents) + 1) // 2] = 1
    for node, parent in enumerate(parents[:-1]):
        sizes[parent] += sizes[node]
    return Tree(parents, np.array(heights, np.float32), sizes)


#        8          0.75
#      7   \        0.5
#     / \   \
#    5   6   \      0.25 both
#   0 1 2 3   4
SMALL = make_tree([5, 5, 6, 6, 8, 7, 7, 8, 8], [0, 0, 0, 0, 0, 0.25, 0.25, 0.5, 0.75])


def binary_tree(log2):
    """A complete binary tree of 2^log2 leaves, each of whose levels is one height above the one below."""
    sizes = np.concatenate([np.full(1 << (log2 - level), 1 << level) for level in range(log2 + 1)])
    nodes = np.arange(len(sizes))
    begin = np.cumsum([0] + [1 << (log2 - level) for level in range(log2 + 1)])
    level = np.searchsorted(begin, nodes, side="right") - 1
    parents = np.append((begin[level] + (1 << (log2 - level)) + (nodes - begin[level]) // 2)[:-1], nodes[-1])
    return Tree(parents, (level / log2).astype(np.float32), sizes)


@st.composite
def trees(draw, most=30):
    """Random binary trees of up to `most` leaves whose merge ids need not be sorted by height, with ties."""
    n = draw(st.integers(1, most))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    roots, parents, heights = list(range(n)), np.zeros(2 * n - 1, int), np.zeros(2 * n - 1)
    for node in range(n, 2 * n - 1):
        a, b = (roots.pop(generator.integers(len(roots))) for _ in range(2))
        parents[[a, b]] = node
        heights[node] = max(heights[a], heights[b]) + generator.integers(0, 3) / 4
        roots.append(node)
    parents[-1] = 2 * n - 2
    return make_tree(parents, heights)


def path(tree, node):
    """The node and all above it."""
    nodes = [node]
    while tree.parents[nodes[-1]] != nodes[-1]:
        nodes.append(int(tree.parents[nodes[-1]]))
    return nodes


def same(labels):
    """Which pairs of items have equal labels."""
    return labels[:, None] == labels
