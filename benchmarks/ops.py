"""Check every operation against a plain form of it, then time it and compare with the limits of the machine.

    python benchmarks/ops.py [--device cuda] [--only encode MLP] [--samples 262144] [--repeats 21] [--quick]
        [--json FILE]

First the machine's ceilings are measured: the bandwidth of a large copy and, on CUDA, of reads from the L2 cache; the
rates of large matrix products. Then, op by op on fresh random inputs: its outputs, whose memory holds NaN beforehand
where PyTorch allocates it, are compared with those of plain PyTorch in float64 or of the CPU's kernel. An op that
differs is reported and not timed, and the exit code is 1.

Times are medians over the repeats, with the fastest and the slowest; before each run a buffer larger than the caches is
read, so that inputs come from memory. On CUDA events time the device alone, unless the name says that the host waits.
"moved" is what must be moved: every input read once, every output written once; of a hash grid's rows all eight corners
on every level, as sectors of 32 bytes on a GPU, which the L2 cache must deliver where a level fits in it. Reads that
smaller caches save may take such a share beyond 100 %. Operations and bytes that a kernel adds to these do not count.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import cases_field
import cases_graphs
import cases_march
import cases_segment
import cases_select
import cases_training
import cases_volrend
import torch
from lib import machine
from lib.case import Case, Op, Setup, Skipped
from lib.ceilings import Ceilings, measure
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row
from lib.times import Times
from lib.timing import Stopwatch

_COLUMNS = ("operation", "size", "median", "fastest – slowest", "moved", "GB/s", "TFLOP/s", "of the ceiling", "error")


def main(arguments: list[str] | None = None) -> int:
    """Check and time; the exit code is 1 if a check failed."""
    options = _parser().parse_args(arguments)
    setup, results = _setup(options), Results("ops", options)
    stopwatch = Stopwatch(setup.device, options.repeats)
    ceilings = measure(setup.device, stopwatch, quick=setup.quick)
    results.facts = {"bandwidths": ceilings.bandwidths, "products": ceilings.products}
    print(f"{_machine(setup.device)}; {date.today()}; medians of {options.repeats}.")
    print(f"Measured ceilings: {'; '.join(ceilings.describe())}.\n", flush=True)
    print_header(_COLUMNS)
    chosen = (case for case in all_cases(setup) if _wanted(case, options.only))
    notes = [note for case in chosen if (note := report(case, stopwatch, ceilings, results)) is not None]
    print("".join(f"\n{text}" for _, text in notes))
    results.facts["not timed"] = [text for _, text in notes]
    results.save()
    return 1 if any(failed for failed, _ in notes) else 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PATTERN", help="operations whose names hold any of these"
    )
    parser.add_argument(
        "--samples",
        type=positive,
        help="rows of the field's ops (2^18 on CUDA, 2^16 on the CPU); "
        "16 times (on the CPU 4 times) as many are composited",
    )
    parser.add_argument("--repeats", type=positive, default=21)
    parser.add_argument("--quick", action="store_true", help="small inputs, for a look at whether everything works")
    return parser


def _setup(options: argparse.Namespace) -> Setup:
    """Sizes and device; raises `SystemExit` for a device that is not there."""
    cuda = options.device == "cuda"
    if cuda and not torch.cuda.is_available():
        sys.exit("--device cuda: PyTorch finds no CUDA device")
    if cuda and os.environ.get("TRITON_INTERPRET") == "1":
        sys.exit("--device cuda: TRITON_INTERPRET=1 is set, under which no kernel runs on the device; unset it")
    samples = options.samples or (1 << 12 if options.quick else 1 << 18 if cuda else 1 << 16)
    composited = samples * (1 if options.quick else 16 if cuda else 4)
    device = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
    return Setup(device, samples, composited, options.quick, triton=cuda)


def _machine(device: torch.device) -> str:
    """The machine and the versions of what the operations are built on."""
    names = ["numpy", "numba", *(["triton"] if device.type == "cuda" else [])]
    versions = [f"Python {platform.python_version()}", f"PyTorch {torch.__version__}"]
    versions += [f"{name} {machine.package_version(name)}" for name in names]
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}; {', '.join(versions)}"
    threads = f"{machine.numba_threads()} threads in numba, {torch.get_num_threads()} in PyTorch"
    return f"{machine.processor()}, {threads}; {', '.join(versions)}"


def all_cases(setup: Setup) -> Iterator[Case]:
    """Every operation that exists on the device."""
    along_rays = (cases_march, cases_volrend, cases_select)
    for kind in (cases_field, *along_rays, cases_graphs, cases_training, cases_segment):
        yield from kind.cases(setup)


def _wanted(case: Case, patterns: list[str]) -> bool:
    return not patterns or any(pattern.lower() in case.name.lower() for pattern in patterns)


def report(case: Case, stopwatch: Stopwatch, ceilings: Ceilings, results: Results) -> tuple[bool, str] | None:
    """Check, time and print one operation.

    Returns:
        None if it was timed; otherwise whether its check failed, and the reason why there is no row.
    """
    try:
        op = case.make()
        error, fault = checked(op)
        if fault is not None:
            return True, f"{case.name} ({case.size}): not timed, {fault}"
        times = stopwatch(op.run, op.prepare)
    except Skipped as reason:
        return False, f"{case.name}: skipped, {reason}"
    except Exception as problem:  # one op that cannot run must not hide the others
        traceback.print_exc()
        return True, f"{case.name} ({case.size}): not timed, {type(problem).__name__}: {problem}"
    print_row(_row(case, op, times, ceilings, error))
    results.add_times(case.name, times, size=case.size, bytes=op.bytes, flops=op.flops, error=error)
    del op
    gc.collect()  # autograd's graphs may hold one another
    return None


def checked(op: Op) -> tuple[float, str | None]:
    """Largest error of an operation's outputs, and the failed check if there is one."""
    with poisoned():
        outputs = op.run()
    worst = 0.0
    for index, check in enumerate(op.check(outputs)):
        error = check.error()
        worst = max(worst, error)
        if not error <= check.tolerance:
            return worst, f"check {index + 1} differs by {error:.2g}, allowed is {check.tolerance:.2g}"
    return worst, None


@contextmanager
def poisoned() -> Iterator[None]:
    """Let PyTorch fill newly allocated memory with NaN, or with the largest integer."""
    before, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operations that only differ in the last digits
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn)


def _row(case: Case, op: Op, times: Times, ceilings: Ceilings, error: float) -> list[str]:
    """The cells of the table."""
    bandwidth, rate = op.bytes / times.median, op.flops / times.median
    shares = [f"{bandwidth / ceilings.bandwidths[op.ceiling]:.0%} {op.ceiling}"]
    if op.flops:
        shares.append(f"{rate / ceilings.products[op.products]:.0%} {op.products}")
    return [
        case.name,
        case.size,
        _time(times.median),
        f"{_time(times.fastest)} – {_time(times.slowest)}",
        f"{op.bytes / 1e6:,.1f} MB",
        f"{bandwidth / 1e9:,.1f}",
        f"{rate / 1e12:,.2f}" if op.flops else "–",
        ", ".join(shares),
        f"{error:.1g}" if error else "none",
    ]


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms" if seconds >= 0.01 else f"{seconds * 1e6:,.0f} µs"


if __name__ == "__main__":
    sys.exit(main())
