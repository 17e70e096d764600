"""A server's worker: one job after the other in one process, each as a process of its own would do it."""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from ..pipeline.memory import give_back_memory
from .channel import Channel, Message, close_all
from .likeness import likeness

_FILES = (0, 1, 2)

Received = tuple[Message, list[int]] | None


class Worker:
    """Does jobs that come over a channel, and ends with it.

    Args:
        channel: Connection to the server.
        program: Takes the arguments of a job and returns its exit code.
    """

    def __init__(self, channel: Channel, program: Callable[[Sequence[str]], int]) -> None:
        self._channel, self._program = channel, program
        self._received: queue.Queue[Received] = queue.Queue()
        self._working = False

    def work(self, prepare: Callable[[Any, bool], None]) -> None:
        """Do jobs until the server has gone.

        Args:
            prepare: Imports and compiles what jobs need; takes the device, and whether to load all kernels.
        """
        setup = self._channel.receive()
        if setup is None:
            return
        self._working = True
        threading.Thread(target=self._listen, daemon=True, name="server").start()
        own = [os.dup(file) for file in _FILES]
        program = likeness()["program"]
        prepare(setup[0]["device"], bool(setup[0]["kernels"]))
        give_back_memory()
        self._working = False
        self._channel.send({"program": program})
        while (received := self._received.get()) is not None:
            threads = set(threading.enumerate())
            code = self._do(*received)
            left = set(threading.enumerate()) - threads
            leaving = code not in (0, 2) or (code == 2 and bool(left))
            _put_files(own)
            self._channel.send({"ended": code, "leaving": leaving})
            if leaving:  # what is left of the job might disturb the next one
                os._exit(code)
            give_back_memory()

    def _listen(self) -> None:
        """Hear the server in a thread; when it has gone, a job that is under way is ended as by a signal."""
        while (received := self._channel.receive()) is not None:
            self._received.put(received)
        if self._working:
            os.kill(os.getpid(), signal.SIGTERM)
        self._received.put(None)

    def _do(self, job: Message, files: list[int]) -> int:
        """Do a job with the files, the folder, the variables and the umask of the process that was asked for it."""
        self._working = True
        _put_files(files)
        close_all(files)
        os.environ.clear()
        os.environ.update(job["environment"])
        os.umask(job["umask"])
        arguments = job["arguments"]
        sys.argv[1:] = arguments
        try:
            os.chdir(job["folder"])
            with warnings.catch_warnings():  # each is shown once in a job
                return self._program(arguments)
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os.chdir("/")
            self._working = False


def work(descriptor: int, program: Callable[[Sequence[str]], int], prepare: Callable[[Any, bool], None]) -> int:
    """Be the worker at the other end of a descriptor; arguments are those of `Worker`."""
    os.set_inheritable(descriptor, False)
    channel = Channel(socket.socket(fileno=descriptor))
    Worker(channel, program).work(prepare)
    return 0


def _put_files(files: Sequence[int]) -> None:
    """Make files stdin, stdout and stderr, also for what has none of Python's streams."""
    for file, place in zip(files, _FILES, strict=True):
        os.dup2(file, place)
    sys.stdout = _stream(1, sys.stdout, lines=os.isatty(1))
    sys.stderr = _stream(2, sys.stderr, lines=True)


def _stream(file: int, like: TextIO, *, lines: bool) -> TextIO:
    """A text stream to a descriptor, encoded like another one."""
    return open(file, "w", buffering=1 if lines else -1, encoding=like.encoding, errors=like.errors, closefd=False)
