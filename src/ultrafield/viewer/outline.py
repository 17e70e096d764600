"""The tree as a list that opens and closes: only what is open is ever made into rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ..pipeline.naming import find_nodes
from .hierarchy import Hierarchy
from .session import Session

_AT_ONCE = 40  # children of a node that are listed at first, and that are added each time
_MOST_FOUND = 100
_MOST_OF = 0.8  # of a row's points: what is that large within it lends it its name
_DIGITS = 12  # of an id


@dataclass(frozen=True)
class Row:
    """A line of the panel.

    Attributes:
        node: Lasting id; −1 for a line that stands for more rows.
        depth: How far to the right it begins.
        name: The node's name; empty if it has none.
        size: Points.
        stability: How large and long-lived, as a part of the largest of its siblings', 0 … 1.
        opened: Whether its parts are listed below it.
        has_parts: Whether it has any.
        more: Of a line that stands for more rows, the number of these and the node that they are parts of.
        earlier: Whether these rows come before those that are listed.
        nearly: The name of something within it that is most of it; empty if nothing is.
    """

    node: int
    depth: int
    name: str = ""
    size: int = 0
    stability: float = 0.0
    opened: bool = False
    has_parts: bool = False
    more: tuple[int, int] = (0, -1)
    earlier: bool = False
    nearly: str = ""


class Outline:
    """Which nodes of a session's tree are open, and the rows that this makes.

    Args:
        session: Whose tree.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listed: dict[int, range] = {}  # which of its children are listed, of each open node, by lasting id
        self._names: tuple[Hierarchy | None, dict[int, str]] = (None, {})  # of which hierarchy, and see `_nearly`
        self.text = ""
        self.toggle(self._lasting(0))

    def state(self) -> tuple[object, ...]:
        """What the rows depend on besides the session."""
        return self.text, tuple(self._listed.items())

    def toggle(self, lasting: int) -> None:
        """Open a node, or close it."""
        if self._listed.pop(lasting, None) is None:
            self._listed[lasting] = range(_AT_ONCE)

    def more(self, lasting: int) -> None:
        """List more parts of an open node, smaller ones."""
        if lasting in self._listed:
            listed = self._listed[lasting]
            self._listed[lasting] = range(listed.start, listed.stop + _AT_ONCE)

    def earlier(self, lasting: int) -> None:
        """List more parts of an open node, larger ones."""
        if lasting in self._listed:
            listed = self._listed[lasting]
            self._listed[lasting] = range(max(0, listed.start - _AT_ONCE), listed.stop)

    def reveal(self, lasting: int) -> None:
        """Open all that lies around a node, so that it has a row; of many parts only those about it are listed then."""
        hierarchy = self._session.hierarchy
        path = hierarchy.path(hierarchy.entry(self._session.node(lasting)))
        for inner, outer in pairwise(path):
            rank = int((hierarchy.children(outer) == inner).nonzero()[0][0])
            around = self._lasting(outer)
            if rank not in self._listed.get(around, range(_AT_ONCE)):
                first = rank - _AT_ONCE // 2
                self._listed[around] = range(first, first + _AT_ONCE)
            self._listed.setdefault(around, range(_AT_ONCE))

    def rows(self) -> list[Row]:
        """The rows, in order: the open part of the tree, or what the text of the search finds."""
        return self._found() if self.text.strip() else list(self._open_rows())

    def row_of_selection(self) -> int:
        """Lasting id of the row that stands for the first selected node; −1 for none."""
        session = self._session
        if not session.selected:
            return -1
        return self._lasting(session.hierarchy.entry(session.node(session.selected[0])))

    def _open_rows(self) -> Iterator[Row]:
        hierarchy = self._session.hierarchy
        waiting: list[tuple[int, int, float] | Row] = [(0, 0, max(float(hierarchy.stability[0]), 1e-12))]
        while waiting:  # without recursion, as trees can be deep
            item = waiting.pop()
            if isinstance(item, Row):
                yield item
                continue
            entry, depth, most = item
            row = self._row(entry, depth, most)
            yield row
            if not row.opened:
                continue
            children, listed = hierarchy.children(entry), self._listed[row.node]
            largest = max(float(hierarchy.stability[children].max()), 1e-12)
            if len(children) > listed.stop:
                waiting.append(Row(-1, depth + 1, more=(len(children) - listed.stop, row.node)))
            waiting += [(int(child), depth + 1, largest) for child in children[listed.start : listed.stop][::-1]]
            if listed.start > 0:
                waiting.append(Row(-1, depth + 1, more=(listed.start, row.node), earlier=True))

    def _row(self, entry: int, depth: int, most: float) -> Row:
        session, hierarchy = self._session, self._session.hierarchy
        node, parts = self._lasting(entry), len(hierarchy.children(entry)) > 0
        share = min(1.0, float(hierarchy.stability[entry]) / most)
        name, size = session.edits.names.get(node, ""), int(hierarchy.sizes[entry])
        opened = node in self._listed and parts
        return Row(node, depth, name, size, share, opened, parts, nearly=self._nearly().get(entry, ""))

    def _nearly(self) -> dict[int, str]:
        """Of entries that are hardly more than a node with a name, that name: a row is seldom exactly what is named."""
        session, hierarchy = self._session, self._session.hierarchy
        if self._names[0] is not hierarchy:
            found: dict[int, tuple[int, str]] = {}
            for node, name in session.edits.names.items():
                if not session.exists(node):
                    continue
                place = session.node(node)
                entry, size = hierarchy.entry(place), int(session.tree.sizes[place])
                if size >= _MOST_OF * hierarchy.sizes[entry]:
                    found[entry] = max(found.get(entry, (0, "")), (size, name))
            self._names = (hierarchy, {entry: name for entry, (_, name) in found.items()})
        return self._names[1]

    def _found(self) -> list[Row]:
        """Rows of nodes by name, or by id, the best first."""
        session, text = self._session, self.text.strip()
        nodes = [match.node for match in find_nodes(session.segmentation, text) if session.exists(match.node)]
        number = text.lstrip("#")
        if number.isdecimal() and len(number) < _DIGITS and session.exists(int(number)):
            nodes = list(dict.fromkeys([int(number), *nodes]))
        return [self._row_of(node) for node in nodes[:_MOST_FOUND]]

    def _row_of(self, node: int) -> Row:
        session = self._session
        place = session.node(node)
        entry = session.hierarchy.entry_of_exactly(place)
        stability = 0.0 if entry is None else float(session.hierarchy.stability[entry])
        most = max(float(session.hierarchy.stability.max()), 1e-12)
        name = session.edits.names.get(node, "")
        return Row(node, 0, name, int(session.tree.sizes[place]), min(1.0, stability / most))

    def _lasting(self, entry: int) -> int:
        return int(self._session.ids[self._session.hierarchy.nodes[entry]])
