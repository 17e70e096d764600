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


def test_a_reader_that_has_gone_is_no_error_message() -> None:
    code = "import sys\nfrom ultrafield.pipeline.guard import guarded\n"
    code += "sys.exit(guarded('tool', lambda: [print('x' * 1000, flush=True) for _ in range(1000)] and None))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
