"""Places of scenes and runs: local paths as they are, URLs (s3://, …) by fsspec through a cache on the worker's disk.

A cached scene is a copy of all of its files, refreshed where size or time of a file has changed. A run is made in the
cache and then sent: stages.json comes last, so that a run that is there is whole.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigError, RunError, SceneError, first_line
from ..extras import require
from ..io import atomic_write, write_json
from ..names import check_name, is_text
from ..owner import LOCK_NAME, owned
from ..reading import read_bytes, read_json
from ..removal import files_below, is_temporary

_LISTING = ".ultrafield-listing.json"  # of a cached folder: what its files were when they were copied
_LEFT_BEHIND = (LOCK_NAME, _LISTING, "state.pt")  # what is not sent with a run
_LAST = "stages.json"
_COPY_PARTS = 3  # last parts of a copy's path that are the same in every cache: its kind, its URL's digest, its name
_WAIT = 3600.0  # seconds for another worker of the node to copy the same scene


def local_path(place: str) -> Path | None:
    """The path of a place on a local or shared file system, None for another URL."""
    if place.startswith("file://"):
        return Path(place.removeprefix("file://"))
    return None if "://" in place else Path(place)


def check_reachable(place: str, where: str) -> None:
    """Check that all workers can reach a place and a table can hold its name, without looking there.

    Args:
        place: A path or a URL.
        where: What names it, for the message.

    Raises:
        ConfigError: It is no text, or a URL in a file system that fsspec does not know or no other process can see.
    """
    if not is_text(place) or "\0" in place:
        raise ConfigError(f"{where}: {place!r}: its path is not UTF-8, so that it cannot be stored; rename it")
    if local_path(place) is None:
        _check_url(place, where)


def _check_url(url: str, where: str) -> None:
    fsspec = require("fsspec", "batch")
    for part in url.split("::"):
        protocol = part.partition("://")[0]
        if protocol == "memory":
            raise ConfigError(f"{where}: {url}: is in the memory of this process alone, which no worker sees")
        try:
            fsspec.get_filesystem_class(protocol)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"{where}: {url}: {first_line(error)}") from None


def base_name(place: str) -> str:
    """The last part of a place's path."""
    local = local_path(place)
    return place.rstrip("/").rpartition("/")[2] if local is None else Path(os.path.abspath(local)).name


def joined(place: str, name: str) -> str:
    """A place within a place."""
    local = local_path(place)
    return f"{place.rstrip('/')}/{name}" if local is None else str(local / name)


def default_cache() -> Path:
    """Where copies lie unless the user names another folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ultrafield" / "batch"


def find_folders(pattern: str) -> list[str]:
    """Folders that match a pattern, sorted."""
    local = local_path(pattern)
    if local is not None:
        return sorted(place for place in glob.glob(str(local), recursive=True) if os.path.isdir(place))
    with remote(pattern) as (files, path):
        found = files.glob(path, detail=True)
        return sorted(files.unstrip_protocol(name) for name, facts in found.items() if facts["type"] == "directory")


@contextmanager
def remote(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the path in it.

    Raises:
        ConfigError: There is no such file system, or a package that it needs is missing.
        SceneError: The file system could not do what the block asked for.
    """
    fsspec = require("fsspec", "batch")
    try:
        files, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{url}: {first_line(error)}") from None
    try:
        yield files, path
    except (SceneError, RunError, ConfigError):
        raise
    except FileNotFoundError:
        raise SceneError(f"{url}: does not exist") from None
    except OSError as error:
        if error.errno is not None:
            raise  # of our own disk
        raise SceneError(f"{url}: {first_line(error)}") from None
    except Exception as error:  # each file system has errors of its own
        raise SceneError(f"{url}: {type(error).__name__}: {first_line(error)}") from None


def fetched_scene(scene: str, cache: Path) -> Path:
    """The folder of a scene: its own place, or an up-to-date copy in the cache."""
    local = local_path(scene)
    if local is not None:
        return local
    folder = _cached(scene, cache / "scenes")
    with owned(folder.parent, wait=_WAIT):
        if not _fetch(scene, folder):
            raise SceneError(f"{scene}: there are no files")
    return folder


