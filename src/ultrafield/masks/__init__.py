"""2D masks of one view: packed sets with their hierarchy, mask files of many kinds, and a weight-free segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .folder import MaskFolder
from .hierarchy import build_mask_set, mask_chains, resized_mask_set
from .journal import MaskJournal
from .mask_set import MaskSet
from .read import find_masks, mask_files, mask_size, read_mask_files, read_masks
from .report import check_matches, warn_of_skipped
from .write import check_writable, write_masks

if TYPE_CHECKING:
    from .watershed import watershed_masks

__all__ = [
    "MaskFolder",
    "MaskJournal",
    "MaskSet",
    "build_mask_set",
    "check_matches",
    "check_writable",
    "find_masks",
    "mask_chains",
    "mask_files",
    "mask_size",
    "read_mask_files",
    "read_masks",
    "resized_mask_set",
    "warn_of_skipped",
    "watershed_masks",
    "write_masks",
]


if not TYPE_CHECKING:  # type checkers would take every name for a public one

    def __getattr__(name: str) -> Any:
        """Import the segmenter only when it is asked for: it needs higra, the readers do not."""
        if name == "watershed_masks":
            from .watershed import watershed_masks

            return watershed_masks
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
