"""Thumbnails of nodes, cut out of the views that show most of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..errors import UltrafieldError
from ..export.report.pictures import cut_out_uri
from .views import ViewBook

_KEPT = 4000


class Thumbnails:
    """Pictures of nodes as data URIs, kept until the tree changes.

    Args:
        book: The views to cut them out of.
    """

    def __init__(self, book: ViewBook) -> None:
        self._book = book
        self._made: dict[int, str] = {}

    def known(self) -> dict[int, str]:
        """Those made so far, by lasting id; empty where no view shows a node."""
        return dict(self._made)

    def lacking(self, nodes: Iterable[int]) -> list[int]:
        """Nodes that have not been looked for."""
        return [node for node in nodes if node >= 0 and node not in self._made]

    def forget(self) -> None:
        """Drop all of them: nodes have changed."""
        self._made.clear()

    def make(self, node: int, inside: np.ndarray) -> None:
        """Look for a picture of a node whose points are `inside` [N], bool."""
        if len(self._made) >= _KEPT:
            self._made.clear()
        self._made[node] = self._picture(inside)

    def _picture(self, inside: np.ndarray) -> str:
        index, _ = self._book.best(inside)
        if index < 0:
            return ""
        try:
            view = self._book.see(index)
        except UltrafieldError:  # a broken rendering
            return ""
        shown = (view.leaf >= 0) & inside[view.leaf]
        return cut_out_uri(view.photo, shown) if shown.any() else ""
