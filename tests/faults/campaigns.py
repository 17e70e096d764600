"""Kills, pairs of processes, and full or read-only disks, as many as asked for.

python tests/faults/campaigns.py --kills 1000 --pairs 20 --disks 40 --workers 2
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import disks
import kills
import pairs
from harness import CASES, Harness

CAMPAIGNS = {"kills": kills.campaign, "pairs": pairs.campaign, "disks": disks.campaign}


def main() -> int:
    """Try what is asked for and print what went wrong; the exit code is 0 if nothing did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in CAMPAIGNS:
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", nargs="*", default=[], choices=list(CASES))
    options = parser.parse_args()
    counts = {name: getattr(options, name) for name in CAMPAIGNS}
    if options.workers > 1:
        return _in_processes(counts, options.workers, options.seed, options.cases)
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder), options.cases)
        for name, count in counts.items():
            faults += CAMPAIGNS[name](harness, count, options.seed)
    print(", ".join(f"{count} {name}" for name, count in counts.items()) + f": {len(faults)} faults", flush=True)
    return 1 if faults else 0


def _in_processes(counts: dict[str, int], workers: int, seed: int, cases: list[str]) -> int:
    """Share the work among processes, each with a seed of its own."""
    command = [sys.executable, __file__, *(["--cases", *cases] if cases else [])]
    for name, count in counts.items():
        command += [f"--{name}", str(-(-count // workers))]
    processes = [subprocess.Popen([*command, "--seed", str(seed * workers + index)]) for index in range(workers)]
    return max(process.wait() for process in processes)


if __name__ == "__main__":
    sys.exit(main())
