"""Affinity graphs over surface points, from masks lifted into 3D and from features."""

from __future__ import annotations

from .graph import build_graph, combined_graph, feature_graph, lift_graph
from .surroundings import surface_tree

__all__ = ["build_graph", "combined_graph", "feature_graph", "lift_graph", "surface_tree"]
