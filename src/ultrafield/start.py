"""Starting a program: signals are answered from the first moment on, before anything heavy is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from .interruption import watch


def program() -> NoReturn:
    """The `ultrafield` program; a server of the user's may do its job."""
    watch("ultrafield")
    from .serve.client import handed_over

    code = handed_over(sys.argv[1:])
    _end(_call("ultrafield.cli", "main") if code is None else code)


def worker() -> NoReturn:
    """A worker of `ultrafield serve`, which gives it the number of a connection."""
    start("ultrafield", "ultrafield.cli", "work_for_server")


def start(name: str, module: str, function: str) -> NoReturn:
    """Run a program as a process of its own.

    It ends at once: taking apart what PyTorch, numba and CUDA have set up costs up to a second and changes nothing.

    Args:
        name: Name of the program in its messages.
        module: Module that is imported only now.
        function: Its function that reads `sys.argv` and returns the exit code.
    """
    watch(name)
    _end(_call(module, function))


def code_of(function: Callable[[], int]) -> int:
    """The exit code of a program, which its parser may end."""
    try:
        return function()
    except SystemExit as ended:  # of the parsers: --help, wrong usage
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1


def _call(module: str, function: str) -> int:
    return code_of(lambda: int(getattr(import_module(module), function)()))


def _end(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it is None if the descriptor was closed
            with suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)
