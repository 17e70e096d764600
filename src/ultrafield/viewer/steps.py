"""Edits that belong together: what was done at once is undone at once."""

from __future__ import annotations

from collections.abc import Callable

from ..ultrametric import EditedTree
from .failure import ViewError


class Steps:
    """The edits of a tree in steps of one or more.

    Edits that were made before count as one step each.

    Args:
        edits: The tree, to which edits are added.
    """

    def __init__(self, edits: EditedTree) -> None:
        self._edits = edits
        self._done: list[int] = []
        self._undone: list[int] = []

    def do(self, action: Callable[[], object], count: int = 1) -> None:
        """Do a step, which makes a number of edits.

        Raises:
            ViewError: It cannot be done.
        """
        try:
            action()
        except ValueError as failure:
            raise ViewError(str(failure)) from None
        self._done.append(count)
        self._undone.clear()

    def undo(self) -> str:
        """Take the last step back; returns its kind.

        Raises:
            ViewError: There is none.
        """
        return _moved(self._edits.undo, self._done, self._undone)

    def redo(self) -> str:
        """Do again what was undone last; returns its kind.

        Raises:
            ViewError: There is nothing.
        """
        return _moved(self._edits.redo, self._undone, self._done)


def _moved(step: Callable[[], object], taken: list[int], given: list[int]) -> str:
    count = taken.pop() if taken else 1
    try:
        kinds = {getattr(step(), "kind", "") for _ in range(count)}
    except ValueError as failure:
        raise ViewError(str(failure)) from None
    given.append(count)
    return kinds.pop()
