"""`ultrafield serve`: a warm worker that `ultrafield run` hands its jobs to."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any

import tyro

from ..config.ranges import Range, Ranges, check_number
from ..errors import ConfigError, UltrafieldError
from ..interruption import cleaned_up, delayed, leave
from ..owner import owned
from ..pipeline.ahead import import_stages
from ..pipeline.console import Report
from ..serve.client import NotServed, connect
from ..serve.place import check_system, places
from ..serve.server import Server
from .options import Device, Switch
from .run import wake
from .warmup import load_kernels

_ANSWER = 120.0  # seconds
_LIMITS: Ranges = {"idle": Range(0.001, 1e6)}


@dataclass(frozen=True)
class Serve:
    """Keep a worker warm that `run` hands its jobs to, one after the other; it listens to this user on this host only.

    Attributes:
        device: Device to keep ready; auto takes CUDA if there is one.
        idle: Minutes without a job after which it ends.
        cold: Do not load or compile kernels ahead of the first job.
        status: Say whether one runs and what it does, and end.
        stop: Stop the one that runs; a job under way goes on in the process that handed it over.
    """

    device: Device = "auto"
    idle: Annotated[float, tyro.conf.arg(metavar="MINUTES")] = 60.0
    cold: Switch = False
    status: Switch = False
    stop: Switch = False

    def __post_init__(self) -> None:
        check_number("idle", self.idle, float, _LIMITS["idle"])
        if self.status and self.stop:
            raise ConfigError("--status and --stop: give one of them")

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def execute(self) -> None:
        """Serve until stopped, or talk to the server that runs."""
        check_system()
        report = Report()
        if self.status:
            print_status(report)
        elif self.stop:
            stop(report)
        else:
            self._serve(report)

    def _serve(self, report: Report) -> None:
        place = places()[0]
        place.prepare()
        remove = partial(place.socket.unlink, missing_ok=True)
        with owned(place.folder, lock=place.lock), cleaned_up(remove), delayed() as stopped:
            note = partial(_note, report)
            server = Server(place, device=self.device, kernels=not self.cold, idle=self.idle * 60, note=note)
            note(server.serve(stopped))
            leave("no job is lost")


def prepare(device: Device, kernels: bool) -> None:
    """Make a worker ready: what jobs import, the device, and perhaps all kernels."""
    wake(device)
    import_stages()
    if kernels and find_spec("embreex") is None:
        _note(
            Report(),
            "kernels are loaded with the first job: the scene that loads them before is made with embreex, which is "
            'not installed (pip install "ultrafield[synth]")',
        )
    elif kernels:
        load_kernels(device)


def _note(report: Report, text: str) -> None:
    report.note(f"serve: {text}")


def print_status(report: Report) -> None:
    """Print what the server does.

    Raises:
        UltrafieldError: None runs.
    """
    status = _asked("status")
    if status is None:
        raise UltrafieldError("no server of yours runs on this host; start one: ultrafield serve")
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status["since"]))
    report.result(
        f"serve: process {status['process']}, ultrafield {status['version']}, since {since}, {status['done']} jobs done"
    )
    seconds = f"{status['seconds']:.0f} s"
    if status["job"] is not None:
        report.result(f"at work for {seconds}, {status['waiting']} waiting: ultrafield {status['job']}")
    else:
        report.result(f"idle for {seconds}" if status["ready"] else "the worker is starting")


def stop(report: Report) -> None:
    """Stop the server and wait for its end; remove the socket of one that was killed."""
    if _asked("stop") is None:
        for place in places():
            if place.fault() is None and place.socket.exists():
                with owned(place.folder, lock=place.lock, wait=1.0):
                    place.socket.unlink(missing_ok=True)
                report.result(f"removed {place.socket}, left by a server that was killed")
                return
        report.result("no server of yours runs on this host")
        return
    report.result("stopped")


def _asked(what: str) -> dict[str, Any] | None:
    """What the server answers, empty if it just ends; None if there is no server."""
    try:
        channel = connect()
    except NotServed:
        return None
    if channel is None:
        return None
    with closing(channel):
        if not channel.send({"ask": what}):
            return None
        received = channel.receive(_ANSWER)
        return {} if received is None else received[0]
