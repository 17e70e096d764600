"""The panel: what is selected and the tree as a list, written anew when they have changed.

The scene answers a click first. What the panel says of it takes longer: a node of a million points is measured, and
looked for in every view. That is done outside of the thread that the next click waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

import numpy as np

from .gallery import Gallery
from .markup import rows_html, selection_html, tools_html
from .measuring import Measure, measured
from .outline import Outline
from .painting import Painter
from .session import Session
from .window import Window
from .worker import Worker

_PAUSE = 0.03  # seconds in which colours are on their way to the page


class Panel:
    """Writes the panel of a window.

    Args:
        window: Where it is shown.
        session: What is shown.
        outline: Which rows are open.
        painter: Knows which colours the points have.
        gallery: Thumbnails, and the views that see most of a node.
        lock: Held while session and outline are read.
        locked: Whether nothing can be edited.
        failed: Told of every exception.
    """

    def __init__(
        self, window: Window, session: Session, outline: Outline, painter: Painter, gallery: Gallery, lock: RLock,
        *, locked: bool, failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self._window, self._session, self._outline, self._painter = window, session, outline, painter
        self._gallery, self._lock, self._locked = gallery, lock, locked
        self._worker = Worker("panel", failed, pause=_PAUSE)
        self._thumbnails = Worker("thumbnails", failed)

    def update(self, *, facts: bool, rows: bool) -> None:
        """Write what is selected, or the rows of the tree, soon."""
        if facts:
            self._worker.submit(self.show_facts, key="facts")
        if rows:
            self._worker.submit(self.show_rows, key="rows")

    def settle(self, seconds: float) -> bool:
        """Wait until all is written; returns whether that came about within the time."""
        return self._worker.settle(seconds) and self._thumbnails.settle(seconds)

    def close(self) -> None:
        """Write nothing more."""
        self._worker.close()
        self._thumbnails.close()

    def show_facts(self) -> None:
        """Write what is selected: name, place in the tree, size, best view; and draw its box."""
        session = self._session
        with self._lock:
            self._window.tools.content = tools_html(session, photo=self._painter.photo, locked=self._locked)
            chosen = (session.structure, session.selected[:1])
            leaves = session.leaves(session.selected[0]) if session.selected else np.zeros(0, np.int64)
        size = measured(session.surface, leaves) if len(leaves) else None
        best = self._gallery.best(chosen[1][0]) if size is not None else -1
        with self._lock:
            if chosen == (session.structure, session.selected[:1]):  # else this is written again at once
                self._write_facts(size, best)

    def _write_facts(self, size: Measure | None, best: int) -> None:
        self._window.show_box(*((None, None) if size is None else (size.low, size.high)))
        view = self._gallery.titles[best] if best >= 0 else ""
        self._window.selection.content = selection_html(self._session, size, view, locked=self._locked)

    def show_rows(self) -> None:
        """Write the rows of the tree; thumbnails that they lack follow."""
        with self._lock:
            rows = self._outline.rows()
            known, current = self._gallery.thumbnails.known(), self._outline.row_of_selection()
            self._window.tree.content = rows_html(self._session, rows, known, current)
        if self._gallery.thumbnails.lacking(row.node for row in rows):
            self._thumbnails.submit(self._make_thumbnails, key="thumbnails")

    def _make_thumbnails(self) -> None:
        with self._lock:
            nodes = [row.node for row in self._outline.rows()]
        if self._gallery.make_thumbnails(nodes):
            self.show_rows()
