"""A server's worker as a process: started with an environment, spoken to over a channel."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from ..pipeline.guard import settle_threads
from .channel import Channel
from .likeness import read_once

_START = "from ultrafield.start import worker; worker()"
_LAST = 60.0  # seconds that a worker may take to save a training


@dataclass(eq=False)
class WorkerProcess:
    """A process that does jobs.

    Attributes:
        process: The process; it has a session of its own, so that Ctrl-C at the server's terminal is the server's.
        channel: Connection to it.
        environment: The variables that it was started with.
        ready: Whether it waits for a job or is at work on one.
        leaving: Exit code of a job after which it ends.
    """

    process: subprocess.Popen[bytes]
    channel: Channel
    environment: dict[str, str]
    ready: bool = False
    leaving: int | None = None

    @classmethod
    def started(cls, environment: Mapping[str, str], *, device: str, kernels: bool) -> Self:
        """Start one, which makes itself ready.

        Args:
            environment: All of its variables.
            device: What it wakes: "auto", "cpu" or "cuda".
            kernels: Whether it loads or compiles every kernel.
        """
        ours, its = socket.socketpair()
        with its:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(its.fileno())],
                env=dict(environment),
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        worker = cls(process, Channel(ours), dict(environment))
        worker.channel.send({"device": device, "kernels": kernels})
        return worker

    def changes(self, environment: Mapping[str, str]) -> list[str]:
        """Variables that cannot be changed in it and that differ in `environment`."""
        asked, ours = dict(environment), dict(self.environment)
        for variables in (asked, ours):
            settle_threads(variables)
        asked, ours = read_once(asked), read_once(ours)
        return sorted(name for name in {*asked, *ours} if asked.get(name) != ours.get(name))

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with suppress(OSError):
            self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end, and return its exit code; minus the signal's number if one has killed it."""
        self.channel.close()  # upon which it ends, a training after it has saved its state
        try:
            return self.process.wait(_LAST)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()


def end_of(code: int) -> str:
    """How a process with this exit code has ended, in words."""
    if code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"
    return f"ended with code {code}"
