"""What the tests of several commands begin with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def bare(tiny_scene: Path, tmp_path: Path) -> Path:
    """A copy of the training pictures and cameras alone."""
    shutil.copytree(tiny_scene / "train", tmp_path / "bare/train")
    shutil.copyfile(tiny_scene / "transforms_train.json", tmp_path / "bare/transforms_train.json")
    return tmp_path / "bare"
