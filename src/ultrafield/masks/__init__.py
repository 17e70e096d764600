"""2D masks of one view: packed sets with their hierarchy, the published files, and a weight-free segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .hierarchy import build_mask_set, mask_chains
from .mask_set import MaskSet
from .read import check_writable, find_masks, find_work, mask_files, read_mask_files, read_masks, write_masks

if TYPE_CHECKING:
    from .watershed import watershed_masks

__all__ = [
    "MaskSet",
    "build_mask_set",
    "check_writable",
    "find_masks",
    "find_work",
    "mask_chains",
    "mask_files",
    "read_mask_files",
    "read_masks",
    "watershed_masks",
    "write_masks",
]


def __getattr__(name: str) -> Any:
    """Import the segmenter only when it is asked for: it needs higra, the readers do not."""
    if name == "watershed_masks":
        from .watershed import watershed_masks

        return watershed_masks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
