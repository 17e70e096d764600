"""Training of the feature field on finished geometry."""

from __future__ import annotations

from .trainer import fit_features

__all__ = ["fit_features"]
