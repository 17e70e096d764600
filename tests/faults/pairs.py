"""Two processes on one folder: one does the work, the other says who has the folder, and nothing is mixed.

python tests/faults/pairs.py --count 20
"""

from __future__ import annotations

import random
import re
import shutil
import time

from harness import MADE_BEFORE, Case, Harness, difference, snapshot

BUSY = re.compile(r"error: .*: in use by .*process \d+.*since", re.MULTILINE)


def campaign(harness: Harness, pairs: int, seed: int) -> list[str]:
    """Start a command twice on one workspace `pairs` times, a random moment apart; returns the faults."""
    draws, faults = random.Random(seed), []
    for index in range(pairs):
        case = harness.cases[index % len(harness.cases)]
        found = pair(harness, index, case, draws.random() * harness.seconds[case.name] / 2)
        faults += found
        print("\n".join([*found, f"{index + 1} of {pairs}"]), flush=True)
    return faults


def pair(harness: Harness, index: int, case: Case, apart: float) -> list[str]:
    """Start a command twice, `apart` seconds apart, then once more; returns what is wrong with the outcome."""
    space, where = harness.space_of(case, f"pair{index}"), f"{case.name}, {apart:.2f} s apart"
    first = harness.start(case, space)
    time.sleep(apart)
    second = harness.start(case, space)
    ends = [harness.wait(process) for process in (second, first)]
    faults = [f"{where}: {code}: {text[-500:]}" for code, text in ends if not _fine(code, text)]
    if all(code != 0 for code, _ in ends):
        faults.append(f"{where}: neither did the work: {ends}")
    if (state := snapshot(space)) != harness.finished[case.name]:
        faults.append(f"{where}: {difference(harness.finished[case.name], state)}")
    shutil.rmtree(space, ignore_errors=True)
    return faults


def _fine(code: int, text: str) -> bool:
    """Whether a process did the work, found it done, or said who does it."""
    if "Traceback" in text or "defect" in text:
        return False
    return code == 0 or (code == 1 and BUSY.search(text) is not None) or (code == 2 and MADE_BEFORE in text)
