"""A whole run that two processes share; on the CPU, as no GPU is at hand where the suite runs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from ultrafield import cli
from ultrafield.commands import run as command
from ultrafield.commands import train as training
from ultrafield.sharing import Team


def test_two_processes_share_a_run(
    pair: Team,
    tiny_scene: Path,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[tuple[int, str]] = []

    def on_the_cpu(gpus: int, device: str) -> nullcontext[Team]:
        asked.append((gpus, device))
        return nullcontext(pair)

    monkeypatch.setattr(command, "gpu_team", on_the_cpu)
    monkeypatch.setattr(training, "gpu_team", on_the_cpu)
    run = tmp_path / "run"
    line = [str(tiny_scene), "--out", str(run), "--engine", "both", "--gpus", "2", *tiny]
    assert cli.main(["run", *line]) == 0
    assert asked == [(2, "cpu")]
    for name in ("field.safetensors", "tree.npz", "metrics.json", "report.html"):
        assert (run / name).is_file()
    assert not (run / "state.pt").exists()
    capsys.readouterr()
    monkeypatch.undo()
    alone = [str(tiny_scene), "--out", str(run), "--engine", "both", *tiny]
    assert cli.main(["train", *alone]) == 0  # what two have trained, one need not train again
    assert "train: done before with these settings, kept" in capsys.readouterr().err
