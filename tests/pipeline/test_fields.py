"""The fields of a run folder are read by one function, which refuses others than the folder was segmented with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ultrafield as uf
from ultrafield.errors import RunError
from ultrafield.pipeline.fields import fields_of
from ultrafield.pipeline.film_views import load_geometry
from ultrafield.pipeline.folder import RunFolder
from ultrafield.viewer.fields import LoadedFields

READERS: dict[str, Callable[[Path], Any]] = {
    "itself": lambda run: fields_of(RunFolder(run)).geometry,
    "open_run": lambda run: uf.open_run(run).load_field(),  # type: ignore[misc]
    "film": lambda run: load_geometry(uf.open_run(run), "cpu"),
    "viewer": lambda run: LoadedFields.of(RunFolder(run), uf.open_run(run).surface).fields.geometry,
}


@pytest.mark.parametrize("name", READERS)
def test_all_read_the_same_field_and_refuse_another(tiny_run: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    expected, field = fields_of(RunFolder(tiny_run)).geometry.state_dict(), READERS[name](run).state_dict()
    assert all(np.array_equal(expected[key].cpu(), field[key].cpu()) for key in expected)
    stored = (run / "stages.json").read_text()
    for stage in ("render", "segment"):
        stages = json.loads(stored)
        stages["stages"][stage]["made_from"]["geometry"] = "0" * 32
        (run / "stages.json").write_text(json.dumps(stages))
        with pytest.raises(RunError, match="was segmented with another field; next: ultrafield segment"):
            READERS[name](run)
    (run / "stages.json").write_text(stored)
    (run / "field.safetensors").write_bytes(b"broken")
    with pytest.raises(RunError, match=r"field\.safetensors: not as it was written; next: ultrafield train"):
        READERS[name](run)
