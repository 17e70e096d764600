"""Reading a scene in a process of its own, while this one imports PyTorch.

Imports hold the interpreter's lock, so that threads that read would wait for them. Small scenes only: what is read is
for a moment in memory twice. Whatever goes wrong there is left to those who then read the scene themselves.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from ..budget import limit_memory
from ..sharing.wire import encode, receive, send, start_process
from .frames import print_warning
from .load import load_scene
from .scene import Scene

_PROGRAM = "from ultrafield.scene.apart import main; main()"
_MOST_BYTES = 256 << 20  # of all files; larger scenes take long, beside which an import is nothing


@dataclass(frozen=True)
class Request:
    """What is to be read.

    Attributes:
        root: The scene folder.
        arguments: Keyword arguments of `load_scene`.
        memory: GiB that may be taken; None for the usual.
        most_bytes: Most bytes that all files of the scene may take; a larger one is not read.
    """

    root: Path
    arguments: Mapping[str, Any]
    memory: float | None = None
    most_bytes: int = _MOST_BYTES


class SceneReader:
    """A process that reads a scene; it ends with this one.

    Args:
        request: What it reads.

    `OSError` if it cannot be started.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self._wire, self.process = start_process(_PROGRAM)
        send(self._wire, encode(request))

    def scene(self) -> Scene | None:
        """The scene, once it is read; warnings are printed. None if it was not read, for whatever reason."""
        try:
            scene, warnings = receive(self._wire)
        except (EOFError, OSError):
            return None
        finally:
            self.close()
        for warning in warnings:
            print_warning(warning)
        assert isinstance(scene, Scene)
        return scene

    def close(self) -> None:
        """End the process."""
        self._wire.close()
        self.process.kill()
        self.process.wait()


_begun: list[SceneReader] = []  # one at most


def begin_reading(request: Request) -> None:
    """Start to read a scene that `read_begun` will ask for; nothing happens where processes cannot be started so."""
    if os.name == "posix" and not _begun:
        with suppress(OSError):
            _begun.append(SceneReader(request))


def read_begun(root: Path, arguments: Mapping[str, Any]) -> Scene | None:
    """The scene if `begin_reading` was told to read this very one, and it could be read; None otherwise."""
    if not _begun:
        return None
    reader = _begun.pop()
    if (reader.request.root, reader.request.arguments) == (root, arguments):
        return reader.scene()
    reader.close()
    return None


def main() -> None:
    """Read what the first message on the wire asks for, and send it with the warnings; nothing if that fails."""
    wire = socket.socket(fileno=int(sys.argv[1]))
    with suppress(Exception):
        request: Request = receive(wire)
        threading.Thread(target=_end_with, args=(wire,), daemon=True).start()
        limit_memory(request.memory)
        if not _is_larger(request):
            warnings: list[str] = []
            scene = load_scene(request.root, **request.arguments, progress=False, warn=warnings.append)
            send(wire, encode((scene, warnings)))
    os._exit(0)


def _end_with(wire: socket.socket) -> None:
    """End this process when the other one has ended or asks no more."""
    with suppress(OSError):
        wire.recv(1)
    os._exit(1)


def _is_larger(request: Request) -> bool:
    """Whether the files of a scene take more than the request allows."""
    named = (request.arguments.get(name) for name in ("masks", "images"))
    folders = (request.root, *(Path(folder) for folder in named if folder is not None))
    return any(total > request.most_bytes for total in accumulate(chain.from_iterable(map(_sizes, folders))))


def _sizes(root: Path) -> Iterator[int]:
    for folder, _, names in os.walk(root):
        for name in names:
            with suppress(OSError):
                yield os.stat(os.path.join(folder, name)).st_size
