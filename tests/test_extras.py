"""Optional packages: what needs them says how to install them, everything else works without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ultrafield.batch.cluster import connect
from ultrafield.errors import BackendError
from ultrafield.extras import require
from ultrafield.masks import watershed_masks
from ultrafield.synth.raycast import Raycaster
from ultrafield.synth.scene_graph import build_model
from ultrafield.synth.still_life import still_life


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """A function after whose call a package, and whatever of it was imported, cannot be imported."""

    def hide(package: str) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [_Hidden(package), *sys.meta_path])

    return hide


class _Hidden:
    """A finder for which one package is not installed."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_installed_modules_are_imported():
    assert require("numpy.linalg", "all") is np.linalg


def test_synthesis_without_embreex_names_its_extra(without):
    without("embreex")
    with pytest.raises(BackendError) as failure:
        Raycaster(build_model(still_life(), name="still-life"))
    assert str(failure.value) == 'embreex is not installed; run: pip install "ultrafield[synth]"'


def test_the_watershed_without_higra_names_its_extra(without):
    without("higra")
    with pytest.raises(BackendError) as failure:
        watershed_masks(np.zeros((20, 20, 3), np.uint8))
    assert str(failure.value) == 'higra is not installed; run: pip install "ultrafield[masks]"'


def test_a_batch_without_ray_names_its_extra(without, monkeypatch: pytest.MonkeyPatch):
    without("ray")
    monkeypatch.setattr(os, "environ", {})  # settings of Ray's are made before it is imported
    with pytest.raises(BackendError) as failure:
        connect(None)
    assert str(failure.value) == 'ray is not installed; run: pip install "ultrafield[batch]"'


def test_a_missing_package_that_an_extra_needs_is_named_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "incomplete_package.py").write_text("import something_else_that_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_else_that_is_missing"):
        require("incomplete_package", "all")


def test_every_module_can_be_imported_without_the_extras():
    code = """
import pkgutil, sys
sys.modules["embreex"] = sys.modules["higra"] = None
import ultrafield
names = [m.name for m in pkgutil.walk_packages(ultrafield.__path__, "ultrafield.") if not m.name.endswith("_gpu")]
for name in names:
    __import__(name)
print(len(names))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