def fetched_run(run: str, cache: Path) -> Path:
    """The folder of a run: its own place, or one in the cache with what the run's place holds already."""
    local = local_path(run)
    if local is not None:
        return local
    folder = _cached(run, cache / "runs")
    with remote(run) as (files, path):
        stored = f"{path.rstrip('/')}/{_LAST}"
        theirs = files.cat_file(stored) if files.exists(stored) else None
    if theirs is not None and theirs != _content(folder / _LAST):
        with owned(folder.parent, wait=_WAIT):
            earlier = _recorded(_content(folder / _LAST))
            for name in earlier - _fetch(run, folder):
                (folder / name).unlink(missing_ok=True)
    return folder


def is_same_copy(one: Path, other: Path) -> bool:
    """Whether two folders, perhaps in different caches, are copies of one scene at a URL."""
    return one.parts[-_COPY_PARTS:] == other.parts[-_COPY_PARTS:]


def send_run(folder: Path, run: str) -> None:
    """Bring a run to its place, unless it is there already as it is here.

    Files that only the run that was there before had written are removed; all others stay.
    """
    if local_path(run) is not None:
        return
    ours = _content(folder / _LAST)
    with remote(run) as (files, path):
        root = path.rstrip("/")
        last = f"{root}/{_LAST}"
        theirs = files.cat_file(last) if files.exists(last) else None
        if ours is None or theirs == ours:
            return
        names = [file.relative_to(folder).as_posix() for file in files_below(folder)]
        names = [name for name in names if not (name in _LEFT_BEHIND or is_temporary(name.rpartition("/")[2]))]
        for name in sorted(names, key=lambda name: name == _LAST):
            target = f"{root}/{name}"
            files.makedirs(target.rpartition("/")[0], exist_ok=True)
            if name == _LAST:
                _remove_stale(files, root, _recorded(theirs) - set(names))
            files.put_file(str(folder / name), target)


def _remove_stale(files: Any, root: str, names: Set[str]) -> None:
    """Remove files at a place; one that is not there is no fault."""
    for name in sorted(names):
        if files.isfile(f"{root}/{name}"):
            files.rm_file(f"{root}/{name}")


def _recorded(stages: bytes | None) -> set[str]:
    """Files that a run has written, by its stages.json; none where that is missing or cannot be read."""
    try:
        records = json.loads(stages or b"{}")["stages"]
        names = {str(name) for record in records.values() for name in record["files"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return {name for name in names if not name.startswith("/") and ".." not in name.split("/")}


def write_beside(out: str, name: str, content: bytes) -> None:
    """Write a file into the folder of all runs."""
    local = local_path(out)
    if local is not None:
        with atomic_write(local / name) as file:
            file.write(content)
        return
    with remote(out) as (files, path):
        files.makedirs(path, exist_ok=True)
        files.pipe_file(f"{path.rstrip('/')}/{name}", content)


def read_beside(out: str, name: str) -> bytes | None:
    """The content of a file in the folder of all runs, None if there is none; `RunError` if it cannot be read."""
    local = local_path(out)
    if local is not None:
        return read_bytes(local / name, error=RunError) if os.path.lexists(local / name) else None
    with remote(joined(out, name)) as (files, path):
        return bytes(files.cat_file(path)) if files.exists(path) else None


def _cached(url: str, folder: Path) -> Path:
    """Where the copy of a URL lies: a folder with its name in one for the URL alone."""
    name = base_name(url)
    check_name(name, url)
    return folder / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16] / name


def _fetch(url: str, folder: Path) -> Set[str]:
    """Make a folder a copy of what lies at a URL; returns the names of the files."""
    listing = folder.parent / _LISTING
    earlier = read_json(listing) if listing.is_file() else {}
    stamps: dict[str, Any] = {}
    with remote(url) as (files, path):
        root = files._strip_protocol(path).rstrip("/")
        for place, facts in sorted(files.find(root, detail=True).items()):
            name = place.removeprefix(root).lstrip("/")
            for part in name.split("/"):
                check_name(part, url)
            stamps[name] = [facts.get("size"), _seconds(facts)]
            target = folder / name
            if target.is_file() and earlier.get(name) == stamps[name]:
                continue
            with files.open(place, "rb") as source, atomic_write(target) as file:
                shutil.copyfileobj(source, file, 1 << 20)
            os.utime(target, (stamps[name][1],) * 2)  # evaluation is done again where files are newer
    for name in earlier.keys() - stamps.keys():
        (folder / name).unlink(missing_ok=True)
    write_json(listing, stamps)
    return stamps.keys()


def _seconds(facts: Mapping[str, Any]) -> float:
    """When a file was changed, as a file system tells it; 0 where it does not."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = facts.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
