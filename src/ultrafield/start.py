"""Starting a program: signals are answered from the first moment on, before anything heavy is imported."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from .interruption import watch


def program() -> NoReturn:
    """The `ultrafield` program."""
    start("ultrafield", "ultrafield.cli", "main")


def start(name: str, module: str, function: str) -> NoReturn:
    """Run a program as a process of its own.

    It ends at once: taking apart what PyTorch, numba and CUDA have set up costs up to a second and changes nothing.

    Args:
        name: Name of the program in its messages.
        module: Module that is imported only now.
        function: Its function that reads `sys.argv` and returns the exit code.
    """
    watch(name)
    try:
        code = getattr(import_module(module), function)()
    except SystemExit as ended:  # of the parsers: --help, wrong usage
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it is None if the descriptor was closed
            with suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)
