"""The run that is looked at: read even where it is not whole, and written to only where that is safe."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError, UltrafieldError, reason_of
from ..owner import BusyError
from ..pipeline.edits import write_edits
from ..pipeline.folder import RunFolder
from ..pipeline.segmentation import Segmentation, open_run
from ..reading import read_bytes
from ..surface import Surface
from ..ultrametric import EditedTree, Tree, levels


@dataclass(eq=False)
class OpenedRun:
    """A run folder and what it holds.

    Attributes:
        run: The folder.
        segmentation: Its tree and surface, with edits where they can be read.
        edits: The tree with its edits.
        locked: Why nothing may be edited; None if edits are stored.
        remarks: What the user should know of the folder.
    """

    run: RunFolder
    segmentation: Segmentation
    edits: EditedTree
    locked: str | None
    remarks: tuple[str, ...]
    _stored: str = ""

    def save(self) -> None:
        """Store the edits in force in the run folder.

        Raises:
            RunError: Editing is not possible, or another program changed the edits in the meantime.
            BusyError: Another process owns the folder.
            OSError: The disk is full or cannot be written to.
        """
        if self.locked is not None:
            raise RunError(self.locked)
        with self.run.owned():
            if _digest(self.run.edits_file) != self._stored:
                raise RunError(
                    f"{self.run.edits_file}: changed by another program since it was read; "
                    "nothing was stored (start the viewer again to see its edits)"
                )
            write_edits(self.run, self.edits)
            self._stored = _digest(self.run.edits_file)


def open_for_viewing(folder: Path) -> OpenedRun:
    """Open a run folder to look at.

    A folder whose records or edits cannot be used is shown all the same, without edits, as long as it holds a surface
    and a tree.

    Raises:
        RunError: It holds none, or broken ones.
    """
    run = RunFolder(folder)
    try:
        segmentation = open_run(folder)
        edits = segmentation.edits or EditedTree(segmentation.tree)
    except RunError as failure:
        tree, surface = _bare(run, failure)
        remark = f"{failure}; shown without edits, and nothing can be edited"
        whole = Segmentation(tree, surface, levels(tree), folder=run.root)
        return OpenedRun(run, whole, EditedTree(tree), str(failure), (remark,))
    stored = _digest(run.edits_file)
    locked = _why_locked(run)
    remarks = () if locked is None else (f"{locked}; nothing can be edited",)
    return OpenedRun(run, segmentation, edits, locked, remarks, stored)


def _bare(run: RunFolder, failure: RunError) -> tuple[Tree, Surface]:
    """Tree and surface of a folder that `open_run` refuses; raises its refusal if there are none."""
    if not all((run.root / name).is_file() for name in ("surface.npz", "tree.npz")):
        raise failure
    surface, tree = run.read_surface(), run.read_tree()
    if tree.num_leaves != len(surface):
        raise RunError(f"{run.root}: tree.npz is not that of surface.npz ({tree.num_leaves} and {len(surface)} points)")
    return tree, surface


def _why_locked(run: RunFolder) -> str | None:
    """Why edits cannot be stored now; None if they can, or if another process is only at work."""
    if not os.access(run.root, os.W_OK):
        return f"{run.root}: cannot be written to"
    try:
        with run.owned():
            return None
    except BusyError:
        return None  # that may be over by the first edit
    except OSError as failure:
        return f"{run.root}: {reason_of(failure)}"
    except UltrafieldError as failure:
        return str(failure)


def _digest(file: Path) -> str:
    """Digest of a file; empty where there is none."""
    if not os.path.lexists(file):
        return ""
    return hashlib.sha256(read_bytes(file, error=RunError)).hexdigest()
