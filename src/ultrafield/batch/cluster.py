"""The Ray cluster of a batch: one that is there, or one of this host alone."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from typing import Any

from ..errors import BackendError, ConfigError, first_line
from ..extras import require
from ..interruption import keep_watching
from ..parallel import available_cpus

_LOCAL = {
    # Ray's own switch for systems with a firewall that asks: all of its servers bind to the loopback address only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_prestart_worker_first_driver": "0",  # otherwise as many idle processes as there are CPUs
    "RAY_AUTH_MODE": "token",  # other users of this host cannot talk to it either
}
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise Ray warns of what it will do some day
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # Ray's messages about workers that died; they are told in one line each
}
_OBJECTS = 128 << 20  # bytes of Ray's object store: tasks and outcomes are small
_PATIENCE = 5.0  # seconds for the head node to answer
_CORES = 4  # of a worker without a GPU, by default
_PER_GPU = 2  # workers that share a GPU, by default: one computes while the other reads and writes


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's identifier.
        cpus: Processors that Ray gives out.
        gpus: GPUs that Ray gives out.
    """

    id: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Shares:
    """What a worker gets.

    Attributes:
        cuda: Whether it computes on a GPU.
        gpu: Its part of one.
        cpus: Processors that Ray keeps for it.
        threads: Threads of its CPU kernels.
        most: Workers on one machine, at most.
    """

    cuda: bool
    gpu: float
    cpus: float
    threads: int
    most: int

    def slots(self, node: Node) -> int:
        """Workers that a machine has room for."""
        by_cpus = int(node.cpus / self.cpus + 1e-6) if self.cpus else 1 << 20
        return min(by_cpus, int(node.gpus / self.gpu + 1e-6)) if self.cuda else by_cpus


def connect(address: str | None) -> Any:
    """Connect to a cluster, or start one that listens on this host alone and ends with this process.

    Args:
        address: "HOST:PORT" of the head node, or "auto" for the cluster that this machine is a node of; None for what
            the environment names (RAY_ADDRESS), else a cluster of this host.

    Returns:
        The module `ray`.

    Raises:
        ConfigError: Nothing answers at the address, or the cluster has other versions of Ray or Python.
    """
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_address(place)
    token = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in (_QUIET | (_LOCAL | token if place == "local" else {})).items():
        os.environ.setdefault(name, value)  # read when Ray is imported
    ray = require("ray", "batch")
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"address": place, "log_to_driver": False, "logging_level": "critical"}
    if place == "local":
        options |= {"include_dashboard": False, "num_cpus": available_cpus(), "object_store_memory": _OBJECTS}
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises errors of many kinds here
        text = " ".join(str(error).split())
        if "Version mismatch" in text:
            raise ConfigError(f"{place}: {text}", setting="address") from None
        said = f"no Ray cluster answers at {place}" if place != "local" else "no Ray cluster can be started here"
        raise ConfigError(f"{said} ({first_line(error)})", setting="address") from None
    keep_watching()  # Ray would answer SIGTERM with a trace
    return ray


def _check_address(place: str) -> None:
    """Raise `ConfigError` for an address at which nothing listens; Ray itself would try for a long time."""
    if place in ("local", "auto"):
        return
    host, _, port = place.rpartition(":")
    if "://" in place or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError(f"expected HOST:PORT of the head node, or auto, got {place!r}", setting="address")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise ConfigError(f"no Ray cluster answers at {place} ({reason})", setting="address") from None


def alive_nodes(ray: Any) -> list[Node]:
    """The machines of the cluster."""
    return [
        Node(node["NodeID"], node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]


def choose_device(nodes: list[Node], device: str) -> str:
    """ "cuda" if a machine of the cluster has a GPU, unless the user asks for something else; else "cpu"."""
    gpus = sum(node.gpus for node in nodes)
    if device == "cuda" and gpus == 0:
        raise BackendError("--device cuda: no node of the cluster has a GPU that Ray knows of")
    return device if device != "auto" else "cuda" if gpus else "cpu"


def share_out(nodes: list[Node], device: str, *, per_gpu: int | None, cores: int | None) -> Shares:
    """What each worker gets.

    Args:
        nodes: The machines.
        device: "cpu" or "cuda".
        per_gpu: Workers that share a GPU; two if None.
        cores: Processors of a worker; if None four, or with GPUs an equal part of those of the machine.

    Raises:
        ConfigError: No machine has as many processors.
    """
    most = max(node.cpus for node in nodes)
    if cores is not None and cores > most:
        raise ConfigError(f"no node of the cluster has {cores} CPUs (the largest has {most:g})", setting="cores")
    if device == "cpu":
        threads = cores or max(1, min(_CORES, int(most)))
        return Shares(False, 0.0, threads, threads, max(1, int(most / threads)))
    each = per_gpu or _PER_GPU
    with_gpus = [node for node in nodes if node.gpus >= 1]
    part = min(node.cpus / (node.gpus * each) for node in with_gpus)
    threads = cores or max(1, int(part))
    cpus = threads if cores is not None or part >= 1 else 0
    return Shares(True, 1 / each, cpus, threads, max(int(node.gpus * each) for node in with_gpus))
