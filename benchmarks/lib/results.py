"""Results of a benchmark: printed row by row, written as JSON at the end if `--json` asks for it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ultrafield.io import write_json

from . import machine
from .times import Times


class Results:
    """Rows of a benchmark, and facts about the whole.

    Args:
        benchmark: Name of the script.
        options: Its parsed command line, with the attribute `json`.
    """

    def __init__(self, benchmark: str, options: argparse.Namespace) -> None:
        self.rows: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}
        self._benchmark, self._options = benchmark, options
        self._started = datetime.now(UTC)

    def add(self, **values: Any) -> None:
        """Keep a row: names and numbers, strings, lists or dictionaries of them; NaN becomes null."""
        self.rows.append(values)

    def add_times(self, operation: str, times: Times, **values: Any) -> None:
        """Keep a row of an operation that was timed; all in seconds."""
        seconds = {"median": times.median, "fastest": times.fastest, "slowest": times.slowest}
        self.add(operation=operation, **seconds, repeats=len(times.seconds), **values)

    def save(self) -> None:
        """Write the file that `--json` names, if it does."""
        if self._options.json is None:
            return
        content = {
            "benchmark": self._benchmark,
            "time": self._started.isoformat(timespec="seconds"),
            "options": {name: value for name, value in vars(self._options).items() if name != "json"},
            "machine": machine.describe(),
            "facts": self.facts,
            "rows": self.rows,
        }
        write_json(self._options.json, _plain(content))


def _plain(value: Any) -> Any:
    """The value in the types of JSON."""
    match value:
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
        case float():
            return value if math.isfinite(value) else None
        case Path():
            return str(value)
        case _:
            return value


def print_header(columns: Sequence[str]) -> None:
    """Print the first two lines of a Markdown table."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def print_row(cells: Sequence[str]) -> None:
    """Print a line of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)
