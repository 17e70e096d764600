"""How far a segmentation can be trusted without ground truth."""

from __future__ import annotations

from .quality import Quality, assess

__all__ = ["Quality", "assess"]
