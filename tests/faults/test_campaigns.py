"""A few kills, pairs of processes, and disks; the scripts of this folder try as many as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")


@pytest.mark.parametrize(
    ("script", "count", "cases"),
    [
        ("kills", 18, ("masks", "masks-again", "synth", "segment")),
        ("pairs", 4, ("masks", "segment")),
        ("disks", 10, ("masks", "segment")),
    ],
)
def test_faults_change_nothing(script: str, count: int, cases: tuple[str, ...]) -> None:
    if (
        script == "disks"
        and subprocess.run(["unshare", "-m", "-r", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount disks of its own")
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--count", str(count), "--seed", "3", "--cases", *cases]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{count} {script}, 0 faults\n")
