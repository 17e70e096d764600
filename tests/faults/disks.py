"""Full and read-only disks: one line that says so, and nothing lost once there is room.

Disks are mounted in a namespace of each process, which needs Linux and the right to make one.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import shutil
from pathlib import Path

from harness import MADE_BEFORE, Case, Harness, difference, moved, snapshot

NEWNS, NEWUSER = 0x00020000, 0x10000000
RDONLY, REMOUNT, BIND, REC, PRIVATE = 1, 32, 4096, 16384, 1 << 18
FULL = re.compile(r"error: .*(No space left|no space left|full)", re.MULTILINE)
READ_ONLY = re.compile(r"error: .*Read-only file system", re.MULTILINE)
PAGE, MORE = 4096, 1 << 28  # bytes


def campaign(harness: Harness, disks: int, seed: int) -> list[str]:
    """Run commands `disks` times on disks of random size, every fourth one read-only; returns the faults."""
    draws, faults = random.Random(seed), []
    for index in range(disks):
        case = harness.cases[index % len(harness.cases)]
        size = None if index % 4 == 3 else draws.random()
        found = _apart(harness, index, case, size)
        faults += found
        print("\n".join([*found, f"{index + 1} of {disks}"]), flush=True)
    return faults


def _apart(harness: Harness, index: int, case: Case, size: float | None) -> list[str]:
    """Try a disk in a process that has its own mounts; returns the faults."""
    result = harness.folder / f"disk{index}.json"
    child = os.fork()
    if child == 0:
        try:
            own_mounts()
            place = harness.folder / f"disk{index}"
            place.mkdir()
            faults = read_only(harness, case, place) if size is None else full(harness, case, place, size)
            result.write_text(json.dumps(faults))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return json.loads(result.read_text()) if result.is_file() else [f"{case.name}: disk {index} was not tried"]


def full(harness: Harness, case: Case, place: Path, size: float) -> list[str]:
    """Run a command where there is room for a share of what it writes, then where there is room for all."""
    before, after = (harness.folder / f"{time}-{case.name}" for time in ("before", "after"))
    room = _bytes(before) + int(size * _bytes(after, but=snapshot(before)))
    where = f"{case.name}, {size:.0%} of what it writes"
    mount("tmpfs", place, "tmpfs", 0, f"size={room}")
    space = harness.space_of(case, f"{place.name}/space")
    code, text = harness.child(case, space)
    faults = []
    if code not in (0, 1) or "Traceback" in text or "defect" in text or (code == 1 and not FULL.search(text)):
        faults.append(f"{where}: {code}: {text[-500:]}")
    mount("tmpfs", place, "tmpfs", REMOUNT, f"size={MORE}")
    code, text = harness.child(case, space)
    if code != 0 and MADE_BEFORE not in text:
        faults.append(f"{where}: with more room: {code}: {text[-500:]}")
    elif (state := snapshot(space)) != harness.finished[case.name]:
        faults.append(f"{where}: {difference(harness.finished[case.name], state)}")
    return faults


def read_only(harness: Harness, case: Case, place: Path) -> list[str]:
    """Run a command where nothing can be written: before its work, and where its work is done."""
    faults = []
    for name, done in (("before", False), ("after", True)):
        space = place / name / "space"
        mount("tmpfs", place, "tmpfs", 0, f"size={MORE}")
        space.parent.mkdir()
        shutil.copytree(harness.folder / f"{name}-{case.name}", space)
        moved(space, harness.folder / f"{name}-{case.name}")
        mount("none", place, None, REMOUNT | RDONLY, None)
        code, text = harness.child(case, space)
        kept = done and (code == 0 or MADE_BEFORE in text)
        if "Traceback" in text or "defect" in text or not (kept or (code in (1, 2) and READ_ONLY.search(text))):
            faults.append(f"{case.name}, read-only {name} its work: {code}: {text[-500:]}")
        unmount(place)
    return faults


def _bytes(folder: Path, but: dict[str, str] | None = None) -> int:
    """What the files of a folder take on a disk of pages, without those that were there with the same content."""
    there = (but or {}).items()
    names = [name for name, digest in snapshot(folder).items() if (name, digest) not in there]
    return sum(-(-(folder / name).stat().st_size // PAGE) * PAGE for name in names)


def own_mounts() -> None:
    """Give this process mounts of its own."""
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", NEWNS)  # as the superuser may
    except OSError:
        _call("unshare", NEWNS | NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    mount("none", Path("/"), None, REC | PRIVATE, None)


def mount(source: str, target: Path, kind: str | None, flags: int, options: str | None) -> None:
    """Mount a file system, or change a mounted one."""
    words = [None if word is None else word.encode() for word in (source, str(target), kind, options)]
    _call("mount", *words[:3], ctypes.c_ulong(flags), words[3])


def unmount(target: Path) -> None:
    """Take a mounted file system away."""
    _call("umount", str(target).encode())


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns 0; `OSError` with its reason if it does not."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
