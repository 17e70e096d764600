"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("ULTRAFIELD_DATA", Path(__file__).parents[2] / "shared" / "data"))


def _data(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the scene {name!r}; set ULTRAFIELD_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def pickplace() -> Path:
    """A Blender-HS scene with exact ground truth (read only)."""
    return _data("pickplace")


@pytest.fixture(scope="session")
def fox() -> Path:
    """A real capture with lens distortion and missing pictures (read only)."""
    return _data("fox")
