"""Every kernel compiled, nothing left behind."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from ultrafield import cli
from ultrafield.commands import warmup
from ultrafield.commands.warmup import warmup_config
from ultrafield.config import HashGridConfig, preset


def test_both_engines_run_twice_and_leave_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    draft, grid = preset("draft"), HashGridConfig(levels=4, log2_entries=12)
    geometry = replace(draft.geometry, grid=grid, occupancy_resolution=32, max_samples_per_ray=128)
    small = {"geometry": geometry, "features": replace(draft.features, grid=grid)}
    monkeypatch.setattr(warmup, "preset", lambda name: replace(draft, **small))
    monkeypatch.setitem(warmup._SCENE, "cpu", (24, 4))
    assert cli.main(["warmup", "--device", "cpu"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for engine in ("lift", "field"):
        for stage in ("load", "train", "segment", "eval"):
            (row,) = (line for line in lines if line[:2] == [f"{engine}:", stage])
            assert len(row) == 4
    assert ["first", "again"] in lines
    assert not list(tmp_path.glob("ultrafield-*"))


def test_sizes_on_the_cpu_do_not_matter_to_compiled_kernels() -> None:
    config = warmup_config(preset("standard"), "cpu")
    assert config.geometry.grid == preset("standard").geometry.grid
    assert config.geometry.rays < preset("standard").geometry.rays
    assert config.geometry.steps < 100
