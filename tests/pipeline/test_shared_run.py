"""A whole run that two processes share; on the CPU, as no GPU is at hand where the suite runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from ultrafield import cli
from ultrafield.commands import run as command
from ultrafield.commands import train as training
from ultrafield.sharing import Team
from ultrafield.training.checkpoint import load_state


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


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the other process in Linux's /proc")
def test_ctrl_c_saves_the_state_and_ends_both_processes(tiny_scene: Path, tiny: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = [
        "ultrafield",
        "train",
        str(tiny_scene),
        "--out",
        str(run),
        "--gpus",
        "2",
        *tiny,
        "--geometry.steps",
        "99999",
    ]
    program = (
        "import sys; from ultrafield.commands import train; from ultrafield.sharing import Team; "
        "from ultrafield.start import program; train.gpu_team = lambda gpus, device: Team([device] * gpus); "
        f"sys.argv = {line!r}; program()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    log = run / "log.jsonl"
    try:
        _wait_until(lambda: log.is_file() and '"step": 0' in log.read_text())
        (other,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1].splitlines()[-1]
    finally:
        process.kill()
    assert process.returncode == 130
    step = int(said.partition("geometry after step ")[2].split()[0])
    assert said.endswith("whose state is saved; the same command goes on from there")
    state = load_state(run)
    assert state is not None
    assert state["step"] == step
    _wait_until(lambda: not Path(f"/proc/{other}").exists())


def _wait_until(done: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    ends = time.monotonic() + 100
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.05)
