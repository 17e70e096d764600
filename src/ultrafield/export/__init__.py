"""Points, tree and pictures for other programs and for people."""

from __future__ import annotations

from .colors import node_colors
from .pictures import label_picture, overlay, side_by_side, write_label_picture
from .points import write_points
from .sheet import contact_sheet
from .tree_json import write_tree_json

__all__ = [
    "contact_sheet",
    "label_picture",
    "node_colors",
    "overlay",
    "side_by_side",
    "write_label_picture",
    "write_points",
    "write_tree_json",
]
