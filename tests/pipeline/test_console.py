"""Stages within stages."""

from __future__ import annotations

import pytest
from rich.console import Console

from ultrafield.pipeline.console import Report


def test_seconds_of_stages_within_stages() -> None:
    report = Report(notes=Console(quiet=True))
    with report.stage("outer"):
        for _ in range(2):
            with report.stage("inner"):
                pass
    with report.stage("inner"):
        pass
    assert set(report.seconds) == {"outer", "outer/inner", "inner"}
    assert report.seconds["outer/inner"] <= report.seconds["outer"]


def test_a_stage_that_fails_has_no_seconds_and_is_over() -> None:
    report = Report(notes=Console(quiet=True))
    with pytest.raises(ValueError, match="half-way"), report.stage("outer"):
        raise ValueError("half-way")
    with report.stage("next"):
        pass
    assert set(report.seconds) == {"next"}


def test_remarks_name_the_stage_alone(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    with report.stage("segment"), report.stage("surface"):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["segment …", "surface …"]
    assert [line.split(":")[0] for line in lines[2:]] == ["surface", "segment"]
