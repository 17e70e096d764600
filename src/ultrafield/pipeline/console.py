"""Printing of commands: stages with their seconds on stderr, results on stdout."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..budget import release_memory
from ..progress import track
from .memory import peak_memory

_Item = TypeVar("_Item")


@dataclass
class Report:
    """Prints a command's progress and keeps the seconds of its stages.

    Attributes:
        notes: Console for progress and remarks (stderr).
        results: Console for what the command was asked for (stdout).
        seconds: Wall time of each finished stage; one within another is named OUTER/INNER.
        peaks: Most bytes of memory that the process had held by the end of each stage, where the system tells.
    """

    notes: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    results: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    seconds: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)  # the stages that are under way, outermost first

    @classmethod
    def silent(cls) -> Self:
        """A report that prints nothing and only keeps seconds."""
        return cls(Console(quiet=True), Console(quiet=True))

    def note(self, text: str) -> None:
        """Print a remark; square brackets in it are text, not markup."""
        self.notes.print(text, markup=False)

    def result(self, text: str = "") -> None:
        """Print a line of the result."""
        self.results.print(text, markup=False)

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Print a table; the first column is a name, the others are numbers."""
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self.results.print()
        self.results.print(table)

    def track(self, items: Iterable[_Item], total: int, name: str) -> Iterator[_Item]:
        """Go through `items` with a progress bar where stderr is a terminal."""
        return track(items, name, total, console=self.notes)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and print its seconds when it has ended without an error."""
        self.note(f"{name} …")
        start = time.perf_counter()
        self._open.append(name)
        path = "/".join(self._open)
        try:
            yield
        finally:
            self._open.pop()
            release_memory()
        self.seconds[path] = self.seconds.get(path, 0.0) + time.perf_counter() - start
        held = peak_memory()["host"]
        if held is not None:
            self.peaks[path] = held
        self.note(f"{name}: {self.seconds[path]:.1f} s")


def figure(value: float | None, digits: int = 3) -> str:
    """A number for a table; a dash for one that could not be computed."""
    return "–" if value is None else f"{value:.{digits}f}"
