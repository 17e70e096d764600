"""stages.json: which stages of a run are done, with which settings, and how long they took."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io import write_json
from ..reading import read_json


@dataclass(frozen=True)
class StageRecords:
    """The records of a run's stages.

    Attributes:
        file: Path of stages.json; it is made when the first record is written.
    """

    file: Path

    def finished(self, stage: str, settings: str) -> bool:
        """Whether `stage` has ended with exactly the settings that the fingerprint `settings` stands for."""
        record = self._read().get(stage, {})
        return record.get("settings") == settings and record.get("seconds") is not None

    def begun(self, stage: str, settings: str) -> bool:
        """Whether `stage` has at least begun with exactly these settings."""
        return self._read().get(stage, {}).get("settings") == settings

    def ended(self, stage: str) -> bool:
        """Whether `stage` has ended, with whatever settings."""
        return self._read().get(stage, {}).get("seconds") is not None

    def seconds(self) -> dict[str, float]:
        """Wall time of each finished stage."""
        return {name: record["seconds"] for name, record in self._read().items() if record["seconds"] is not None}

    def begin(self, stage: str, settings: str) -> None:
        """Record that `stage` is under way: its artefacts are not to be trusted until it is finished."""
        self._write(self._read() | {stage: {"settings": settings, "seconds": None}})

    def finish(self, stage: str, settings: str, seconds: float) -> None:
        """Record that `stage` is done."""
        self._write(self._read() | {stage: {"settings": settings, "seconds": round(seconds, 3)}})

    def forget(self, *stages: str) -> None:
        """Drop the records of stages whose artefacts are not to be trusted any more."""
        records = self._read()
        kept = {name: record for name, record in records.items() if name not in stages}
        if kept != records:
            self._write(kept)

    def forget_all(self) -> None:
        """Drop every record."""
        self.file.unlink(missing_ok=True)

    def adopt(self, other: StageRecords, *stages: str) -> None:
        """Take over the records of stages whose artefacts were copied from another run."""
        copied = {stage: other._read()[stage] | {"seconds": 0.0} for stage in stages}
        self._write(self._read() | copied)

    def _read(self) -> dict[str, dict[str, Any]]:
        records: dict[str, dict[str, Any]] = read_json(self.file) if self.file.is_file() else {}
        return records

    def _write(self, records: dict[str, dict[str, Any]]) -> None:
        write_json(self.file, records)
