"""Checks of arrays given by callers, on which compiled loops then rely."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import check_shape

# Distances of unit vectors overshoot their bound by rounding; so much of it is forgiven.
_OVERSHOOT = 1e-5


def own_integers(name: str, values: Any) -> np.ndarray:
    """Node ids or counts as an int64 array that nobody else can write to.

    Args:
        name: The argument, for error texts.
        values: An array, or nested lists, of integers or of floats without a fraction. An int64 array that is
            read-only already is taken as it is; anything else is copied.

    Raises:
        TypeError: Neither integers nor floats.
        ValueError: Ragged lists, or a number that int64 cannot hold exactly.
    """
    array = _array(name, values)
    if array.dtype.kind == "f":
        whole = (np.abs(array) < np.float64(2.0**63)) & (np.trunc(array) == array)  # false for NaN
        if not whole.all():
            at = _first(~whole)
            raise ValueError(f"{name}{_subscript(at)}: expected an integer, got {array[at]}")
    elif array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got an array of {array.dtype}")
    elif array.dtype == np.uint64 and array.size and array.max() >= 2**63:
        at = _first(array >= 2**63)
        raise ValueError(f"{name}{_subscript(at)}: expected an integer below 2^63, got {array[at]}")
    return _owned(array, np.int64)


def own_floats(name: str, values: Any) -> np.ndarray:
    """Real numbers as a float32 array that nobody else can write to.

    Args:
        name: The argument, for error texts.
        values: An array, or nested lists, of integers or floats; taken or copied as by `own_integers`. What float32
            cannot hold becomes infinite.

    Raises:
        TypeError: Neither integers nor floats.
        ValueError: Ragged lists.
    """
    array = _array(name, values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected real numbers, got an array of {array.dtype}")
    with np.errstate(over="ignore"):
        return _owned(array, np.float32)


def one_integer(name: str, value: Any) -> int:
    """One integer; `TypeError` about `name` for anything else."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None


def one_float(name: str, value: Any) -> float:
    """One real number; `TypeError` about `name` for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {value!r}") from None


def read_only(array: np.ndarray) -> np.ndarray:
    """The array itself, from now on read-only."""
    array.flags.writeable = False
    return array


def check_tree_arrays(parents: np.ndarray, heights: np.ndarray, sizes: np.ndarray) -> None:
    """Check what `Tree` promises of its arrays (int64, float32, int64), in one compiled pass.

    Raises:
        ValueError: The first promise that is broken, with the name of the array and the node.
    """
    from .kernels.checks_cpu import faulty_node

    check_shape("parents", parents, (None,))
    check_shape("heights", heights, parents.shape)
    check_shape("sizes", sizes, parents.shape)
    if len(parents) % 2 == 0:
        raise ValueError(f"parents: expected an odd number of nodes, 2n − 1 for n leaves, got {len(parents)}")
    below = np.zeros(len(parents) // 2 + 1, np.int32 if len(parents) < 2**29 else np.int64)
    node, promise = faulty_node(parents, heights, sizes, below)
    if promise:
        raise ValueError(_node_fault(parents, heights, sizes, node, promise))


def _node_fault(parents: np.ndarray, heights: np.ndarray, sizes: np.ndarray, node: int, promise: int) -> str:
    """Say which promise of `Tree` a node breaks."""
    from .kernels.checks_cpu import CHILDREN, HEIGHT, PARENT, SIZE

    root, is_leaf, parent = len(parents) - 1, 2 * node < len(parents), parents[node]
    if promise == PARENT:
        lowest = min(max(node + 1, len(parents) // 2 + 1), root)
        expected = f"the id of a merge above, in [{lowest}, {root}]" if node < root else f"{root}, the root's own id"
        return f"parents[{node}]: expected {expected}, got {parent}"
    if promise == CHILDREN:
        return f"parents: expected node {node} to be the parent of 2 nodes, got {np.sum(parents[:-1] == node)}"
    if promise == HEIGHT:
        expected = "0 for a leaf" if is_leaf else "a finite number of at least 0"
        return f"heights[{node}]: expected {expected}, got {heights[node]:g}"
    if promise == SIZE:
        count = 1 if is_leaf else sizes[:node][parents[:node] == node].sum()
        return f"sizes[{node}]: expected {count}, the leaves below the node, got {sizes[node]}"
    return f"heights[{node}]: expected at most {heights[parent]:g}, its parent's height, got {heights[node]:g}"


def check_graph_arrays(
    num_nodes: int, edges: np.ndarray, dissimilarity: np.ndarray, evidence: np.ndarray, bound: float
) -> None:
    """Check what `AffinityGraph` promises of its arrays (int64, float32, float32), in one compiled pass.

    Raises:
        ValueError: The first promise that is broken, with the name of the array and the edge.
    """
    from .kernels.checks_cpu import DISSIMILARITY, ENDS, LOOP, faulty_edge

    if num_nodes < 1:
        raise ValueError(f"num_nodes: expected at least 1, got {num_nodes}")
    if not 0 <= bound < np.inf:
        raise ValueError(f"bound: expected a finite number of at least 0, got {bound:g}")
    check_shape("edges", edges, (None, 2))
    check_shape("dissimilarity", dissimilarity, (len(edges),))
    check_shape("evidence", evidence, (len(edges),))
    edge, promise = faulty_edge(edges, dissimilarity, evidence, num_nodes, bound * (1 + _OVERSHOOT))
    if promise == ENDS:
        raise ValueError(f"edges[{edge}]: expected node indices in [0, {num_nodes}), got {edges[edge].tolist()}")
    if promise == LOOP:
        raise ValueError(f"edges[{edge}]: expected two different nodes, got {edges[edge].tolist()}")
    if promise == DISSIMILARITY:
        raise ValueError(f"dissimilarity[{edge}]: expected a number in [0, {bound:g}], got {dissimilarity[edge]:g}")
    if promise:
        raise ValueError(f"evidence[{edge}]: expected a finite number of at least 0, got {evidence[edge]:g}")


def _array(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name}: expected an array, got lists of different lengths") from None
    return array


def _owned(array: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """A contiguous read-only array of this dtype."""
    if array.dtype == dtype and array.flags.c_contiguous and not array.flags.writeable:
        return array
    return read_only(np.array(array, dtype, order="C"))


def _first(flags: np.ndarray) -> tuple[int, ...]:
    """Index of the first flag that is set."""
    return tuple(int(index) for index in np.unravel_index(int(np.argmax(flags)), flags.shape))


def _subscript(index: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, index)) + "]" if index else ""
