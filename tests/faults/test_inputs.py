"""A few mutated inputs of every kind; `inputs.py` runs as many as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("inputs.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
def test_mutated_inputs_end_as_they_must(tiny_scene: Path, tiny_run: Path) -> None:
    script = [sys.executable, str(SCRIPT), "--inputs", "20", "--seed", "7", "--quick"]
    script += ["--scene", str(tiny_scene), "--run", str(tiny_run)]
    done = subprocess.run(script, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 inputs, 0 failed" in done.stdout
