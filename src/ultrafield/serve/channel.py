"""Messages over a Unix socket: JSON with a length in front, perhaps with open files."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

_LENGTH = struct.Struct("!I")
_LONGEST = 16 << 20  # bytes of a message
_MOST_FILES = 3

Message = dict[str, Any]


class Channel:
    """One end of a connection.

    Args:
        connection: A connected socket; the channel closes it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """Its descriptor, for `selectors`."""
        return self._socket.fileno()

    def send(self, message: Message, files: Sequence[int] = ()) -> bool:
        """Send a message and descriptors of open files; returns whether somebody is there to receive it."""
        content = json.dumps(message).encode()
        data = _LENGTH.pack(len(content)) + content
        try:
            with self._sending:  # a signal may be passed on meanwhile
                sent = socket.send_fds(self._socket, [data], files) if files else 0
                if sent < len(data):
                    self._socket.sendall(data[sent:])
        except OSError:
            return False
        return True

    def receive(self, seconds: float | None = None) -> tuple[Message, list[int]] | None:
        """The next message and the files that came with it; None if the other end has gone or sends no message.

        Args:
            seconds: How long the other end may take; any time if None.
        """
        files: list[int] = []
        ends = None if seconds is None else time.monotonic() + seconds
        try:
            self._socket.settimeout(seconds)
            head, files, _, _ = socket.recv_fds(self._socket, _LENGTH.size, _MOST_FILES)
            (length,) = _LENGTH.unpack(head + self._exactly(_LENGTH.size - len(head), ends))
            message = json.loads(self._exactly(length, ends)) if length <= _LONGEST else None
            if isinstance(message, dict):
                return message, files
        except (OSError, ValueError, EOFError, RecursionError):  # the last one of JSON that is nested too deeply
            pass
        finally:
            with suppress(OSError):
                self._socket.settimeout(None)
        close_all(files)
        return None

    def peer(self) -> int | None:
        """User id of the process at the other end, where the system tells."""
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return None
        _, user, _ = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
        return int(user)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _exactly(self, count: int, ends: float | None) -> bytes:
        """As many bytes, which must have come by a time of `time.monotonic`, if one is given."""
        parts: list[bytes] = []
        while count > 0:
            if ends is not None:
                self._socket.settimeout(max(ends - time.monotonic(), 1e-6))
            part = self._socket.recv(min(count, 1 << 16))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def close_all(files: Sequence[int]) -> None:
    """Close descriptors."""
    for file in files:
        with suppress(OSError):
            os.close(file)
