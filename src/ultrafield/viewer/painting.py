"""Colours of the points that are shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .kernels.points_cpu import paint
from .layout import Layout
from .session import Session

BACKDROP = (24, 26, 30)
_DIM = 0.35  # of the colour of what is not selected
AS_GIVEN = np.array([[0.0, 0.0, 1.0]], np.float32)  # of runs: all points in the colours that the page was given
ALL_BRIGHT = np.array([[1.0, 0.0, 0.0]], np.float32)  # of light: nothing is dimmed
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
    _runs: tuple[tuple[object, ...], np.ndarray] | None = field(default=None, repr=False)

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
        """The undimmed colours of all points that are shown as runs of one colour, for the page to paint.

        Args:
            layout: The points as the page has them.

        Returns:
            [R, 3], float32: where a run begins, its colour (red + 256 green + 65,536 blue), and 1 where points have the
            colours of the photographs instead, else 0. None if the runs would take more than the colours do.
        """
        if self.photo:
            return AS_GIVEN
        session = self.session
        key = (session.structure, session.cuts, layout)
        if self._runs is None or self._runs[0] != key:
            segments = session.segments_along
            begins, ends = layout.spans(segments)
            shown = begins < ends
            colors = _packed(session.colors[segments[shown]])
            self._runs = (key, np.stack([begins[shown], colors, np.zeros(len(colors))], axis=1).astype(np.float32))
        runs = self._runs[1]
        return runs if len(runs) * _SHORTEST <= len(layout) else None

    def light(self, layout: Layout) -> np.ndarray:
        """What of the points stays bright as the rest is dimmed, for the page to paint.

        Args:
            layout: The points as the page has them.

        Returns:
            [1 + S, 3], float32: the part of their colour that dimmed points keep, the colour that takes its place, and
            whether anything is dimmed; then where each bright run begins and ends, ascending, and 0.
        """
        if not self.session.selected:
            return ALL_BRIGHT
        nodes = np.array([self.session.node(node) for node in self.session.selected], np.int64)
        spans = np.stack(layout.spans(nodes), axis=1)
        spans = spans[np.lexsort((-spans[:, 1], spans[:, 0]))]
        inner = np.zeros(len(spans), bool)  # nodes within others
        inner[1:] = spans[1:, 1] <= np.maximum.accumulate(spans[:, 1])[:-1]
        spans = spans[~inner & (spans[:, 0] < spans[:, 1])]
        head = np.array([[_DIM, _packed(np.array([BACKDROP]))[0], 1]])
        return np.concatenate([head, np.pad(spans, ((0, 0), (0, 1)))]).astype(np.float32)


def _packed(colors: np.ndarray) -> np.ndarray:
    """Colours [K, 3], uint8, as numbers that float32 holds exactly [K], int64."""
    packed: np.ndarray = colors.astype(np.int64) @ (1 << np.array([0, 8, 16]))
    return packed


def _faded() -> np.ndarray:
    """What becomes of each value of red, green and blue where a colour fades towards the backdrop [3, 256], uint8."""
    backdrop = np.array(BACKDROP, np.float32)[:, None]
    return (_DIM * np.arange(256) + (1.0 - _DIM) * backdrop).astype(np.uint8)
