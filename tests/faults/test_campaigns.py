"""A few kills, pairs of processes, and disks; `campaigns.py` tries as many as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("campaigns.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
def test_faults_change_nothing() -> None:
    counts = {"kills": 4, "pairs": 1, "disks": 2 if _may_mount() else 0}
    command = [sys.executable, str(SCRIPT), "--seed", "3", "--cases", "masks-again", "segment"]
    command += [word for name, count in counts.items() for word in (f"--{name}", str(count))]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(", ".join(f"{count} {name}" for name, count in counts.items()) + ": 0 faults\n")


def _may_mount() -> bool:
    """Whether disks of one's own can be mounted here."""
    try:
        return subprocess.run(["unshare", "-m", "-r", "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
