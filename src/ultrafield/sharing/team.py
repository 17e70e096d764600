"""The processes of all GPUs, as the first one sees them."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self

from ..budget import memory
from ..errors import BackendError, UltrafieldError, first_line
from ..interruption import cleaned_up, fail
from .group import Group
from .member import Failure, Member, Setup, connect, depart, meet
from .wire import encode, receive, send, start_process

_Arguments = ParamSpec("_Arguments")

_PROGRAM = "from ultrafield.sharing.member import main; main()"
_GRACE = 3.0  # seconds in which the first process may find out by itself why another one has failed
_END = 5.0  # seconds that a process may take to end


class MemberError(UltrafieldError):
    """A process of the team has failed."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = code


class _Link:
    """A process and the wire to it."""

    def __init__(self, setup: Setup) -> None:
        self.rank = setup.rank
        self.results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        debug = os.environ.get("ULTRAFIELD_DEBUG") == "1"
        self.wire, self.process = start_process(_PROGRAM, silent=not debug)
        self._sender = ThreadPoolExecutor(1)
        self.send(setup)

    def send(self, value: Any) -> None:
        """Have an object sent in the background; whether it arrives is seen by the answer."""
        self._sender.submit(self._send, encode(value))

    def _send(self, pieces: list[memoryview]) -> None:
        with suppress(OSError):
            send(self.wire, pieces)

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self.wire.shutdown(socket.SHUT_RDWR)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END)
        self.process.kill()
        self.process.wait(_END)
        self._sender.shutdown(cancel_futures=True)
        self.wire.close()


class Team:
    """A process for each device but the first, which is this process's own.

    They start at once and end with the block, or with this process, whatever ends it.

    Args:
        devices: Where each process computes; the first is this one's.
        fail: Called with a line and an exit code, in another thread, if a process fails and this one does not come
            to know of it otherwise, as it waits for that very process; ends the program by default.
    """

    def __init__(self, devices: Sequence[str], *, fail: Callable[[str, int], object] = fail) -> None:
        self._folder, self._fail = Path(tempfile.mkdtemp(prefix="ultrafield-")), fail
        self._failure: MemberError | None = None
        self._closing = threading.Event()
        share = memory() // len(devices)
        self._setups = [
            Setup(rank, len(devices), device, self._folder / "meeting", share) for rank, device in enumerate(devices)
        ]
        self._links = [_Link(setup) for setup in self._setups[1:]]
        self._shared: list[object] = []
        self._open = 0  # calls whose results were not waited for
        for link in self._links:
            threading.Thread(target=self._watch, args=(link,), daemon=True).start()

    @property
    def size(self) -> int:
        """Number of processes, this one included."""
        return len(self._setups)

    @cached_property
    def group(self) -> Group:
        """This process's place in the team; the first call waits until all others are ready."""
        self.start_each(meet, lambda rank: (self._setups[rank],), apart=True)
        try:
            return connect(self._setups[0])
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"{self.size} GPUs cannot work together ({first_line(error)})") from None

    def has(self, value: object) -> bool:
        """Whether `remember` was called last with this very object."""
        return any(value is known for known in self._shared)

    def remember(self, value: object) -> None:
        """Note that the other processes have an object."""
        self._shared = [value]

    def start(
        self,
        function: Callable[Concatenate[Member, _Arguments], Any],
        *arguments: _Arguments.args,
        **_: _Arguments.kwargs,
    ) -> None:
        """Have all other processes call a function of a module, with themselves as its first argument."""
        self.start_each(function, lambda rank: arguments)

    def start_each(
        self, function: Callable[..., Any], arguments: Callable[[int], tuple[Any, ...]], *, apart: bool = False
    ) -> None:
        """`start` with arguments that depend on the process's rank.

        Args:
            function: A function of a module.
            arguments: What it is given after the process itself.
            apart: Whether it makes no use of its group, and need not wait until all have met.
        """
        if not apart:
            assert self.group.size == self.size  # they have met
        self._open += 1
        for link in self._links:
            link.send((function, arguments(link.rank)))

    def finish(self) -> list[Any]:
        """Wait until all calls are done; returns what the last one gave, by rank.

        Raises:
            MemberError: One of the processes has failed.
        """
        results: list[Any] = []
        for _ in range(self._open):
            results = [link.results.get() for link in self._links]
            for result in results:
                if isinstance(result, MemberError):
                    raise result
        self._open = 0
        return results

    def _watch(self, link: _Link) -> None:
        """Take a process's results until it ends."""
        try:
            while True:
                result = receive(link.wire)
                if isinstance(result, Failure):
                    self._fails(link, result)
                    return
                link.results.put(result)
        except (EOFError, OSError):
            if not self._closing.is_set():
                with suppress(subprocess.TimeoutExpired):
                    link.process.wait(_END)
                self._fails(link, Failure(f"its process has ended (exit code {link.process.returncode})", 1))

    def _fails(self, link: _Link, failure: Failure) -> None:
        error = MemberError(f"GPU {link.rank}: {failure.text}", failure.code)
        self._failure = self._failure or error
        for other in self._links:
            other.results.put(error)
        if not self._closing.wait(_GRACE):
            self._fail(str(error), failure.code)

    def close(self) -> None:
        """End all other processes."""
        self._closing.set()
        for link in self._links:
            link.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self._tidy = cleaned_up(lambda: shutil.rmtree(self._folder, ignore_errors=True))
        self._tidy.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tidy.__exit__(None, None, None)
        if isinstance(error, BackendError):
            time.sleep(0.1)  # in which another process may tell why it went
        if kind is None and "group" in vars(self):
            self.start(depart)
            depart()
            self.finish()
        self.close()
        if isinstance(error, BackendError) and self._failure is not None:
            raise self._failure from None
