"""The results of a batch as a Parquet table, one row for each run folder."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from ..errors import RunError, first_line
from ..extras import require
from ..pipeline.stages import STAGES
from .entries import RESERVED
from .outcome import FIGURES, Fault, Outcome, State
from .storage import joined, read_beside, write_beside

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
    content = read_beside(out, TABLE)
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


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {name: _storable(getattr(outcome, name)) for name in _TEXTS}
    row |= {f"seconds_{stage}": seconds for stage, seconds in outcome.stages.items()}
    return row | dict(outcome.figures) | {"seconds": outcome.seconds, "losses": list(outcome.losses)}


def _storable(text: str) -> str:
    """A text as UTF-8 can hold it; names of files in a reason may be other bytes."""
    return text.encode(errors="backslashreplace").decode()


def _outcome(row: dict[str, Any]) -> Outcome:
    """A row as it was written; KeyError, TypeError or ValueError if it is none."""
    for name, values in (("state", get_args(State)), ("fault", get_args(Fault))):
        if row[name] not in values:
            raise ValueError(f"{name}: cannot be {row[name]!r}")
    return Outcome(
        **{name: _text(name, row[name]) for name in _TEXTS},
        seconds=_number("seconds", row["seconds"]),
        stages={stage: value for stage in STAGES if (value := _optional(f"seconds_{stage}", row)) is not None},
        figures={name: value for name in FIGURES if (value := _optional(name, row)) is not None},
        losses=tuple(_number("losses", value) for value in row["losses"] or ()),
    )


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected text, got {value!r}")
    return value


def _number(name: str, value: Any) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    return float(value)


def _optional(name: str, row: Mapping[str, Any]) -> float | None:
    return None if row[name] is None else _number(name, row[name])
