"""The results of a batch as a Parquet table, one row for each run folder."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import RunError, first_line
from ..extras import require
from ..pipeline.stages import STAGES
from ..reading import read_bytes
from .entries import RESERVED
from .outcome import FIGURES, Outcome
from .storage import joined, local_path, remote, write_beside

TABLE = RESERVED[0]
FORMAT = 1  # of the columns; tables of another one are refused
_KEY = b"ultrafield.batch"
_TEXTS = ("name", "scene", "state", "reason", "fault", "node", "finished", "version")


def write_table(out: str, outcomes: Iterable[Outcome]) -> None:
    """Write results.parquet: columns `name`, `scene`, `state`, `reason`, `fault`, `node`, `finished`, `version`,
    `seconds`, `seconds_STAGE` of each stage, the figures of the result, and the list `losses`.
    """
    arrow, parquet = require("pyarrow", "batch"), require("pyarrow.parquet", "batch")
    fields = [(name, arrow.string()) for name in _TEXTS] + [("seconds", arrow.float64())]
    fields += [(name, arrow.float64()) for name in (*(f"seconds_{stage}" for stage in STAGES), *FIGURES)]
    schema = arrow.schema([*fields, ("losses", arrow.list_(arrow.float32()))], {_KEY: str(FORMAT).encode()})
    table = arrow.Table.from_pylist([_row(outcome) for outcome in outcomes], schema)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    write_beside(out, TABLE, buffer.getvalue())


def read_table(out: str) -> list[Outcome]:
    """The rows of an earlier batch, none if there was none.

    Raises:
        RunError: The file is no table of this version.
    """
    arrow, parquet = require("pyarrow", "batch"), require("pyarrow.parquet", "batch")
    file = joined(out, TABLE)
    content = _content(file)
    if content is None:
        return []
    try:
        stored = parquet.ParquetFile(io.BytesIO(content))
        said = (stored.schema_arrow.metadata or {}).get(_KEY)
        if said == str(FORMAT).encode():
            return [_outcome(row) for row in stored.read().to_pylist()]
    except (arrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: cannot be read as results of a batch ({first_line(error)}); move it away") from None
    version = "no version" if said is None else f"version {said.decode(errors='replace')}"
    raise RunError(
        f"{file}: a table of {version}, where this program writes version {FORMAT}; move it away, and the same command "
        "makes it anew from the run folders"
    )


def _content(file: str) -> bytes | None:
    local = local_path(file)
    if local is not None:
        return read_bytes(local, error=RunError) if Path(local).exists() else None
    with remote(file) as (files, path):
        return bytes(files.cat_file(path)) if files.exists(path) else None


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(outcome, name) for name in _TEXTS}
    row |= {f"seconds_{stage}": seconds for stage, seconds in outcome.stages.items()}
    return row | dict(outcome.figures) | {"seconds": outcome.seconds, "losses": list(outcome.losses)}


def _outcome(row: dict[str, Any]) -> Outcome:
    return Outcome(
        **{name: row[name] for name in _TEXTS},
        seconds=row["seconds"],
        stages={stage: row[f"seconds_{stage}"] for stage in STAGES if row[f"seconds_{stage}"] is not None},
        figures={name: row[name] for name in FIGURES if row[name] is not None},
        losses=tuple(row["losses"] or ()),
    )
