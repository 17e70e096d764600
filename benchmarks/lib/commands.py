"""Commands that are run in a process of their own and measured."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def measured(command: list[str], log: Path | None = None) -> tuple[float, float, int]:
    """Peak memory in GB, seconds and exit code of a command.

    Args:
        command: The program and its arguments.
        log: File for what it says of its progress; None to show it.
    """
    start = time.perf_counter()
    with open(os.devnull if log is None else log, "w") as stream:
        said = None if log is None else stream
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak / 1e9, time.perf_counter() - start, process.returncode
