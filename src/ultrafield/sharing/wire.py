"""Python objects from process to process; large arrays go as they are, without a copy of them all in one text."""

from __future__ import annotations

import os
import pickle
import socket
import struct
import subprocess
import sys
from typing import Any

import numpy as np

_NUMBER = struct.Struct("<Q")


def start_process(program: str, *, silent: bool = True) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a process of Python that finds the same modules, at the other end of a wire.

    It has a session of its own, so that Ctrl-C is answered by this process alone.

    Args:
        program: Its text; it finds the number of its end of the wire in `sys.argv[1]`.
        silent: Whether what it writes to stderr is thrown away, as what it prints always is.

    Raises:
        OSError: It cannot be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", program, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if silent else None,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        )
    return ours, process


def encode(value: Any) -> list[memoryview]:
    """An object in pieces that `send` puts on a wire; arrays in it must not change until then."""
    arrays: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
    pieces = [memoryview(body), *(array.raw() for array in arrays)]
    sizes = [len(pieces), *(piece.nbytes for piece in pieces)]
    return [memoryview(b"".join(map(_NUMBER.pack, sizes))), *pieces]


def send(wire: socket.socket, pieces: list[memoryview]) -> None:
    """Send what `encode` made."""
    for piece in pieces:
        wire.sendall(piece)


def receive(wire: socket.socket) -> Any:
    """The next object; only from a process that this one started, or that started it.

    Raises:
        EOFError: The other process has gone.
    """
    (count,) = _NUMBER.unpack(_read(wire, _NUMBER.size))
    sizes = [_NUMBER.unpack(_read(wire, _NUMBER.size))[0] for _ in range(count)]
    body, *arrays = (_read(wire, size) for size in sizes)
    return pickle.loads(body, buffers=arrays)


def _read(wire: socket.socket, size: int) -> memoryview:
    """The next `size` bytes; arrays made from them can be written to."""
    data = memoryview(np.empty(size, np.uint8).data)  # unlike a bytearray it is not filled first
    left = data
    while len(left):
        try:
            read = wire.recv_into(left)
        except ConnectionError:
            read = 0
        if read == 0:
            raise EOFError
        left = left[read:]
    return data
