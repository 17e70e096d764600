"""Claims on views: several processes make masks in one folder, each view by one of them.

A claim is a lock of the operating system on `{split}_seg/.NAME.claim`, which tells who holds it. It ends with its
process, so that what a killed one leaves behind can be claimed again; who gives a claim back removes the file.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from ..names import check_name
from ..owner import BusyError, owned
from .folder import split_folders

_ENDING = ".claim"


class Claims:
    """The claims that this process holds in a folder; to be used by one thread.

    Args:
        root: Folder that holds `{split}_seg`.
        split: Name of the split.
    """

    def __init__(self, root: Path, split: str) -> None:
        self._root, self._folder = root, split_folders(root, split)[0]
        self._held: dict[str, ExitStack] = {}

    def take(self, name: str) -> bool:
        """Claim a view; whether nobody else has claimed it."""
        check_name(name, f"{self._root}: view name")
        stack = ExitStack()
        try:
            stack.enter_context(owned(self._folder / name, lock=self._folder / f".{name}{_ENDING}"))
        except BusyError:
            return False
        self._held[name] = stack
        return True

    def give_back(self, name: str) -> None:
        """End the claim on a view."""
        self._held.pop(name).close()

    def give_all_back(self) -> None:
        """End all claims."""
        for name in list(self._held):
            self.give_back(name)

    def check_none(self) -> None:
        """Raise `BusyError` if another process has claimed a view; files of claims that have ended are removed.

        The caller must own the folder.
        """
        for name in sorted(os.listdir(self._folder)) if self._folder.is_dir() else ():
            if name.startswith(".") and name.endswith(_ENDING) and name.removesuffix(_ENDING)[1:] not in self._held:
                with owned(self._folder, lock=self._folder / name):
                    pass
