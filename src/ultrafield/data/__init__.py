"""Scenes: every supported layout read into `Scene`, ground truth, and scenes made up for tests and demos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .ground_truth import load_ground_truth
from .load import load_scene

if TYPE_CHECKING:
    from .synthetic import SynthConfig, synthesize

__all__ = ["SynthConfig", "load_ground_truth", "load_scene", "synthesize"]


def __getattr__(name: str) -> Any:
    """Import the synthesis only when it is asked for: it needs trimesh, the readers do not."""
    if name in ("SynthConfig", "synthesize"):
        from . import synthetic

        return getattr(synthetic, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
