"""Training of density and colour from pictures."""

from __future__ import annotations

from .poses import posed

__all__ = ["posed"]
