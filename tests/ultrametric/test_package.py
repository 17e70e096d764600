"""The package as a whole: its examples run, and trees need no PyTorch."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module

import pytest

import ultrafield.ultrametric

MODULES = (
    "boruvka",
    "edits",
    "evidence",
    "flat",
    "linkage",
    "losses",
    "minimax",
    "partition",
    "similarity",
    "tree",
)


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in MODULES)])
def test_examples(module):
    result = doctest.testmod(import_module("ultrafield.ultrametric" + module))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_public_name_exists():
    for name in ultrafield.ultrametric.__all__:
        assert callable(getattr(ultrafield.ultrametric, name)), name
    with pytest.raises(AttributeError, match=r"module 'ultrafield.ultrametric' has no attribute 'prim'"):
        ultrafield.ultrametric.prim  # noqa: B018


def test_importing_stays_light():
    code = "import sys, ultrafield.ultrametric; print(sorted({'torch', 'numba', 'scipy', 'higra'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
