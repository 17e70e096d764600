"""SIGINT and SIGTERM of a program: one line, at once, wherever the process is; work that wants to end well is asked to.

Everything on disk is written so that a kill at any moment does no harm. A signal thus needs no unwinding: a thread of
its own removes the temporary files that are open, prints the line and ends the process, even while the main thread is
in a long call of compiled code. Only a training asks for delay, to save its state after the current step.

This module is the first that a program imports; it imports nothing heavy.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"  # progress bars hide it

_program = ""
_pending: int | None = None  # the signal that waits for the main thread to end well
_delays = 0
_cleanups: dict[int, Callable[[], None]] = {}
_forward: Callable[[int], bool] | None = None
_asked = False  # whether it was `ask` and no signal that set it
_said = _KEPT = "what is finished is kept, and the same command goes on from there"


class Interrupted(BaseException):
    """What a delayed block ends by after `ask`."""


def watch(program: str) -> None:
    """Answer SIGINT and SIGTERM from now on, for the rest of the process; to be called by the main thread."""
    global _program
    _program = program
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    keep_watching()
    signal.set_wakeup_fd(writer)  # written to by the C handler, whatever the main thread is doing
    threading.Thread(target=_answer, args=(reader,), daemon=True, name="signals").start()


def keep_watching() -> None:
    """Answer signals again, after a library has put in handlers of its own; nothing happens outside the main thread."""
    if _program and threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _nothing)


@contextmanager
def delayed() -> Iterator[Callable[[], bool]]:
    """Let a block end well after the first signal; a second one ends the process at once.

    Yields:
        A function that says whether a signal has come. The block then saves what it must and calls `leave`.
    """
    global _delays
    _delays += 1
    try:
        yield lambda: _pending is not None
    finally:
        _delays -= 1
        if _delays == 0 and _pending is not None:
            leave()


def ask() -> bool:
    """Ask the block that is `delayed` in this process to end well, as a signal would; the process goes on.

    The block ends by `Interrupted`. This is how workers of other processes are stopped.

    Returns:
        Whether there is such a block; if there is none, nothing needs to end well.
    """
    global _pending, _asked
    if _delays == 0:
        return False
    _pending, _asked = signal.SIGINT, True
    return True


def leave(text: str = "") -> None:
    """End the process because of the signal that came; `text` says what was saved."""
    if _pending is not None:
        end(_pending, text)


@contextmanager
def cleaned_up(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` if a signal ends the process within the block."""
    key = id(action)
    _cleanups[key] = action
    try:
        yield
    finally:
        del _cleanups[key]


@contextmanager
def forwarded(action: Callable[[int], bool]) -> Iterator[None]:
    """Give signals to another process that does this one's work, for the length of a block.

    Args:
        action: Passes a signal on, in a thread of its own; returns whether somebody answers it. If nobody does, it is
            answered as it would be without.
    """
    global _forward
    _forward = action
    try:
        yield
    finally:
        _forward = None


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Say, if a signal ends the process within the block, that its work is lost."""
    global _said
    _said = "nothing was written"
    try:
        yield
    finally:
        _said = _KEPT


def exit_code(number: int) -> int:
    """Exit code of a process that a signal ended: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


def fail(text: str, code: int) -> None:
    """End the process, from any thread, because of a failure that its main thread cannot come to know of."""
    _clean_up()
    _say(f"error: {text}")
    os._exit(code)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Handler of the main thread; what is to be done is done by the other one."""


def _answer(reader: int) -> None:
    global _pending
    while True:
        for number in os.read(reader, 16):
            if number not in SIGNALS:
                continue
            if _forward is not None and _forward(number):
                continue
            if _delays == 0 or _pending is not None:
                end(number, "")
            _pending = number


def end(number: int, text: str = "") -> None:
    """End the process because of a signal; `text` says what was saved."""
    global _pending, _asked
    if _asked:
        _pending, _asked = None, False
        raise Interrupted(text)
    _clean_up()
    _say(f"interrupted; {text or _said}")
    os._exit(exit_code(number))


def _clean_up() -> None:
    """Remove what is half-written."""
    for action in list(_cleanups.values()):
        with suppress(OSError):  # what is left is swept at the next start
            action()


def _say(text: str) -> None:
    cursor = _SHOW_CURSOR if os.isatty(2) else ""
    with suppress(OSError):  # nobody listens
        os.write(2, f"{cursor}{_program or 'ultrafield'}: {text}\n".encode())
