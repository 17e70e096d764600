"""The processes of all GPUs but the first: they do what the first one's process calls, and end with it."""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UltrafieldError, first_line
from .group import Group
from .wire import encode, receive, send

if TYPE_CHECKING:
    import torch

_PATIENCE = timedelta(hours=1)  # with a process that does other things between two sums


@dataclass
class Member:
    """A process of the team.

    Attributes:
        group: Its place among the others.
        device: Where it computes.
        kept: What calls leave for later ones.
    """

    group: Group
    device: torch.device
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """What a member is started with.

    Attributes:
        rank: Which of the processes it is.
        size: How many there are.
        device: Where it computes: "cpu", "cuda:1", …
        meeting: File by which the processes find each other.
        memory: Bytes that it may take.
    """

    rank: int
    size: int
    device: str
    meeting: Path
    memory: int


@dataclass(frozen=True)
class Failure:
    """Why a member has ended.

    Attributes:
        text: One line.
        code: Exit code that goes with it.
    """

    text: str
    code: int


def connect(setup: Setup) -> Group:
    """Join the other processes, all of which must call this; no port is opened beyond this host."""
    import torch
    import torch.distributed as dist

    device = torch.device(setup.device)
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, "lo")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{setup.meeting}",
        rank=setup.rank,
        world_size=setup.size,
        timeout=_PATIENCE,
    )
    group = Group(setup.rank, setup.size)
    group.add_up(torch.zeros(1, device=device))  # now, and not in the first step
    return group


def meet(member: Member, setup: Setup) -> None:
    """Join the other processes."""
    connect(setup)


def depart(member: Member | None = None) -> None:
    """Forget the other processes, so that this one may join others; all of them must call this."""
    import torch.distributed as dist

    dist.destroy_process_group()


def main() -> None:
    """Do one call after the other until the wire ends."""
    wire = socket.socket(fileno=int(sys.argv[1]))
    calls: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
    setup: Setup = receive(wire)
    failed = threading.Event()
    threading.Thread(target=_listen, args=(wire, calls, failed), daemon=True).start()
    try:
        member = _prepare(setup)
        while True:
            function, arguments = calls.get()
            send(wire, encode(function(member, *arguments)))
    except Exception as error:
        failed.set()
        if os.environ.get("ULTRAFIELD_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        send(wire, encode(_failure(error)))
    os._exit(1)


def _prepare(setup: Setup) -> Member:
    from ..budget import limit_memory

    limit_memory(max(0.5, setup.memory / (1 << 30)))
    import torch

    device = torch.device(setup.device)
    torch.zeros(1, device=device)  # starts it
    return Member(Group(setup.rank, setup.size), device)


def _listen(wire: socket.socket, calls: queue.SimpleQueue[Any], failed: threading.Event) -> None:
    """Take calls while others are done; whatever is being done, the process ends with the one that started it."""
    while True:
        try:
            call = receive(wire)
        except (EOFError, OSError):
            os._exit(1 if failed.is_set() else 0)
        calls.put(call)


def _failure(error: Exception) -> Failure:
    if isinstance(error, UltrafieldError):
        return Failure(error.for_command_line(), error.exit_code)
    return Failure(f"{type(error).__name__}: {first_line(error)}", 1)


if __name__ == "__main__":
    main()
