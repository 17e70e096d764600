"""Where an export goes: a folder or file of its own, which appears whole or not at all and replaces only exports."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import SceneError, UltrafieldError
from ..interruption import cleaned_up
from ..io import fresh_folder
from ..owner import owned
from ..reading import read_json
from ..removal import files_below, kinds, temporary_name

LABELS = "labels.json"
FORMAT, VERSION = "ultrafield labels", 1
# What exports consist of; a folder that is to be replaced is held against its own list of files besides.
_OURS = kinds(r"(?:[^/]+/)*[^/]+\.(?:ply|glb|usd|usda|usdc|json|png|laz|npz|npy)")


@dataclass(frozen=True)
class Target:
    """A place that an export is written to.

    Attributes:
        folder: Where to write files; it is not there for others yet.
        stem: Name of the main file, without its ending.
    """

    folder: Path
    stem: str


def check_target(out: Path, endings: tuple[str, ...], *, overwrite: bool, several: str | None = None) -> bool:
    """Raise unless an export may be written to `out`; says whether it is a single file.

    Args:
        out: A folder, or a file with one of the format's endings.
        endings: Endings of a format that has a main file, such as ".ply".
        overwrite: Whether an earlier export may be replaced.
        several: Option that makes an export several files, for which a folder is needed; None without.

    Raises:
        SceneError: It exists and may not be replaced, or is no place for this export.
    """
    single = out.suffix.lower() in endings
    if out.is_symlink():
        raise SceneError(f"{out}: is a link, through which nothing is written")
    around = next((place for place in out.absolute().parents if os.path.lexists(place)), out)
    if not around.is_dir():
        raise SceneError(f"{out}: {around} is not a folder")
    if single and several is not None:
        raise SceneError(f"{out}: {several} writes several files; give a folder")
    if not single and out.suffix and not out.exists() and re.fullmatch(r"\.[A-Za-z]{2,5}", out.suffix):
        expected = f"a folder, or a file that ends in {' or '.join(endings)}" if endings else "a folder"
        raise SceneError(f"{out}: expected {expected}")
    if single and os.path.lexists(beside(out)) and _labels(beside(out)) is None:
        raise SceneError(
            f"{beside(out)}: was not written by ultrafield export, so it is not replaced; choose another name"
        )
    if not os.path.lexists(out):
        return single
    if not (out.is_file() if single else out.is_dir()):
        raise SceneError(f"{out}: exists and is {'no file' if single else 'not a folder'}")
    if not single and not any(out.iterdir()):
        return single
    if not overwrite:
        raise SceneError(f"{out}: exists; choose another place, or replace it with --overwrite")
    listed = _listed(beside(out) if single else out / LABELS)
    there = [out.name] if single else [file.relative_to(out).as_posix() for file in files_below(out)]
    for name in there:
        if listed is None or (name not in listed and name != LABELS):
            what = out if single or listed is None else out / name
            raise SceneError(f"{what}: was not written by ultrafield export, so it is not replaced")
    return single


def beside(file: Path) -> Path:
    """The labels.json of an export that is a single file."""
    return file.with_name(f"{file.stem}.{LABELS}")


def also_explained(out: Path, explanation: Mapping[str, Any], *, overwrite: bool) -> list[str]:
    """Names of other exports, such as mug.glb beside mug.ply, that the labels.json of a single file explains too.

    Args:
        out: The file that is to be written, which `check_target` has found no fault with.
        explanation: The levels and nodes that its labels.json will list.
        overwrite: Whether it may list others than it does so far, where there are such exports.

    Raises:
        SceneError: It explains another export, whose segments are others, and that may not be changed.
    """
    stored = _labels(beside(out)) if os.path.lexists(beside(out)) else None
    others = [] if stored is None else [str(name) for name in stored["files"] if str(name) != out.name]
    others = [name for name in others if (out.parent / name).is_file()]
    same = stored is None or all(stored.get(key) == value for key, value in explanation.items())
    if others and not same and not overwrite:
        raise SceneError(
            f"{beside(out)}: explains {others[0]}, whose segments are others; choose another name, or replace what it "
            "says with --overwrite"
        )
    return others


@contextmanager
def fresh_target(out: Path, *, single: bool) -> Iterator[Target]:
    """A place to write an export to, which takes the name `out` when the block ends without an error.

    A full disk is reported with the name `out`, and leaves nothing behind.
    """
    out = Path(os.path.abspath(out))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with owned(out, lock=out.parent / f".{out.name}.lock"):
            if single:
                with _fresh_file(out) as folder:
                    yield Target(folder, out.stem)
            else:
                with fresh_folder(out, _OURS) as folder:
                    yield Target(folder, "segments")
    except OSError as failure:
        failure.filename = str(out)
        raise


@contextmanager
def _fresh_file(out: Path) -> Iterator[Path]:
    """A folder for a file and its labels.json, which are moved to their places at the end."""
    temporary = temporary_name(out)
    temporary.mkdir()
    try:
        with cleaned_up(partial(shutil.rmtree, temporary, ignore_errors=True)):
            yield temporary
            os.replace(temporary / LABELS, beside(out))
            os.replace(temporary / out.name, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _listed(file: Path) -> set[str] | None:
    """Files that an export says it consists of; None if it is none."""
    stored = _labels(file)
    return None if stored is None else {str(name) for name in stored["files"]}


def _labels(file: Path) -> dict[str, Any] | None:
    """The content of the labels.json of an export; None if it is none, or a link."""
    stored: Any = None
    with suppress(UltrafieldError):
        stored = None if file.is_symlink() else read_json(file)
    if not isinstance(stored, dict) or stored.get("format") != FORMAT or not isinstance(stored.get("files"), list):
        return None
    return stored
