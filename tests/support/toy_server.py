"""A server whose worker does small things instead of runs: all but the jobs themselves is as it is in the program."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import pytest

from ultrafield.serve import process
from ultrafield.serve.place import Place, places
from ultrafield.serve.server import Server

WORKER = """
import os, sys, time, warnings
from ultrafield.interruption import delayed, leave, watch
from ultrafield.serve.worker import work
from ultrafield.start import code_of

watch("ultrafield")

def program(arguments):
    what, more = arguments[1], arguments[2:]
    if what == "tell":
        warnings.warn("told", stacklevel=1)
        mask = os.umask(0)
        os.umask(mask)
        files = len(os.listdir("/dev/fd"))
        print(os.getcwd(), os.environ.get("SAID"), oct(mask), sys.argv[1:], os.isatty(1), files)
        return int(more[0])
    if what == "train":
        with delayed() as asked:
            print("training", os.getpid(), flush=True)
            while not asked():
                time.sleep(0.01)
            leave("saved")
    if what == "stubborn":
        with delayed():
            print("training", flush=True)
            time.sleep(60)
    if what == "die":
        os.kill(os.getpid(), 9)
    if what == "raise":
        raise ValueError("odd")
    if what == "leave a thread":
        import threading
        threading.Thread(target=time.sleep, args=(60,)).start()
        return 2
    raise SystemExit(3)

work(int(sys.argv[1]), lambda arguments: code_of(lambda: program(arguments)), lambda device, kernels: None)
"""


@dataclass
class ToyServer:
    """A server in a thread.

    Attributes:
        place: Where it listens.
        environment: The variables of its clients.
        idle: Seconds without a job after which it ends.
        notes: What it has said.
        ready: Set when it has first said something.
        ended: Ends it when set.
    """

    place: Place
    environment: dict[str, str]
    idle: float
    notes: list[str] = field(default_factory=list)
    ready: Event = field(default_factory=Event)
    ended: Event = field(default_factory=Event)

    def serve(self) -> None:
        """Serve until `ended`."""
        server = Server(self.place, device="cpu", kernels=False, idle=self.idle, note=self._note)
        self.notes.append(server.serve(self.ended.is_set))

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.ready.set()

    def begin(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """A client process, `ultrafield run …`."""
        return subprocess.Popen(
            [sys.executable, "-m", "ultrafield", "run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | more,
        )

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a client."""
        with self.begin(*arguments, **more) as client:
            out, err = client.communicate(timeout=60)
        return client.returncode, out, err


@pytest.fixture
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's runtime folder, in which no server runs; its path is short enough for a socket on every system."""
    if not hasattr(socket, "send_fds"):
        pytest.skip("needs Unix sockets")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        yield Path(folder)


@pytest.fixture
def new_server(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ToyServer]]:
    """Start a server of the test's own, which ends with it."""
    monkeypatch.setattr(process, "_START", WORKER)
    monkeypatch.setenv("PYTHONPATH", str(Path(process.__file__).parents[2]))  # absolute: clients are in other folders
    servers: list[tuple[ToyServer, Thread]] = []

    def start(idle: float = 60.0) -> ToyServer:
        place = places()[0]
        place.prepare()
        server = ToyServer(place, dict(os.environ), idle)
        thread = Thread(target=server.serve)
        thread.start()
        servers.append((server, thread))
        assert server.ready.wait(60)
        return server

    yield start
    for server, thread in servers:
        server.ended.set()
        thread.join(60)
        assert not thread.is_alive()
        assert not server.place.socket.exists()


@pytest.fixture
def toy_server(new_server: Callable[..., ToyServer]) -> ToyServer:
    """A server that is ready."""
    return new_server()
