"""From depth maps and evidence to a tree's cuts: surface, graph, levels, and labels of views."""

from __future__ import annotations

from .graph import build_graph
from .levels import levels, spread_cuts
from .surface import extract_surface, surface_from_views
from .views import ViewLabeller, label_points, label_views, view_points

__all__ = [
    "ViewLabeller",
    "build_graph",
    "extract_surface",
    "label_points",
    "label_views",
    "levels",
    "spread_cuts",
    "surface_from_views",
    "view_points",
]
