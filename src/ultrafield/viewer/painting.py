"""Colours of the points that are shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .kernels.points_cpu import paint, painted_runs
from .layout import Layout
from .session import Session

BACKDROP = (24, 26, 30)
_DIM = 0.35  # of the colour of what is not selected
_SHORTEST = 4  # points of a run, on average: with shorter ones the colours themselves are no larger


@dataclass
class Painter:
    """Paints a session's points.

    Attributes:
        session: What is shown.
        photo: Whether points have the colours of the photographs, or else those of their segments.
    """

    session: Session
    photo: bool = False
    _segments: tuple[tuple[object, ...], np.ndarray, np.ndarray] | None = field(default=None, repr=False)

    def colors(self, points: np.ndarray) -> np.ndarray:
        """Colours of some points [n, 3], uint8; where something is selected, all else is dimmed.

        Args:
            points: Which [n], integers.
        """
        session, surface = self.session, self.session.surface
        lit = session.leaves_of(session.selected) if session.selected else np.ones(len(surface), bool)
        out = np.empty((len(points), 3), np.uint8)
        paint(points, session.labels, session.colors, surface.colors, not self.photo, lit, _faded(), out)
        return out

    def runs(self, layout: Layout) -> np.ndarray | None:
        """The colours of all points that are shown as runs that are painted alike, for the page to paint.

        Args:
            layout: The points as the page has them.

        Returns:
            [R, 3], float32: where a run begins, a colour (red + 256 green + 65,536 blue), and the share, 0 … 1, of the
            photograph's colours, the rest being that colour. None if the runs would take more than the colours do.
        """
        begins, colors = self._segment_runs(layout)
        selected = np.array([self.session.node(node) for node in self.session.selected], np.int64)
        if (len(begins) + 2 * len(selected)) * _SHORTEST > len(layout):
            return None
        spans, backdrop = np.stack(layout.spans(selected), axis=1), np.array(BACKDROP, np.uint8)
        share = 1.0 if self.photo else 0.0
        runs: np.ndarray = painted_runs(begins, colors, len(layout), spans, _faded(), share, backdrop, _DIM)
        return runs

    def _segment_runs(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Where segments begin [K], ascending, and their colours [K, 3]; one run if their colours are not shown."""
        session = self.session
        if self.photo:
            return np.zeros(min(1, len(layout)), np.int64), np.zeros((1, 3), np.uint8)
        key = (session.structure, session.cuts, layout)
        if self._segments is None or self._segments[0] != key:
            segments = session.segments_along
            begins, ends = layout.spans(segments)
            shown = begins < ends
            self._segments = (key, begins[shown], session.colors[segments[shown]])
        return self._segments[1:]


def _faded() -> np.ndarray:
    """What becomes of each value of red, green and blue where a colour fades towards the backdrop [3, 256], uint8."""
    backdrop = np.array(BACKDROP, np.float32)[:, None]
    return (_DIM * np.arange(256) + (1.0 - _DIM) * backdrop).astype(np.uint8)
