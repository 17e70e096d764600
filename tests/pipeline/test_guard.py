"""How commands end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from ultrafield.errors import BackendError, ConfigError, RunError, SceneError, TrainingError
from ultrafield.pipeline.guard import guarded


def raising(error: BaseException) -> Callable[[], None]:
    """An action that ends with `error`."""

    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SceneError("garden: no pictures"), 2, "error: garden: no pictures"),
        (ConfigError("--cuts: expected 1"), 2, "error: --cuts: expected 1"),
        (RunError("run: nothing"), 2, "error: run: nothing"),
        (BackendError("no CUDA"), 1, "error: no CUDA"),
        (TrainingError("color is nan"), 1, "error: color is nan"),
        (OSError(errno.ENOSPC, "No space left on device", "a.npz"), 1, "error: No space left on device: a.npz"),
        (OSError("odd"), 1, "error: odd"),
        (MemoryError(), 1, "error: out of memory (no details); try --preset draft or a smaller --width"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
            1,
            "error: the device is out of memory (CUDA out of memory. Tried to allocate 2 GiB); "
            "try --preset draft or --device cpu",
        ),
        (KeyError("x"), 1, "error: KeyError: 'x' (a defect of ultrafield; ULTRAFIELD_DEBUG=1 shows where)"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_end_is_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ULTRAFIELD_DEBUG", raising=False)
    assert guarded("tool", raising(error)) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"tool: {line}\n")


def test_success_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded("tool", lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ULTRAFIELD_DEBUG", "1")
    with pytest.raises(SceneError, match="garden"):
        guarded("tool", raising(SceneError("garden")))


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "utf-8:strict"}, {"LC_ALL": "C"}]
)
def test_names_are_printed_whatever_the_encoding(variables: dict[str, str]) -> None:
    program = "\n".join(
        [
            "from ultrafield.pipeline.console import Report",
            "from ultrafield.pipeline.guard import guarded",
            "def act():",
            r"    Report().result('Zitrone \U0001f34b, \udcff \u2026')",
            r"    Report().table('K\u00f6pfe', ['\u6f22\u5b57'], [['\u2013']])",
            r"    Report().note('\udcff \u2026')",
            "raise SystemExit(guarded('tool', act))",
        ]
    )
    environment = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"} | variables
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ | environment)
    assert (found.returncode, b"error" in found.stderr) == (0, False)
    assert b"Zitrone" in found.stdout


@pytest.mark.parametrize("value", ["0", "-2"])
def test_a_number_of_threads_that_numba_refuses_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    assert guarded("tool", lambda: None) == 2
    expected = f"tool: error: NUMBA_NUM_THREADS: expected a whole number of at least 1, got {value}\n"
    assert capsys.readouterr().err == expected
    for other in ("", "4", "many"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", other)
        assert guarded("tool", lambda: None) == 0


def test_a_reader_that_has_gone_is_no_error_message() -> None:
    code = "import sys\nfrom ultrafield.pipeline.guard import guarded\n"
    code += "sys.exit(guarded('tool', lambda: [print('x' * 1000, flush=True) for _ in range(1000)] and None))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
