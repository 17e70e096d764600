"""Kills at file operations and at moments, and what the next run makes of them.

Each case prepares a workspace, runs a command in a child process that is killed, runs the command again, and compares
the workspace with that of a run that nobody killed.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter

from harness import MADE_BEFORE, Case, Harness, difference, snapshot

EXPECTED = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15), signal.SIGINT: (130,)}


def campaign(harness: Harness, kills: int, seed: int) -> list[str]:
    """Kill `kills` times, in turn over all cases, before a file operation or at a moment; returns the faults."""
    draws, faults = random.Random(seed), []
    sent: Counter[str] = Counter()
    for index in range(kills):
        case = harness.cases[index % len(harness.cases)]
        number = draws.choice(list(EXPECTED))
        operation: int | None = draws.randrange(harness.operations[case.name])
        moment = draws.random() * harness.seconds[case.name]
        if index // len(harness.cases) % 2 == 0:
            number = signal.SIGKILL
        else:
            operation = None
        found = kill(harness, index, case, number, operation, moment)
        faults += found
        sent[number.name] += 1
        print("\n".join([*found, f"{index + 1} of {kills}"]), flush=True)
    print(f"signals {dict(sent)}")
    return faults


def kill(
    harness: Harness, index: int, case: Case, number: signal.Signals, operation: int | None, moment: float
) -> list[str]:
    """Kill a command before a file operation or at a moment, run it again, and compare; returns the faults."""
    space = harness.space_of(case, f"kill{index}")
    where = f"{case.name}: {number.name} at " + (f"{moment:.2f} s" if operation is None else f"operation {operation}")
    before = {name: snapshot(space / name) for name in ("scene", "other", "pictures")}
    ended, text = harness.child(case, space, number, operation, moment)
    faults = []
    if ended not in (*EXPECTED[number], 0):
        faults.append(f"{where}: ended with {ended}: {text[-300:]}")
    if "Traceback" in text or "defect" in text:
        faults.append(f"{where}: {text[-500:]}")
    again, text = harness.child(case, space)
    done = case.name == "synth" and MADE_BEFORE in text  # it had ended before the kill
    if again != 0 and not done:
        faults.append(f"{where}: the next run ended with {again}: {text[-300:]}")
    elif (state := snapshot(space)) != harness.finished[case.name]:
        faults.append(f"{where}: {difference(harness.finished[case.name], state)}")
    for name, content in before.items():
        if snapshot(space / name) != content:
            faults.append(f"{where}: {name} was changed")
    shutil.rmtree(space, ignore_errors=True)
    return faults
