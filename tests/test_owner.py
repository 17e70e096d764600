"""A folder has one owner at a time, and a dead process owns nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from ultrafield.owner import LOCK_NAME, BusyError, owned

HOLD = """
import sys, time
from pathlib import Path
from ultrafield.owner import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_holder_of_a_folder_is_named(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    expected = rf"{tmp_path}: in use by process {holder.pid} on .+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d; wait for it"
    with pytest.raises(BusyError, match=expected), owned(tmp_path):
        pass


def test_the_lock_of_a_dead_process_is_nobodys(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_NAME).is_file()
    with owned(tmp_path):
        assert f'"process": {os.getpid()}' in (tmp_path / LOCK_NAME).read_text()
    assert list(tmp_path.iterdir()) == []


def test_blocks_may_be_nested_but_threads_are_strangers(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def enter() -> None:
        try:
            with owned(tmp_path):
                pass
        except BusyError as error:
            failures.append(error)

    with owned(tmp_path) as outer:
        with owned(tmp_path) as inner:
            assert (outer, inner) == (True, False)
        assert (tmp_path / LOCK_NAME).is_file()
        thread = Thread(target=enter)
        thread.start()
        thread.join()
    assert len(failures) == 1
    assert not (tmp_path / LOCK_NAME).exists()
    with owned(tmp_path):
        pass


def test_a_garbled_lock_file_says_only_that_somebody_is_there(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    (tmp_path / LOCK_NAME).write_text("[]")
    with pytest.raises(BusyError, match="in use by another process"), owned(tmp_path):
        pass


def test_the_lock_file_may_lie_elsewhere(tmp_path: Path) -> None:
    with owned(tmp_path / "new", lock=tmp_path / ".new.lock"):
        assert (tmp_path / ".new.lock").is_file()
        assert not (tmp_path / "new").exists()
    assert list(tmp_path.iterdir()) == []
