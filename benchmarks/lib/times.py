"""Times of repeated runs, and wall times: all that a caller waits for, the host's share included."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Times of the repeats of a run.

    Attributes:
        seconds: One number per repeat.
    """

    seconds: list[float]

    @property
    def median(self) -> float:
        """Median, seconds."""
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        """Shortest, seconds."""
        return min(self.seconds)

    @property
    def slowest(self) -> float:
        """Longest, seconds."""
        return max(self.seconds)

    def milliseconds(self) -> str:
        """Median, shortest and longest time in milliseconds, as aligned columns."""
        return f"{self.median * 1e3:10.1f} {self.fastest * 1e3:9.1f} {self.slowest * 1e3:9.1f}"


def wall(run: Callable[[], object], repeats: int) -> Times:
    """Wall times of `repeats` runs, the host's share included, after one run that does not count."""
    run()
    return Times([wall_once(run) for _ in range(repeats)])


def wall_once(run: Callable[[], object]) -> float:
    """Wall time of one run, seconds."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
