"""Threads that do what the browser asks for, one thing after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Worker:
    """A thread with a queue; of waiting tasks with the same key only the last one is done.

    A slider sends more positions than can be shown: those that have been overtaken are dropped.

    Args:
        name: Name of the thread.
        failed: Told of every exception that a task raises.
        pause: Seconds that it leaves to other threads before each task.
    """

    def __init__(self, name: str, failed: Callable[[Exception], None], *, pause: float = 0.0) -> None:
        self._failed, self._pause = failed, pause
        self._waiting: dict[str, Callable[[], None]] = {}  # in the order in which they came
        self._count = 0
        self._busy = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, task: Callable[[], None], *, key: str | None = None) -> None:
        """Have a task done after all that wait, in place of one with the same key."""
        with self._changed:
            self._count += 1
            name = key or f"#{self._count}"
            self._waiting.pop(name, None)
            self._waiting[name] = task
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is left to do; returns whether that came about within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def close(self) -> None:
        """Drop what waits and end the thread after the task at hand."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
                self._busy = True
                if self._pause > 0:
                    self._changed.wait_for(lambda: self._closed, self._pause)
                if self._closed:
                    return
                task = self._waiting.pop(next(iter(self._waiting)))
            try:
                task()
            except Exception as failure:  # the thread must live on; whoever listens says what went wrong
                self._failed(failure)
