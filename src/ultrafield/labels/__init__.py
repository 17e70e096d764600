"""Label maps: the cuts of a tree as every view shows them."""

from __future__ import annotations

from .stack import LabelStack, distinct_pairs
from .views import ViewLabeller, label_points, label_views, view_points

__all__ = ["LabelStack", "ViewLabeller", "distinct_pairs", "label_points", "label_views", "view_points"]
