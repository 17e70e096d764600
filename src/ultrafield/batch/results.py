"""The folder of all runs: who owns it, what earlier batches left there, and what this one adds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from ..errors import SceneError
from ..owner import owned
from .outcome import Outcome
from .page import check_page, write_page
from .storage import local_path
from .table import read_table, write_table

_PAUSE = 5.0  # seconds between two writings of table and page


class Results:
    """Outcomes of this batch, and of earlier ones into the same folder.

    Args:
        out: Folder of the runs, a path or a URL.

    Raises:
        RunError: What lies there is no result of this program, or of another version.
    """

    def __init__(self, out: str) -> None:
        self._out, self._written = out, time.monotonic()
        self._outcomes: dict[str, Outcome] = {}
        local = local_path(out)
        if local is not None and local.exists() and not local.is_dir():
            raise SceneError(f"{out}: exists and is not a folder")
        self._read()

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own the folder for the length of a block, and write table and page at its end, however it ends.

        What earlier batches left is read anew: one may have ended since it was read first.
        """
        local = local_path(self._out)
        with nullcontext() if local is None else owned(local), self._written_at_end():
            yield

    def _read(self) -> None:
        self._outcomes = {outcome.name: outcome for outcome in read_table(self._out)}
        check_page(self._out)

    @contextmanager
    def _written_at_end(self) -> Iterator[None]:
        self._read()
        try:
            yield
        finally:
            self.write()

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; that of a scene that was done before keeps when, where and how long that was."""
        earlier = self._outcomes.get(outcome.name)
        if outcome.state == "kept" and earlier is not None and earlier.state != "failed":
            outcome = replace(outcome, node=earlier.node, seconds=earlier.seconds, finished=earlier.finished)
        self._outcomes[outcome.name] = outcome
        if time.monotonic() - self._written > _PAUSE:
            self.write()

    def write(self) -> None:
        """Write table and page, unless there is nothing to write."""
        self._written = time.monotonic()
        if not self._outcomes:
            return
        outcomes = [self._outcomes[name] for name in sorted(self._outcomes)]
        write_table(self._out, outcomes)
        write_page(self._out, outcomes)
