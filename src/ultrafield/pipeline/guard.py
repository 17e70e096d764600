"""Every way a command can end, as one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress

from ..errors import UltrafieldError, reason_of
from ..interruption import exit_code
from ..parallel import check_threads, respect_quota

INPUT_ERROR = 2
FAILURE = 1


def guarded(program: str, action: Callable[[], None]) -> int:
    """Run `action`; report what it raises as `program: error: …` instead of a traceback.

    Args:
        program: Name the line begins with.
        action: The command.

    Returns:
        The exit code: 0, 2 for input that cannot be used, 130 for Ctrl-C, 1 for every other failure.

    With ULTRAFIELD_DEBUG=1 in the environment, exceptions pass through.
    """
    settle_threads()
    settle_streams()
    try:
        check_threads()
        action()
        if sys.stdout is not None:
            sys.stdout.flush()  # a full device says so only now
        return 0
    except KeyboardInterrupt:  # in a process of its own, signals are answered before they become exceptions
        line, code = "interrupted", exit_code(signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output has gone (`ultrafield eval RUN | head`). What Python still wants to flush at exit
        # must go somewhere, or it complains after all.
        _discard_output()
        return FAILURE
    except Exception as error:
        if os.environ.get("ULTRAFIELD_DEBUG") == "1":
            raise
        text, code = explain(error)
        line = f"error: {text}"
    with suppress(OSError):
        print(f"{program}: {line}", file=sys.stderr)
    return code


def settle_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Say how threads are to behave, in variables of this process or another, before what starts them is imported."""
    # OpenMP threads (PyTorch's, Numba's) that spin while they wait take the CPU from those they wait for as soon as
    # anything else runs on the machine: training was measured to take four times as long. Read when OpenMP is loaded,
    # which is later, with the first heavy import.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    respect_quota(environment)


def settle_streams() -> None:
    """Print what the encoding of stdout or stderr lacks (names, lines of tables) as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):  # it is closed or detached
                stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Let what Python still wants to write to stdout go nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: Exception) -> tuple[str, int]:
    """The line for one exception and the exit code that goes with it."""
    if isinstance(error, UltrafieldError):
        return _escaped(error.for_command_line()), error.exit_code
    if isinstance(error, OSError):
        return _explain_os_error(error), FAILURE
    if isinstance(error, MemoryError):
        return f"out of memory ({_one_line(error) or 'no details'}); try --preset draft or a smaller --width", FAILURE
    # torch.OutOfMemoryError and CUDA's own wording are told by their text, as torch may never have been imported.
    if isinstance(error, RuntimeError) and "out of memory" in str(error).lower():
        return f"the device is out of memory ({_one_line(error)}); try --preset draft or --device cpu", FAILURE
    what = f"{type(error).__name__}: {_one_line(error)}"
    return f"{what} (a defect of ultrafield; ULTRAFIELD_DEBUG=1 shows where)", FAILURE


def _explain_os_error(error: OSError) -> str:
    reason = _first_line(reason_of(error))
    return reason if error.filename is None else f"{reason}: {os.fsdecode(error.filename)}"


def _one_line(error: Exception) -> str:
    """The first line of an error's text; libraries append stack-like detail below it."""
    return _first_line(str(error))


def _escaped(text: str) -> str:
    """The text on one line; names of files may hold line ends."""
    return text.replace("\n", "\\n").replace("\r", "\\r")


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""
