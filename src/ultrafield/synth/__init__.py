"""Datasets with exact ground truth, ray-cast from a scene graph or from the built-in still life."""

from __future__ import annotations

from .dataset import SynthConfig, synthesize

__all__ = ["SynthConfig", "synthesize"]
