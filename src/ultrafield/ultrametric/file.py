"""Trees, and edits of trees, on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError, SceneError
from ..io import write_json, write_npz
from ..reading import read_json, read_npz
from .checks import one_integer
from .edits import EditedTree, Operation
from .tree import Tree

_EDITS_VERSION = 1


def save_tree(path: str | Path, tree: Tree) -> None:
    """Write a tree as a compressed `.npz`, atomically."""
    apart = {} if tree.surroundings is None else {"surroundings": np.array(tree.surroundings)}
    write_npz(path, parents=tree.parents, heights=tree.heights, sizes=tree.sizes, **apart)


def load_tree(path: str | Path) -> Tree:
    """Read a tree written by `save_tree`.

    Raises:
        RunError: The file is missing or broken, or what it holds is not a tree.
    """
    arrays = read_npz(path)
    missing = sorted({"parents", "heights", "sizes"} - set(arrays))
    if missing:
        raise RunError(f"{path}: array {missing[0]!r} is missing")
    try:
        apart = arrays.get("surroundings")
        surroundings = None if apart is None else one_integer("surroundings", apart)
        return Tree(arrays["parents"], arrays["heights"], arrays["sizes"], surroundings=surroundings)
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: {error}") from None


def save_edits(path: str | Path, edited: EditedTree) -> None:
    """Write the edits in force as JSON, atomically, with a digest of the tree that they are about."""
    operations = [{"kind": op.kind, "nodes": list(op.nodes), "name": op.name} for op in edited.operations]
    write_json(path, {"version": _EDITS_VERSION, "tree": digest_tree(edited.original), "edits": operations})


def load_edits(path: str | Path, tree: Tree) -> EditedTree:
    """Read edits written by `save_edits`; they can be undone one by one.

    Args:
        path: The file.
        tree: The tree as it was before the edits.

    Raises:
        RunError: The file is missing or broken, or its edits are about another tree.
    """
    try:
        stored = read_json(path)
    except SceneError as error:
        raise RunError(str(error)) from None
    version = stored.get("version") if isinstance(stored, dict) else None
    if type(version) is int and version > _EDITS_VERSION:
        raise RunError(f"{path}: written by a newer ultrafield (version {version} of the file; this one reads 1)")
    if version != _EDITS_VERSION:
        raise RunError(f"{path}: expected edits of a tree, version {_EDITS_VERSION}")
    if stored.get("tree") != digest_tree(tree):
        raise RunError(f"{path}: these edits are about another tree; segmenting again makes a new one")
    entries = stored.get("edits")
    if not isinstance(entries, list):
        raise RunError(f"{path}: 'edits': expected a list")
    edited = EditedTree(tree)
    for index, entry in enumerate(entries):
        try:
            edited.apply(_operation(entry))
        except ValueError as error:
            raise RunError(f"{path}: edit {index}: {error}") from None
    return edited


def _operation(entry: Any) -> Operation:
    """One edit from its JSON form, checked as far as the tree is not needed."""
    try:
        kind, nodes, name = entry["kind"], entry["nodes"], entry["name"]
    except (KeyError, TypeError):
        raise ValueError("expected 'kind', 'nodes' and 'name'") from None
    counts = {"merge": len(nodes), "split": 1, "rename": 1} if isinstance(nodes, list) else {}
    integers = bool(counts) and all(type(node) is int for node in nodes)
    if kind not in counts or not integers or len(nodes) != counts[kind] or not isinstance(name, str):
        raise ValueError(f"expected a merge, a split or a rename, got {entry}")
    return Operation(kind, tuple(nodes), name)


def digest_tree(tree: Tree) -> str:
    """A hash of the tree's parents and heights."""
    arrays = (tree.parents.astype("<i8", copy=False), tree.heights.astype("<f4", copy=False))
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
