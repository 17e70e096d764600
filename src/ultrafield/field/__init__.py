"""Radiance and feature fields: hash grids, occupancy, volume rendering."""

from __future__ import annotations

from .model import FeatureField, RadianceField
from .render import point_features, render_view

__all__ = ["FeatureField", "RadianceField", "point_features", "render_view"]
