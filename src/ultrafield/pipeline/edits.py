"""The user's edits of a run's tree (names, merges, splits) in edits.json, and what they make stale.

Names change nothing that stages made. Merges and splits change the tree: label maps and all that is computed from them
are then made again, from the surface and the tree that are there. Edits of another tree than the run's, as after a
segmentation with other settings, are kept beside it under the digest of their tree, and come back with it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import RunError
from ..reading import read_json
from ..ultrametric import EditedTree, Tree, load_edits, save_edits
from ..ultrametric.file import digest_tree
from .folder import RunFolder

_DIGITS = 12  # of a tree's digest in the name of a file


def read_edits(run: RunFolder, tree: Tree) -> EditedTree:
    """The edits of a run's tree, none if the folder holds none.

    Args:
        run: The run folder.
        tree: The tree as tree.npz has it.

    Raises:
        RunError: edits.json is broken, newer than this program, or about another tree.
    """
    return load_edits(run.edits_file, tree) if os.path.lexists(run.edits_file) else EditedTree(tree)


def write_edits(run: RunFolder, edited: EditedTree) -> None:
    """Store the edits in force, in place of those that the run folder holds.

    Raises:
        BusyError: Another process owns the folder.
    """
    with run.owned():
        save_edits(run.edits_file, edited)
        run.finish("edits", digest_tree(edited.original), 0.0)


def are_recorded(run: RunFolder, edited: EditedTree) -> bool:
    """Whether the record of edits.json is there too, before which a killed process may have ended."""
    return not run.edits_file.is_file() or run.records.finished("edits", digest_tree(edited.original))


def structure_of(run: RunFolder) -> Mapping[str, str]:
    """What stages that show the tree are made from besides: a digest of its merges and splits; empty without any."""
    if not os.path.lexists(run.edits_file):
        return {}
    stored = read_json(run.edits_file, error=RunError)
    edits = stored.get("edits") if isinstance(stored, dict) else None
    if not isinstance(edits, list) or not all(isinstance(edit, dict) for edit in edits):
        raise RunError(f"{run.edits_file}: expected edits of a tree")
    changes = [(edit.get("kind"), edit.get("nodes")) for edit in edits if edit.get("kind") != "rename"]
    return {"edits": hashlib.sha256(json.dumps(changes).encode()).hexdigest()[:32]} if changes else {}


def match_edits(run: RunFolder, tree: Tree) -> str | None:
    """Make edits.json that of a run's new tree; the caller owns the folder.

    Edits of another tree are renamed, and earlier ones of this tree are brought back.

    Returns:
        What was done, for the user; None if there was nothing to do.
    """
    digest, said = digest_tree(tree), []
    if os.path.lexists(run.edits_file):
        stored = read_json(run.edits_file, error=RunError)
        other = stored.get("tree") if isinstance(stored, dict) else None
        if other != digest and isinstance(other, str) and other.isalnum():
            place = _aside(run, other)
            os.replace(run.edits_file, place)
            run.records.forget("edits")
            said.append(f"edits of the earlier tree are kept in {place.name}")
    earlier = _aside(run, digest)
    if not os.path.lexists(run.edits_file) and earlier.is_file():
        os.replace(earlier, run.edits_file)
        run.finish("edits", digest, 0.0)
        said.append(f"edits of this tree are back from {earlier.name}")
    return "; ".join(said) or None


def by_id(values: np.ndarray, ids: np.ndarray, fill: int = 0) -> np.ndarray:
    """Values of the nodes of an edited tree [2n − 1, …], by their lasting ids [largest id + 1, …]."""
    table = np.full((int(ids.max()) + 1, *values.shape[1:]), fill, values.dtype)
    table[ids] = values
    return table


def _aside(run: RunFolder, digest: str) -> Path:
    return run.root / f"edits-{digest[:_DIGITS]}.json"
