"""SIGINT and SIGTERM end a process with one line, at once or when its work allows."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ultrafield import interruption

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
START = "from ultrafield.interruption import cleaned_up, delayed, leave, watch\nimport sys, time\nwatch('tool')\n"
BUSY = "import hashlib\nprint('ready', flush=True)\nhashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"  # without the GIL
CLEANED = """
from pathlib import Path
file = Path(sys.argv[1]) / "open"
file.touch()
with cleaned_up(file.unlink):
    print("ready", flush=True)
    time.sleep(60)
"""
DELAYED = """
with delayed() as asked:
    print("ready", flush=True)
    while not asked():
        time.sleep(0.01)
    leave("saved")
"""
STUBBORN = """
with delayed() as asked:
    print("ready", flush=True)
    time.sleep(60)
"""

FORWARDED = """
import os
from ultrafield.interruption import forwarded
with forwarded(lambda number: bool(print("passed on", number, flush=True)) or number == 2):
    print("ready", flush=True)
    time.sleep(60)
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", START + code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str]) -> str:
    """What a process says on stderr until it ends, which it must soon."""
    try:
        return process.communicate(timeout=60)[1]
    finally:
        process.kill()


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("code", "said"), [(BUSY, "what is finished is kept"), (CLEANED, "what is finished is kept"), (DELAYED, "saved")]
)
def test_one_line_and_the_signals_exit_code(number: signal.Signals, code: str, said: str, tmp_path: Path) -> None:
    with start(code, tmp_path) as process:
        process.send_signal(number)
        err = ended(process)
    assert process.returncode == CODES[number]
    assert err.startswith(f"tool: interrupted; {said}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with start(STUBBORN, tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        err = ended(process)
    assert process.returncode == 130
    assert err.count("\n") == 1


def test_signals_are_passed_on_and_answered_only_if_nobody_does(tmp_path: Path) -> None:
    with start(FORWARDED, tmp_path) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "passed on 2\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "passed on 15\n"
        err = ended(process)
    assert process.returncode == 143
    assert err.startswith("tool: interrupted; ")


@pytest.mark.parametrize("pause", [0.1, 0.25, 0.5])
def test_the_program_answers_from_its_start(pause: float, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ultrafield", "synth", "still-life", str(tmp_path / "scene"), "--size", "300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(pause)
        process.send_signal(signal.SIGTERM)
        err = ended(process)
    # Before the first line of the program the interpreter itself ends, without a word.
    assert process.returncode in (143, -signal.SIGTERM)
    assert "Traceback" not in err
    assert not (tmp_path / "scene").exists()


def ask_and_leave() -> None:
    with interruption.delayed() as asked:
        assert not asked()
        assert interruption.ask()
        assert asked()
        interruption.leave("saved")


def ask_and_look_away() -> None:
    with interruption.delayed():
        interruption.ask()


def test_a_block_that_is_asked_to_end_ends_and_the_process_goes_on() -> None:
    assert not interruption.ask()  # there is none
    with pytest.raises(interruption.Interrupted, match="saved"):
        ask_and_leave()
    with interruption.delayed() as asked:
        assert not asked()
    with pytest.raises(interruption.Interrupted):
        ask_and_look_away()
