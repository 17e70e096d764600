"""Training of density and colour."""

from __future__ import annotations

from .poses import posed
from .trainer import fit_geometry

__all__ = ["fit_geometry", "posed"]
