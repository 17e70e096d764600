"""Wall times of whole operations, the host's share included; `timing` is for what a device does alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def measure(run: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median, fastest and slowest milliseconds of some repeats, after one run that does not count."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times), min(times), max(times)
