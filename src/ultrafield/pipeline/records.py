"""stages.json: which stages of a run are done, with which settings, from what, and the files that they wrote."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import RunError
from ..io import write_json
from ..parallel import in_threads
from ..reading import read_json

NOTHING: Mapping[str, str] = MappingProxyType({})  # what a stage was made from that has no stage before it
_FORMAT = 3


@dataclass(frozen=True)
class Record:
    """What is known of one stage.

    Attributes:
        settings: Fingerprint of its settings and of the scene.
        made_from: Digests of what it was made from, by name.
        seconds: Wall time; None while it is under way.
        files: Size and digest of every file that it wrote, by path below the run folder.
    """

    settings: str
    made_from: Mapping[str, str]
    seconds: float | None
    files: Mapping[str, tuple[int, str]]

    @property
    def content(self) -> str:
        """One digest of all files."""
        text = "\n".join(f"{name}\0{size}\0{digest}" for name, (size, digest) in sorted(self.files.items()))
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


class StageRecords:
    """The records of a run's stages, read once and then held.

    A stage counts as finished only while all of its files are there with the size and the digest that were recorded
    after they had been written.

    Args:
        root: The run folder. stages.json is made when the first record is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "stages.json"
        self.fault: str | None = None
        self._records: dict[str, Record] | None = None
        self._intact: set[tuple[str, int, int, str]] = set()

    def refresh(self) -> None:
        """Read the file again when it is needed next: another process may have written it."""
        self._records = None

    def finished(self, stage: str, settings: str, made_from: Mapping[str, str] = NOTHING) -> bool:
        """Whether `stage` ended with exactly these settings, from exactly this, and its files are as it left them."""
        return self.matches(stage, settings, made_from) and self.ended(stage) and not self.damaged(stage)

    def matches(self, stage: str, settings: str, made_from: Mapping[str, str] = NOTHING) -> bool:
        """Whether `stage` has at least begun with exactly these settings, from exactly this."""
        record = self._read().get(stage)
        return record is not None and (record.settings, record.made_from) == (settings, made_from)

    def settings(self, stage: str) -> str | None:
        """Fingerprint of the settings that `stage` began with; None if it has not begun."""
        record = self._read().get(stage)
        return None if record is None else record.settings

    def made_from(self, stage: str) -> Mapping[str, str]:
        """Digests of what a stage was made from; empty if it has not begun."""
        record = self._read().get(stage)
        return NOTHING if record is None else record.made_from

    def ended(self, stage: str) -> bool:
        """Whether `stage` has ended, with whatever settings."""
        record = self._read().get(stage)
        return record is not None and record.seconds is not None

    def damaged(self, stage: str) -> list[str]:
        """Files of a finished stage, by path below the run folder, that are missing or not as they were written."""
        files = self._read()[stage].files if self.ended(stage) else {}
        intact = in_threads(lambda item: self._is_intact(*item), files.items())
        return [name for name, good in zip(files, intact, strict=True) if not good]

    def damage(self, stage: str) -> str | None:
        """Damage of a finished stage as a text, None if there is none."""
        names = self.damaged(stage)
        if not names:
            return None
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        state = "not as it was written" if (self.root / names[0]).exists() else "missing"
        return f"{self.root / names[0]}{more}: {state}"

    def content(self, stage: str) -> str:
        """Digest of all files of a finished stage; empty if it is not finished."""
        return self._read()[stage].content if self.ended(stage) else ""

    def seconds(self) -> dict[str, float]:
        """Wall time of each finished stage."""
        return {name: record.seconds for name, record in self._read().items() if record.seconds is not None}

    def begin(self, stage: str, settings: str, made_from: Mapping[str, str] = NOTHING) -> None:
        """Record that `stage` is under way: its artefacts are not to be trusted until it is finished."""
        self._write(self._read() | {stage: Record(settings, dict(made_from), None, {})})

    def finish(
        self,
        stage: str,
        settings: str,
        seconds: float,
        files: Iterable[Path],
        made_from: Mapping[str, str] = NOTHING,
    ) -> None:
        """Record that `stage` is done, with the digests of its files, which must all be in place."""
        places = sorted(files)
        times = [file.stat().st_mtime_ns for file in places]
        written = dict(zip([self._name(file) for file in places], in_threads(_size_and_digest, places), strict=True))
        for time, (name, (size, digest)) in zip(times, written.items(), strict=True):
            self._intact.add((name, size, time, digest))  # not to be read again as long as they stay as they are
        record = Record(settings, dict(made_from), round(seconds, 3), written)
        self._write(self._read() | {stage: record})

    def forget(self, *stages: str) -> None:
        """Drop the records of stages whose artefacts are not to be trusted any more."""
        kept = {name: record for name, record in self._read().items() if name not in stages}
        if kept != self._read():
            self._write(kept)

    def forget_all(self) -> None:
        """Drop every record."""
        self.file.unlink(missing_ok=True)
        self.refresh()

    def adopt(self, other: StageRecords, *stages: str) -> None:
        """Take over the records of stages whose artefacts were copied from another run."""
        for stage in stages:
            record = other._read()[stage]
            self.finish(stage, record.settings, 0.0, [self.root / name for name in record.files], record.made_from)

    def _read(self) -> dict[str, Record]:
        if self._records is None:
            self._records = {}
            try:
                stages = read_json(self.file, error=RunError)["stages"] if self.file.exists() else {}
                self._records = {str(stage): _record(values) for stage, values in stages.items()}
            except (RunError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                reason = str(error) if isinstance(error, RunError) else f"{self.file}: not records of this version"
                self.fault = f"{reason}; what it said of this run is not believed"
        return self._records

    def _write(self, records: dict[str, Record]) -> None:
        self._records = records
        stages = {
            stage: vars(record) | {"made_from": dict(record.made_from), "files": dict(record.files)}
            for stage, record in records.items()
        }
        write_json(self.file, {"format": _FORMAT, "stages": stages})

    def _name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()

    def _is_intact(self, name: str, recorded: tuple[int, str]) -> bool:
        file = self.root / name
        try:
            status = file.stat()
            key = (name, status.st_size, status.st_mtime_ns, recorded[1])
            if key in self._intact:
                return True
            if not file.is_file() or status.st_size != recorded[0] or _size_and_digest(file) != recorded:
                return False
        except (OSError, ValueError):
            return False
        self._intact.add(key)
        return True


def _record(values: Any) -> Record:
    """A record as stored; KeyError, TypeError or ValueError if it is none."""
    seconds = None if values["seconds"] is None else float(values["seconds"])
    files = {str(name): (int(size), str(digest)) for name, (size, digest) in values["files"].items()}
    made_from = {str(name): str(digest) for name, digest in values["made_from"].items()}
    if seconds is not None and not 0 <= seconds < math.inf:
        raise ValueError("no time")
    if any(name.startswith("/") or ".." in Path(name).parts for name in files):
        raise ValueError("a file outside the run folder")
    return Record(str(values["settings"]), made_from, seconds, files)


def _size_and_digest(file: Path) -> tuple[int, str]:
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
        return stream.tell(), digest
