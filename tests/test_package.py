"""The public face: every name is there, stays what it is, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ultrafield


@pytest.mark.parametrize("name", sorted(set(ultrafield.__all__) - {"__version__"}))
def test_every_public_name_is_a_class_or_a_function_however_often_it_is_asked_for(name):
    first, second = getattr(ultrafield, name), getattr(ultrafield, name)
    assert first is second
    assert callable(first)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ultrafield.nothing


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, ultrafield; print([m for m in ('torch', 'numba', 'cv2', 'scipy', 'higra') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
