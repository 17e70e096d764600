"""The package as a whole: its examples run, and trees need no PyTorch."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module

import pytest
import torch

import ultrafield.ultrametric
from ultrafield.ultrametric import AffinityGraph, EditedTree, boruvka, build_tree, condense, merge_evidence

MODULES = (
    "boruvka",
    "bottlenecks",
    "cuts",
    "edits",
    "evidence",
    "flat",
    "graph",
    "interchange",
    "linkage",
    "minimax",
    "nodes",
    "partition",
    "substantial",
    "tree",
)


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in MODULES)])
def test_examples(module):
    result = doctest.testmod(import_module("ultrafield.ultrametric" + module))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_public_name_exists():
    for name in ultrafield.ultrametric.__all__:
        assert callable(getattr(ultrafield.ultrametric, name)), name
    with pytest.raises(AttributeError, match=r"module 'ultrafield.ultrametric' has no attribute 'prim'"):
        ultrafield.ultrametric.prim  # noqa: B018


def imported_after(code, modules):
    """Which of these modules a fresh interpreter has imported after running `code`."""
    code += f"\nimport sys; print(sorted({modules} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_stays_light():
    heavy = {"torch", "numba", "scipy", "higra", "matplotlib", "networkx"}
    assert imported_after("import ultrafield.ultrametric", heavy) == "[]"


TREE_WITHOUT_TORCH = """
from ultrafield.ultrametric import AffinityGraph, build_tree
tree = build_tree(AffinityGraph(3, [[0, 1], [1, 2]], [0.25, 0.5], [1, 1], 1.0))
tree.cut(0.3); tree.levels(); tree.lca([[0, 2]]); tree.flat(2); tree.to_linkage()
"""


def test_trees_need_no_torch():
    assert imported_after(TREE_WITHOUT_TORCH, {"torch", "higra", "matplotlib", "networkx"}) == "[]"


def test_one_line_says_what_a_value_is():
    graph = AffinityGraph(3, [[0, 1], [1, 2]], [0.25, 0.5], [1, 4], 1)
    tree = build_tree(graph)
    forest = boruvka(3, torch.from_numpy(graph.edges.copy()), torch.from_numpy(graph.dissimilarity.copy()))
    values = (graph, tree, condense(tree, 1), merge_evidence(tree, graph), EditedTree(tree), forest)
    assert [repr(value) for value in values] == [
        "AffinityGraph(nodes=3, edges=2, bound=1)",
        "Tree(leaves=3, height=0.5)",
        "CondensedTree(clusters=5, leaves=3)",
        "MergeEvidence(merges=2, edges=2, evidence=5)",
        "EditedTree(leaves=3, edits=0)",
        "BoruvkaTree(nodes=3, rounds=1, components=1)",
    ]
