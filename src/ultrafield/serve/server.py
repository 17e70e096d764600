"""The server of one user: takes jobs over a socket, and has a warm worker do one after the other."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import BackendError
from ..interruption import SIGNALS, exit_code
from .channel import Channel, Message, close_all
from .likeness import difference, likeness
from .place import MODE, Place
from .process import WorkerProcess, end_of
from .request import fault_of, signal_of

_HELLO = 5.0  # seconds that a client may take to say what it wants
_TICK = 0.2
_CODES = [exit_code(number) for number in SIGNALS]

Note = Callable[[str], None]


@dataclass(eq=False)
class _Job:
    """A job of a client.

    Attributes:
        channel: Connection to it.
        request: What it asked for.
        files: Its stdin, stdout and stderr.
        begun: Since when a worker does it, as `time.monotonic`; None while it waits.
    """

    channel: Channel
    request: Message
    files: list[int]
    begun: float | None = None

    @property
    def title(self) -> str:
        """Its command line."""
        return " ".join(map(str, self.request["arguments"]))


class Server:
    """Listens at a place that its caller owns.

    Args:
        place: Where.
        device: What a worker wakes: "auto", "cpu" or "cuda".
        kernels: Whether a worker loads or compiles every kernel before its first job.
        idle: Seconds without a job after which it ends.
        note: Told what happens.
    """

    def __init__(self, place: Place, *, device: str, kernels: bool, idle: float, note: Note) -> None:
        self._place, self._device, self._kernels, self._idle, self._note = place, device, kernels, idle, note
        self._ours = likeness()
        self._selector = selectors.DefaultSelector()
        self._waiting: deque[_Job] = deque()
        self._job: _Job | None = None
        self._worker: WorkerProcess | None = None
        self._was_ready, self._stopping, self._done = False, False, 0
        self._began = time.time()
        self._active = time.monotonic()
        self._askers: list[Channel] = []  # who asked it to stop; they see that it has when their connection ends

    def serve(self, stopped: Callable[[], bool]) -> str:
        """Serve until `stopped`, until a client asks for the end, or until nothing has been asked for long.

        Returns:
            Why it ended.

        Raises:
            BackendError: No worker could be started.
        """
        listener = self._listen()
        try:
            self._start_worker(dict(os.environ))
            while not stopped() and not self._stopping:
                for key, _ in self._selector.select(_TICK):
                    key.data()
                self._advance()
                if self._is_idle():
                    return f"nothing to do for {self._idle / 60:g} minutes"
            return "stopped"
        finally:
            self._place.socket.unlink(missing_ok=True)
            listener.close()
            self._end()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._place.socket.unlink(missing_ok=True)  # of a server that was killed; its lock is ours now
        umask = os.umask(0o777 & ~MODE)
        try:
            listener.bind(str(self._place.socket))
        finally:
            os.umask(umask)
        listener.listen()
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        return listener

    # Clients

    def _accept(self, listener: socket.socket) -> None:
        channel = Channel(listener.accept()[0])
        if channel.peer() not in (None, os.geteuid()):
            channel.close()
            return
        received = channel.receive(_HELLO)
        if received is None:
            channel.close()
            return
        message, files = received
        if message.get("ask") == "run" and len(files) == 3:
            self._take(_Job(channel, message, files))
            return
        close_all(files)
        if message.get("ask") == "stop":
            self._stopping = True
            self._askers.append(channel)
            return
        channel.send(self._status())
        channel.close()

    def _take(self, job: _Job) -> None:
        asked = job.request.get("likeness")  # looked at first: another version may ask in another way
        fault = (difference(asked, self._ours) if isinstance(asked, dict) else None) or fault_of(job.request)
        if fault is not None:
            job.channel.send({"refused": f"{fault} (process {os.getpid()})"})
            self._drop(job)
            return
        if self._job is not None or self._waiting:
            job.channel.send({"waiting": "another job is under way"})
        elif self._worker is not None and not self._worker.ready:
            job.channel.send({"waiting": "the worker is starting"})
        self._waiting.append(job)
        self._selector.register(job.channel, selectors.EVENT_READ, lambda: self._heard(job))

    def _heard(self, job: _Job) -> None:
        """What a client with a job says: that a signal came; or nothing any more."""
        received = job.channel.receive(_HELLO)
        number = signal.SIGTERM if received is None else signal_of(received[0])
        if number is None:
            return
        if job is not self._job:
            self._waiting.remove(job)
            self._tell_end(job, {"withdrawn": number})
            return
        if self._worker is not None:
            self._worker.signal(number)
        if received is None:
            self._selector.unregister(job.channel)

    def _tell_end(self, job: _Job, message: Message) -> None:
        """Tell a client how its job ended, which it has if it is still there."""
        job.channel.send(message)
        if job.channel.fileno() in self._selector.get_map():
            self._selector.unregister(job.channel)
        self._drop(job)

    def _drop(self, job: _Job) -> None:
        job.channel.close()
        close_all(job.files)
        self._active = time.monotonic()

    def _status(self) -> dict[str, Any]:
        job, now = self._job, time.monotonic()
        return {
            "process": os.getpid(),
            "worker": None if self._worker is None else self._worker.process.pid,
            "version": __version__,
            "since": self._began,
            "ready": self._worker is not None and self._worker.ready,
            "job": None if job is None else job.title,
            "seconds": now - (self._active if job is None or job.begun is None else job.begun),
            "waiting": len(self._waiting),
            "done": self._done,
        }

    # The worker

    def _start_worker(self, environment: dict[str, str]) -> None:
        self._worker = WorkerProcess.started(environment, device=self._device, kernels=self._kernels)
        self._selector.register(self._worker.channel, selectors.EVENT_READ, self._worker_spoke)

    def _end_worker(self) -> int:
        """End the worker, which may have ended already, and return its exit code."""
        assert self._worker is not None
        worker, self._worker = self._worker, None
        self._selector.unregister(worker.channel)
        return worker.ended()

    def _advance(self) -> None:
        """Let the worker begin the job that has waited longest, if it can."""
        if self._job is not None or not self._waiting:
            return
        job = self._waiting[0]
        environment = job.request["environment"]
        changes = [] if self._worker is None else self._worker.changes(environment)
        if changes:
            job.channel.send(
                {"waiting": f"the worker starts anew, as the environment is another one ({', '.join(changes[:3])})"}
            )
            self._end_worker()
        if self._worker is None:
            self._start_worker(environment)
        elif self._worker.ready:
            self._begin(self._waiting.popleft(), self._worker)

    def _begin(self, job: _Job, worker: WorkerProcess) -> None:
        self._job, job.begun = job, time.monotonic()
        job.channel.send({"started": worker.process.pid})
        worker.channel.send(
            {name: job.request[name] for name in ("environment", "folder", "umask", "arguments")}, job.files
        )
        close_all(job.files)
        job.files.clear()

    def _worker_spoke(self) -> None:
        worker = self._worker
        assert worker is not None
        received = worker.channel.receive()
        if received is None:
            self._worker_ended(worker, self._end_worker())
        elif "program" in received[0]:
            self._became_ready(worker, received[0])
        elif received[0].get("leaving"):
            worker.leaving = int(received[0]["ended"])
        elif self._job is not None:
            self._finish(self._job, int(received[0]["ended"]))

    def _became_ready(self, worker: WorkerProcess, message: Message) -> None:
        if message["program"] != self._ours["program"]:
            self._end_worker()
            self._lose_first("the program has changed since the server started")
            return
        if not self._was_ready:
            self._note(f"ready, process {os.getpid()}; ultrafield run hands its jobs over, Ctrl-C ends it")
        worker.ready = self._was_ready = True
        self._active = time.monotonic()

    def _worker_ended(self, worker: WorkerProcess, code: int) -> None:
        job = self._job
        if job is None and not worker.ready:
            if not self._was_ready:
                raise BackendError(f"serve: the worker {end_of(code)} before it was ready")
            self._lose_first(f"the worker {end_of(code)} before it was ready")
            return
        if job is not None and worker.leaving is not None:
            self._finish(job, worker.leaving)
        elif job is not None and code in _CODES:
            self._finish(job, code)
        elif job is not None:
            self._job = None
            self._note(f"{job.title}: the worker {end_of(code)}")
            self._tell_end(job, {"lost": f"the worker {end_of(code)}"})
        self._start_worker(worker.environment)

    def _finish(self, job: _Job, code: int) -> None:
        self._job, self._done = None, self._done + 1
        assert job.begun is not None
        self._note(f"{job.title}: exit code {code} after {time.monotonic() - job.begun:.1f} s")
        self._tell_end(job, {"ended": code})

    def _lose_first(self, reason: str) -> None:
        """Tell the client whose job a worker was started for that there is none."""
        if self._waiting:
            self._tell_end(self._waiting.popleft(), {"lost": reason})

    # The end

    def _is_idle(self) -> bool:
        busy = self._job is not None or bool(self._waiting) or self._worker is None or not self._worker.ready
        return not busy and time.monotonic() - self._active > self._idle

    def _end(self) -> None:
        """End the worker, a training in it after it has saved its state, and tell clients to go on themselves."""
        if self._worker is not None:
            self._end_worker()
        for job in (*([] if self._job is None else [self._job]), *self._waiting):
            self._tell_end(job, {"lost": "the server was stopped"})
        self._selector.close()
        for channel in self._askers:
            channel.close()
