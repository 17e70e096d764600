"""CPU seconds of what a run does besides training, rendering and growing the tree: of all threads, and of the main one.

    python benchmarks/host.py RUN [--repeats 3] [--json FILE]

RUN is a finished run folder of a scene that is still there; it is copied first, and the copy is written to. On a host
with many cores the seconds of all threads shrink; those of the main thread remain, and what other threads do while they
hold the interpreter's lock. The first repeat loads modules and kernels and is left out of the medians.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
from lib import machine
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row
from rich.console import Console

from ultrafield.export.colors import node_colors
from ultrafield.export.report import report_html
from ultrafield.pipeline.console import Report
from ultrafield.pipeline.edits import by_id, read_edits
from ultrafield.pipeline.evaluate import can_evaluate, evaluate
from ultrafield.pipeline.folder import RunFolder
from ultrafield.pipeline.job import Job, reopen_job
from ultrafield.pipeline.report import report_content
from ultrafield.pipeline.segment import _cuts, _label, _quality
from ultrafield.pipeline.sheet import write_contact_sheet

Clock = Callable[[str, Callable[[], Any]], Any]


def main() -> int:
    """Time and print."""
    parser = parser_of(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeats", type=positive, default=3)
    options = parser.parse_args()
    results, seconds = Results("host", options), dict[str, list[tuple[float, float]]]()

    def clock(name: str, call: Callable[[], Any]) -> Any:
        begin = time.process_time(), time.thread_time()
        value = call()
        seconds.setdefault(name, []).append((time.process_time() - begin[0], time.thread_time() - begin[1]))
        return value

    with tempfile.TemporaryDirectory(prefix="ultrafield-") as folder:
        run = RunFolder(copytree(options.run, Path(folder) / "run"))
        for _ in range(options.repeats + 1):
            once(run, clock)
    print(f"{machine.processor()}, {machine.cores()} cores")
    print_header(["CPU seconds", "first", "all threads", "main thread"])
    for name, pairs in seconds.items():
        whole, alone = np.median(np.array(pairs[1:]), axis=0).tolist()
        print_row([name, *(f"{value:.2f}" for value in (pairs[0][0], whole, alone))])
        results.add(name=name, first=pairs[0][0], all_threads=whole, main_thread=alone)
    results.save()
    return 0


def once(run: RunFolder, clock: Clock) -> None:
    """All parts once."""
    job: Job = clock("load", lambda: reopen_job(run, device="cpu", report=Report(notes=Console(quiet=True))))
    surface, tree = run.read_surface(), run.read_tree()
    cuts = clock("cuts", lambda: _cuts(surface, read_edits(run, tree), job.config))
    colors = clock("colours", lambda: by_id(node_colors(cuts.tree), cuts.ids))
    clock("labels", lambda: _label(job, cuts, colors, device="cpu"))
    clock("contact sheet", lambda: write_contact_sheet(run, job.scene, colors))
    clock("quality report", lambda: _quality(job, cuts))
    if can_evaluate(job.scene):
        with run.owned():
            clock("eval", lambda: evaluate(job))
    clock("report", lambda: report_html(report_content(job)))


if __name__ == "__main__":
    sys.exit(main())
