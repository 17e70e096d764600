"""What must be the same for a server to do a job as the process that was asked for it would do it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..budget import machine_memory
from ..parallel import available_cpus

# Variables that libraries, the interpreter or the C library read once. A worker with others begins anew; all other
# variables are set for every job.
_READ_ONCE = (
    *("NUMBA", "OMP", "MKL", "OPENBLAS", "KMP", "GOMP", "BLIS", "VECLIB", "MALLOC", "GLIBC", "LD_", "DYLD_", "PYTHON"),
    *(
        "CUDA",
        "CUBLAS",
        "CUDNN",
        "NVIDIA",
        "NCCL",
        "TRITON",
        "TORCH",
        "PYTORCH",
        "OPENCV",
        "RAY",
        "HF_",
        "TRANSFORMERS",
    ),
    *("LANG", "LC_", "TZ", "HOME", "TMP", "TEMP", "XDG_CACHE", "XDG_DATA", "XDG_CONFIG"),
)
_ALLOCATIONS = ("SLURM_JOB_ID", "SLURM_STEP_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
_NAMESPACES = ("mnt", "pid", "user", "net")

Likeness = dict[str, Any]


def likeness() -> Likeness:
    """This process's program, user and limits, in JSON's types."""
    return {
        "version": __version__,
        "program": [str(Path(__file__).parents[1].resolve()), _digest()],
        "Python": [os.path.realpath(sys.executable), sys.version],
        "user": [os.geteuid(), os.getegid(), sorted(os.getgroups())],
        "container": list(_namespaces()),
        "CPUs": [available_cpus(), _affinity()],
        "memory": machine_memory(),
        "resource limits": _limits(),
        "priority": os.nice(0),
        "batch system's job": [os.environ.get(name) for name in _ALLOCATIONS],
    }


def difference(asked: Mapping[str, Any], ours: Likeness) -> str | None:
    """What differs between a job's process and a server, None if nothing does."""
    names = [name for name in ours if asked.get(name) != ours[name]]
    if not names:
        return None
    if names[0] == "version":
        return f"it is version {ours['version']}, this is {asked.get('version')}"
    if names == ["program"]:
        return "the program has changed since it started, or is another installation"
    return f"its {' and '.join(names)} {'differ' if len(names) > 1 or names[0].endswith('s') else 'differs'}"


def read_once(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that cannot be changed in a worker."""
    return {name: value for name, value in environment.items() if name.startswith(_READ_ONCE)}


def _digest() -> str:
    """Digest of names, sizes and times of the package's sources."""
    root = Path(__file__).parents[1]
    files = sorted((str(file.relative_to(root)), status.st_size, status.st_mtime_ns) for file, status in _sources(root))
    return hashlib.sha256(repr(files).encode()).hexdigest()


def _sources(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _sources(Path(entry.path))
        elif entry.name.endswith(".py"):
            yield Path(entry.path), entry.stat()


def _namespaces() -> Iterator[str]:
    for name in _NAMESPACES:
        try:
            yield os.readlink(f"/proc/self/ns/{name}")
        except OSError:  # another system than Linux
            yield ""


def _affinity() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _limits() -> dict[str, list[int]]:
    import resource

    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {name: list(resource.getrlimit(getattr(resource, name))) for name in names}
