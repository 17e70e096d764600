"""One owner of a folder at a time: a lock that ends with its process, and a line that names who holds it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import UltrafieldError
from .interruption import cleaned_up

LOCK_NAME = ".ultrafield.lock"
_MODE = 0o644
_SIGNED_WITHIN = 0.5  # seconds


class BusyError(UltrafieldError):
    """Another process is at work on the folder."""


@contextmanager
def owned(folder: Path, *, lock: Path | None = None, wait: float = 0.0) -> Iterator[bool]:
    """Own a folder for the length of a block.

    The lock is the operating system's (`flock`, or its counterpart on Windows), so that of a process that has died ends
    by itself; its file tells who holds it and is removed at the end.

    Args:
        folder: The folder, for messages; it is made if the lock lies in it.
        lock: The lock file; one within the folder by default.
        wait: Seconds to wait for another owner to end.

    Yields:
        Whether the block is the outermost one of this thread on the folder.

    Raises:
        BusyError: Another process, or another thread of this one, owns it.
    """
    file = folder / LOCK_NAME if lock is None else lock
    file.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(file, timeout=0, mode=_MODE, is_singleton=True)
    try:
        held.acquire(timeout=wait)
    except Timeout:
        raise BusyError(f"{folder}: in use by {_holder(file)}; wait for it to end, or stop it") from None
    outermost = held.lock_counter == 1
    try:
        with cleaned_up(lambda: file.unlink(missing_ok=True)):
            if outermost:
                _sign(file)
            yield outermost
    finally:
        if outermost:
            _remove(file)
        held.release()


def _sign(file: Path) -> None:
    """Write who holds the lock into its file."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]).strip()
    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": time.time(), "command": command}
    with suppress(OSError):  # a full disk; the lock holds without it
        file.write_text(json.dumps(holder))


def _remove(file: Path) -> None:
    """Remove the file of a lock that is held: who opened it in between finds that it is gone, and tries anew."""
    with suppress(OSError):
        file.unlink()


def _holder(file: Path) -> str:
    """Who holds the lock; the holder signs its file just after it has the lock."""
    ends = time.monotonic() + _SIGNED_WITHIN
    while True:
        try:
            holder = json.loads(file.read_text())
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(holder["since"])))
            return f"process {int(holder['process'])} on {holder['host']} ({holder['command']}) since {since}"
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            if time.monotonic() > ends:
                return "another process"
            time.sleep(0.01)
