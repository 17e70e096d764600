"""Colours of the points that are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .kernels.points_cpu import paint
from .session import Session

BACKDROP = (24, 26, 30)
_DIM = 0.35  # of the colour of what is not selected


@dataclass
class Painter:
    """Paints a session's points.

    Attributes:
        session: What is shown.
        photo: Whether points have the colours of the photographs, or else those of their segments.
    """

    session: Session
    photo: bool = False

    def colors(self) -> np.ndarray:
        """Colours of all points [N, 3], uint8; where something is selected, all else is dimmed."""
        session, surface = self.session, self.session.surface
        lit = session.leaves_of(session.selected) if session.selected else np.ones(len(surface), bool)
        out = np.empty((len(surface), 3), np.uint8)
        paint(session.labels, session.colors, surface.colors, not self.photo, lit, _faded(), out)
        return out


def _faded() -> np.ndarray:
    """What becomes of each value of red, green and blue where a colour fades towards the backdrop [3, 256], uint8."""
    backdrop = np.array(BACKDROP, np.float32)[:, None]
    return (_DIM * np.arange(256) + (1.0 - _DIM) * backdrop).astype(np.uint8)
