"""The points in the scene: sent once, painted anew when colours change, and met by the pointer's rays.

viser takes colours as three bytes for each point. Where the page can paint by itself (`points.js`), it is told runs of
points instead: a few numbers for each segment when the cut changes, a few for each selected one after a click.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .frame import DisplayFrame
from .layout import Layout
from .painting import Painter
from .picking import PointIndex
from .session import Session
from .window import Window


class PointCloud:
    """The points of a session in a window.

    Args:
        window: Where they are shown.
        frame: Has them in the frame shown.
        session: Knows which of them are shown.
        painter: Knows their colours.

    Attributes:
        layout: The points as the page has them.
        page_paints: Whether the page has said that it can paint: it is told runs then.
    """

    def __init__(self, window: Window, frame: DisplayFrame, session: Session, painter: Painter) -> None:
        self._window, self._frame, self._session, self._painter = window, frame, session, painter
        self.page_paints = False
        self._has_photo = False  # whether the page holds the photographs' colours, to paint with
        self.show()
        self._painter.runs(self.layout)  # compiled before the first click, and so is the next
        self.first_met(np.zeros(3), np.ones(3))

    def show(self) -> None:
        """Show the points that are visible, in their colours."""
        self.layout = Layout(self._session.leaf_runs, self._session.visible)
        points = self._frame.points[self.layout.points]
        self._has_photo = False
        self._window.show_points(points, self._painter.colors(self.layout.points))
        self._index = PointIndex(points)

    def recolor(self) -> None:
        """Give the points other colours."""
        if len(self.layout) == 0:
            return
        runs = self._painter.runs(self.layout) if self.page_paints else None
        if runs is None:
            self._has_photo = False
            self._window.recolor(self._painter.colors(self.layout.points))
            return
        photo = None
        if self._painter.photo and not self._has_photo:
            photo = self._session.surface.colors[self.layout.points]
            self._has_photo = True
        self._window.paint(runs, self._painter.light(self.layout), photo)

    def first_met(self, origin: Any, direction: Any) -> tuple[int, float]:
        """The shown point that a ray meets, frame shown, and its distance; −1 and infinity for none.

        Raises:
            ValueError: The ray has numbers that are not finite, or no direction.
        """
        place = self._index.first_met(origin, direction, self._frame.spacing)
        if place < 0:
            return -1, np.inf
        leaf = int(self.layout.points[place])
        return leaf, float(np.linalg.norm(self._frame.points[leaf] - np.asarray(origin)))
