"""Cameras for photographs and videos, and scene folders from other programs' models."""

from __future__ import annotations

from .importing import import_scene
from .settings import ImportConfig

__all__ = ["ImportConfig", "import_scene"]
