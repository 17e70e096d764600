"""Handing a job to the user's server, where one runs and would do the same; imported by every `run`, hence light."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise

from ..errors import reason_of
from ..interruption import end, forwarded
from .channel import Channel, Message
from .likeness import likeness
from .place import Place, places

REFUSE = "--no-serve"
VARIABLE = "ULTRAFIELD_NO_SERVE"
_ANSWER = 10.0  # seconds
_DYING = 30.0
_MOST_SIGNALS = 2  # the second one ends a worker at once; a further one ends this process


def handed_over(arguments: Sequence[str]) -> int | None:
    """Let the user's server do a job.

    Args:
        arguments: Those of the program.

    Returns:
        The exit code of the job, None if this process has to do the work: no `run`, no server, one that would do it
        otherwise, or one that has ended. All but the first two are said on stderr.
    """
    if list(arguments[:1]) != ["run"] or _refused(arguments) or not hasattr(socket, "send_fds"):
        return None
    files = _open_files()
    if files is None:
        return None
    try:
        channel = connect()
        if channel is None:
            return None
        with closing(channel):
            if _gpus(arguments) != "1":
                raise NotServed("it works on one GPU, and --gpus asks for more")
            return _Job(channel).done(arguments, files)
    except NotServed as reason:
        _tell(f"{reason}; doing the work here")
        return None


class NotServed(Exception):
    """A server is there, or was, that does not do what it is asked; the text says why."""


def connect() -> Channel | None:
    """A channel to the user's server, None where there is none.

    Raises:
        NotServed: Nobody answers, or somebody else.
    """
    for place in places():
        if place.socket.exists():
            return _connected(place)
    return None


def _connected(place: Place) -> Channel:
    fault = place.fault()
    if fault is not None:
        raise NotServed(f"{place.folder}: {fault}")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER)
    try:
        connection.connect(str(place.socket))
    except OSError:
        connection.close()
        raise NotServed(f"nobody answers at {place.socket} (ultrafield serve --stop removes it)") from None
    connection.settimeout(None)
    channel = Channel(connection)
    if channel.peer() not in (None, os.geteuid()):
        channel.close()
        raise NotServed(f"{place.socket}: another user answers")
    return channel


def _refused(arguments: Sequence[str]) -> bool:
    given = {argument.replace("_", "-") for argument in arguments}
    return not given.isdisjoint((REFUSE, "-h", "--help")) or os.environ.get(VARIABLE, "") not in ("", "0")


def _gpus(arguments: Sequence[str]) -> str:
    """The number of GPUs that the arguments ask for."""
    words = [part for argument in arguments for part in argument.split("=", 1)]
    return next((value for flag, value in reversed(list(pairwise(words))) if flag == "--gpus"), "1")


def _open_files() -> tuple[int, int, int] | None:
    """Descriptors of stdin, stdout and stderr, None if one of them is closed."""
    try:
        for file in (0, 1, 2):
            os.fstat(file)
    except OSError:
        return None
    return 0, 1, 2


def _tell(text: str) -> None:
    with suppress(OSError, AttributeError, ValueError):
        print(f"serve: {text}", file=sys.stderr, flush=True)


@dataclass
class _Job:
    """A job that a server is asked to do.

    Attributes:
        channel: Connection to the server.
        worker: Process that is at work on it, None before it is.
        asked: Whether it has been asked.
        signals: How many were passed on.
    """

    channel: Channel
    worker: int | None = None
    asked: bool = False
    signals: int = 0

    def done(self, arguments: Sequence[str], files: tuple[int, int, int]) -> int:
        """Ask, wait for the end, and return the exit code.

        Raises:
            NotServed: The server does not do it, or not to its end; no worker is at work on it any more.
        """
        request = _request(arguments)
        with forwarded(self._interrupt):
            self.asked = True
            if not self.channel.send(request, files):
                raise NotServed("it has ended")
            while True:
                received = self.channel.receive()
                message: Message = {"lost": "the server has ended"} if received is None else received[0]
                if "refused" in message:
                    raise NotServed(message["refused"])
                if "lost" in message:
                    self._await_worker()
                    raise NotServed(message["lost"])
                if "ended" in message:
                    return int(message["ended"])
                if "withdrawn" in message:
                    end(int(message["withdrawn"]))
                if "started" in message:
                    self.worker = int(message["started"])
                if "waiting" in message:
                    _tell(f"{message['waiting']}; waiting ({REFUSE} does the work here at once)")

    def _interrupt(self, number: int) -> bool:
        """Pass a signal on, the first two; returns whether somebody answers it."""
        self.signals += 1
        return self.asked and self.signals <= _MOST_SIGNALS and self.channel.send({"signal": number})

    def _await_worker(self) -> None:
        """Wait until the worker has left what it has locked."""
        if self.worker is not None:
            _await_end(self.worker)


def _await_end(process: int) -> None:
    """Wait until a process has ended, some seconds at most."""
    if hasattr(os, "pidfd_open"):  # which tells it of processes too that nobody has waited for
        with suppress(OSError):
            watched = os.pidfd_open(process)
            select.select([watched], [], [], _DYING)
            os.close(watched)
        return
    ends = time.monotonic() + _DYING
    with suppress(OSError):
        while time.monotonic() < ends:
            os.kill(process, 0)
            time.sleep(0.02)


def _request(arguments: Sequence[str]) -> Message:
    """What a server must know."""
    umask = os.umask(0o077)
    os.umask(umask)
    try:
        folder = os.getcwd()
    except OSError as failure:
        raise NotServed(f"the working folder: {reason_of(failure)}") from None
    return {
        "ask": "run",
        "likeness": likeness(),
        "environment": dict(os.environ),
        "folder": folder,
        "umask": umask,
        "arguments": list(arguments),
    }
