"""A few dozen command lines drawn at random; `command_lines.py` draws as many as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("command_lines.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
def test_command_lines_end_as_they_must(tiny_scene: Path, tiny_run: Path) -> None:
    script = [sys.executable, str(SCRIPT), "--count", "28", "--seed", "7"]
    script += ["--scene", str(tiny_scene), "--run", str(tiny_run)]
    done = subprocess.run(script, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("28 command lines, 0 failed")
