"""Cameras for photographs and videos, and scene folders from other programs' models."""

from __future__ import annotations

from .importing import import_scene
from .settings import ImportConfig
from .target import Outcome

__all__ = ["ImportConfig", "Outcome", "import_scene"]
