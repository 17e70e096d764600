"""Where the server of a user listens: a socket in a folder that is only the user's, on this host alone."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import BackendError, ConfigError, reason_of

MODE = 0o600
_FOLDER_MODE = 0o700
_LONGEST = 100  # bytes of a socket's path that every system takes


@dataclass(frozen=True)
class Place:
    """A folder that holds a server's socket.

    Attributes:
        folder: Only its owner may enter it.
    """

    folder: Path

    @property
    def socket(self) -> Path:
        """What clients connect to."""
        return self.folder / "serve.sock"

    @property
    def lock(self) -> Path:
        """What the server holds as long as it lives."""
        return self.folder / "serve.lock"

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            ConfigError: It is not the user's alone, or its path is too long for a socket.
        """
        try:
            self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as failure:
            raise ConfigError(f"{self.folder}: {reason_of(failure)}; XDG_RUNTIME_DIR names another place") from None
        fault = self.fault()
        if fault is not None:
            raise ConfigError(f"{self.folder}: {fault}")
        if len(os.fsencode(self.socket)) > _LONGEST:
            raise ConfigError(f"{self.socket}: too long a path for a socket; XDG_RUNTIME_DIR names another place")

    def fault(self) -> str | None:
        """Why nothing may be sent to a socket in the folder, None if it may."""
        try:
            status = self.folder.lstat()
        except OSError as failure:
            return reason_of(failure)
        if not stat.S_ISDIR(status.st_mode):
            return "is no folder"
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            return f"others may enter it, or it is another user's; expected mode {_FOLDER_MODE:o} and you as its owner"
        return None


def check_system() -> None:
    """Raise `BackendError` on a system without Unix sockets that carry descriptors."""
    if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "send_fds"):
        raise BackendError("serve needs Unix sockets, which this system lacks; run does its work itself")


def places() -> list[Place]:
    """Where a server may listen, the first choice first: the user's runtime folder, then the user's cache."""
    folders: list[Path] = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        folders.append(Path(runtime) / "ultrafield")
    with suppress(RuntimeError):  # a user without a home
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folders.append(cache / "ultrafield" / f"serve-{socket.gethostname()}")  # which hosts may share
    return [Place(folder) for folder in folders]
