"""Scenes: every supported layout read into `Scene`, and ground truth where a dataset has it."""

from __future__ import annotations

from .ground_truth import load_ground_truth
from .layout import scene_root
from .load import load_scene
from .scene import Scene
from .truth import GroundTruth
from .view import Photograph, Split, View

__all__ = ["GroundTruth", "Photograph", "Scene", "Split", "View", "load_ground_truth", "load_scene", "scene_root"]
