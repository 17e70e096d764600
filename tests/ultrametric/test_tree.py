"""`Tree` takes what is a tree, whatever it comes as, and refuses everything else before a compiled loop sees it."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import SMALL, trees

from ultrafield.ultrametric import (
    Tree,
    ancestors,
    check_tree,
    child_nodes,
    children,
    condense,
    cut,
    cut_into,
    flat,
    leaves,
    levels,
    lowest_common_ancestor,
    subtree,
)

FIELDS = ("parents", "heights", "sizes")
# Ids that leave every array, wrap around, or overflow; heights that compare with nothing.
NASTY = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 2**31 - 1, 2**31, 10**9, 2**62, 2**63 - 1)
NASTY_HEIGHTS = (np.nan, np.inf, -np.inf, -1.0, -0.0, 1e38, 1e300, 0.5)


def arrays_of(tree):
    return {name: getattr(tree, name).copy() for name in FIELDS}


ARRAYS = arrays_of(SMALL)


def refusal(make, *errors):
    """The tree that `make` returns and no text; or None and the text with which it refuses."""
    try:
        return make(), ""
    except errors as error:
        return None, str(error)


def is_tree(parents, heights, sizes):
    """The definition, word by word."""
    count = len(parents)
    if count % 2 == 0 or len(heights) != count or len(sizes) != count:
        return False
    n = (count + 1) // 2
    if any(not node < parent < count for node, parent in enumerate(parents[:-1])) or parents[-1] != count - 1:
        return False
    below = [[child for child in range(count - 1) if parents[child] == node] for node in range(count)]
    if any(len(nodes) != (0 if node < n else 2) for node, nodes in enumerate(below)):
        return False
    heights = np.array(heights, np.float32)
    if not np.isfinite(heights).all() or heights[:n].any() or (heights > heights[np.array(parents, int)]).any():
        return False
    expected = [1] * n
    for node in range(n, count):
        expected.append(sum(expected[child] for child in below[node]))
    return list(sizes) == expected


def ask_everything(tree):
    """Call every verb with many arguments."""
    count = len(tree.parents)
    for height in (0, 0.25, float(tree.heights[-1]), np.inf):
        tree.cut(height)
    for segments in (1, 2, tree.num_leaves, 100):
        tree.cut_into(segments)
    for node in range(count):
        tree.children(node), tree.ancestors(node), tree.leaves(node), tree.subtree(node)
    tree.children()
    tree.lca(np.stack(np.meshgrid(np.arange(count), np.arange(count)), axis=-1).reshape(-1, 2))
    for min_size in (1, 2, 100):
        tree.condense(min_size), tree.flat(min_size), tree.flat(min_size, selection="leaf")
        tree.levels(min_size=min_size)
    tree.levels()
    tree.to_linkage()


@settings(deadline=None, max_examples=200)
@given(trees(most=6), st.data())
def test_a_damaged_tree_is_refused_or_still_a_tree(tree, data):
    arrays = arrays_of(tree)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(FIELDS))
        at = data.draw(st.integers(0, len(tree.parents) - 1))
        values = NASTY_HEIGHTS if name == "heights" else (*NASTY, *range(len(tree.parents)))
        with np.errstate(over="ignore"):
            arrays[name][at] = data.draw(st.sampled_from(values))
    damaged, text = refusal(lambda: Tree(**arrays), ValueError)
    assert (damaged is not None) == is_tree(**arrays)
    if damaged is not None:
        ask_everything(damaged)
    else:
        assert text.startswith(FIELDS)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_random_arrays_never_reach_a_loop(seed):
    generator = np.random.default_rng(seed)
    lengths = np.repeat(2 * generator.integers(0, 5) + 1, 3)
    if generator.random() < 0.2:
        lengths = generator.integers(0, 8, 3)
    kinds = (np.int64, np.int32, np.uint64, np.float64, np.float32, bool, object, complex, "U4")
    kind = kinds[generator.integers(len(kinds))]
    high = generator.choice([2, 10, 2**31])
    arrays = [generator.integers(0, high, length).astype(kind) for length in lengths]
    tree, text = refusal(lambda: Tree(*arrays), TypeError, ValueError)
    if tree is not None:
        assert is_tree(*arrays)
        ask_everything(tree)
    else:
        assert text.startswith(FIELDS)


@settings(deadline=None, max_examples=60)
@given(trees(), st.sampled_from(["list", np.int32, np.uint64, np.float64, ">i8", "strided"]))
def test_numbers_of_any_kind_are_converted(tree, kind):
    if kind == "list":
        taken = Tree(*(array.tolist() for array in arrays_of(tree).values()))
    elif kind == "strided":
        taken = Tree(*(np.repeat(array, 2)[::2] for array in arrays_of(tree).values()))
    else:
        taken = Tree(tree.parents.astype(kind), tree.heights.astype(np.float64), tree.sizes.astype(kind))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(taken, name), getattr(tree, name))
        assert getattr(taken, name).dtype == getattr(tree, name).dtype
    ask_everything(taken)


def test_nobody_can_write_to_a_tree():
    arrays = arrays_of(SMALL)
    tree = Tree(**arrays)
    arrays["parents"][:] = 10**9  # the caller's own array stays its own
    assert tree.cut(0.25).tolist() == [5, 5, 6, 6, 4]
    part, _ = tree.subtree(7)
    for own in (tree, part, replace(tree, heights=tree.heights * 2)):
        for name in FIELDS:
            with pytest.raises(ValueError, match="read-only"):
                getattr(own, name)[0] = 5
    with pytest.raises(FrozenInstanceError):
        tree.parents = arrays["parents"]


def test_read_only_arrays_are_shared():
    taller = replace(SMALL, heights=SMALL.heights * 2)
    assert taller.parents is SMALL.parents
    assert taller.heights.tolist() == (2 * SMALL.heights).tolist()


def test_copies_are_trees():
    for other in (copy.copy(SMALL), copy.deepcopy(SMALL), pickle.loads(pickle.dumps(SMALL))):
        assert other.cut(0.25).tolist() == SMALL.cut(0.25).tolist()
        assert other != SMALL  # two trees are equal if they are one: arrays are not compared
    assert SMALL in {SMALL}


def test_one_line_says_which_tree():
    assert repr(SMALL) == "Tree(leaves=5, height=0.75)"
    assert repr(Tree([0], [0], [1])) == "Tree(leaves=1, height=0)"


@settings(deadline=None, max_examples=40)
@given(trees(most=12), st.data())
def test_methods_are_the_functions(tree, data):
    node = data.draw(st.integers(0, len(tree.parents) - 1))
    pairs = [[node, 0], [0, node]]
    for found, expected in (
        (tree.cut(0.5), cut(tree, 0.5)),
        (tree.cut_into(3), cut_into(tree, 3)),
        (tree.levels(min_size=2), levels(tree, min_size=2)),
        (tree.children(node), children(tree, node)),
        (tree.children(), child_nodes(tree)),
        (tree.ancestors(node), ancestors(tree, node)),
        (tree.lca(pairs), lowest_common_ancestor(tree, pairs)),
        (tree.leaves(node), leaves(tree, node)),
        (tree.subtree(node)[1], subtree(tree, node)[1]),
        (tree.condense(2).nodes, condense(tree, 2).nodes),
        (tree.flat(2, selection="leaf"), flat(tree, 2, selection="leaf")),
    ):
        np.testing.assert_array_equal(found, expected)
    check_tree(tree.subtree(node)[0])


def changed(name, at, value):
    """SMALL with one value replaced."""
    array = getattr(SMALL, name).astype(np.float64 if isinstance(value, float) else np.int64)
    array[at] = value
    return arrays_of(SMALL) | {name: array}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed("parents", 3, 10**9), "parents[3]: expected the id of a merge above, in [5, 8], got 1000000000"),
        (changed("parents", 0, 1), "parents[0]: expected the id of a merge above, in [5, 8], got 1"),
        (changed("parents", 6, 5), "parents[6]: expected the id of a merge above, in [7, 8], got 5"),
        (changed("parents", 6, -1), "parents[6]: expected the id of a merge above, in [7, 8], got -1"),
        (changed("parents", 8, 7), "parents[8]: expected 8, the root's own id, got 7"),
        (changed("parents", 2, 5), "parents: expected node 5 to be the parent of 2 nodes, got 3"),
        (changed("parents", 1, 0.5), "parents[1]: expected an integer, got 0.5"),
        (changed("parents", 1, 1e300), "parents[1]: expected an integer, got 1e+300"),
        (changed("parents", 1, np.nan), "parents[1]: expected an integer, got nan"),
        (changed("heights", 1, 0.125), "heights[1]: expected 0 for a leaf, got 0.125"),
        (changed("heights", 2, np.nan), "heights[2]: expected 0 for a leaf, got nan"),
        (changed("heights", 7, np.nan), "heights[7]: expected a finite number of at least 0, got nan"),
        (changed("heights", 5, -1.0), "heights[5]: expected a finite number of at least 0, got -1"),
        (changed("heights", 8, 1e300), "heights[8]: expected a finite number of at least 0, got inf"),
        (changed("heights", 6, 0.6), "heights[6]: expected at most 0.5, its parent's height, got 0.6"),
        (changed("sizes", 2, 2), "sizes[2]: expected 1, the leaves below the node, got 2"),
        (changed("sizes", 7, 3), "sizes[7]: expected 4, the leaves below the node, got 3"),
        (changed("sizes", 8, 4.5), "sizes[8]: expected an integer, got 4.5"),
        (
            {name: np.zeros(4) for name in FIELDS},
            "parents: expected an odd number of nodes, 2n − 1 for n leaves, got 4",
        ),
        (
            {name: np.zeros(0) for name in FIELDS},
            "parents: expected an odd number of nodes, 2n − 1 for n leaves, got 0",
        ),
        ({**ARRAYS, "heights": SMALL.heights[:5]}, "heights: expected shape [9], got [5]"),
        ({**ARRAYS, "sizes": SMALL.sizes[:5]}, "sizes: expected shape [9], got [5]"),
        ({**ARRAYS, "parents": SMALL.parents[None]}, "parents: expected shape [*], got [1, 9]"),
        ({**ARRAYS, "parents": [[1, 2], [3]]}, "parents: expected an array, got lists of different lengths"),
        (
            {**ARRAYS, "parents": np.full(9, 2**63, np.uint64)},
            "parents[0]: expected an integer below 2^63, got 9223372036854775808",
        ),
    ],
)
def test_the_text_names_the_array_and_the_node(arrays, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Tree(**arrays)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({**ARRAYS, "parents": SMALL.parents.astype("U2")}, "parents: expected integers, got an array of <U2"),
        ({**ARRAYS, "parents": SMALL.parents > 0}, "parents: expected integers, got an array of bool"),
        ({**ARRAYS, "heights": SMALL.heights * 1j}, "heights: expected real numbers, got an array of complex64"),
        ({**ARRAYS, "heights": None}, "heights: expected real numbers, got an array of object"),
    ],
)
def test_what_is_no_number_is_a_type_error(arrays, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        Tree(**arrays)


@pytest.mark.parametrize("extra", [3, 4, 256, 257, 258, 300])
def test_a_node_of_many_children_is_not_taken_for_one_of_two(extra):
    n = extra + 2
    parents = np.full(2 * n - 1, n, np.int64)
    parents[n:-1] = np.arange(n + 1, 2 * n - 1)
    parents[-1] = 2 * n - 2
    with pytest.raises(ValueError, match=f"expected node {n} to be the parent of 2 nodes, got {n}"):
        Tree(parents, np.zeros(2 * n - 1), np.concatenate([np.ones(n), np.full(n - 1, n)]))


def test_checking_is_repeated_for_trees_that_were_trusted():
    parents = SMALL.parents.copy()
    parents[0] = 10**9
    with pytest.raises(ValueError, match=r"parents\[0\]"):
        check_tree(Tree._trusted(parents, SMALL.heights, SMALL.sizes))


def test_node_ids_may_be_floats_of_any_width():
    for dtype in (np.float16, np.float32, np.float64, np.longdouble):
        tree = Tree(np.array([2, 2, 2], dtype), np.array([0, 0, 1]), np.array([1, 1, 2], dtype))
        assert tree.parents.tolist() == [2, 2, 2]
        with pytest.raises(ValueError, match=r"expected an integer, got inf"):
            Tree(np.array([2, 2, np.inf], dtype), np.array([0, 0, 1]), np.array([1, 1, 2], dtype))
