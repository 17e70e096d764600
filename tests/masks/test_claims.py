"""Claims on views, among threads and processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ultrafield.errors import SceneError
from ultrafield.masks.claims import Claims
from ultrafield.owner import BusyError, owned


def test_a_view_is_claimed_by_one(tmp_path: Path) -> None:
    claims = Claims(tmp_path, "train")
    assert claims.take("a")
    assert claims.take("b")
    with ThreadPoolExecutor(1) as other:  # a lock lets its own thread in again
        theirs = Claims(tmp_path, "train")
        assert not other.submit(theirs.take, "a").result()
        claims.give_back("a")
        assert other.submit(theirs.take, "a").result()
        other.submit(theirs.give_all_back).result()
    claims.give_all_back()
    assert list((tmp_path / "train_seg").iterdir()) == []


def test_claims_of_others_are_found(tmp_path: Path) -> None:
    claims = Claims(tmp_path, "train")
    claims.check_none()
    with ThreadPoolExecutor(1) as other:
        theirs = Claims(tmp_path, "train")
        assert other.submit(theirs.take, "a").result()
        with pytest.raises(BusyError, match="in use by process"):
            claims.check_none()
        other.submit(theirs.give_all_back).result()
    assert claims.take("a")
    claims.check_none()  # its own do not count
    claims.give_all_back()


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from ultrafield.masks.claims import Claims; "
        f"claims = Claims(Path({str(tmp_path)!r}), 'train'); print(claims.take('a'), flush=True); os._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
    assert (tmp_path / "train_seg/.a.claim").exists()
    claims = Claims(tmp_path, "train")
    claims.check_none()  # removes what it left
    assert list((tmp_path / "train_seg").iterdir()) == []
    assert claims.take("a")
    claims.give_all_back()


def test_names_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="cannot be a file name"):
        Claims(tmp_path, "train").take("../a")


def test_an_owner_may_be_waited_for(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as other:
        held = owned(tmp_path)
        other.submit(held.__enter__).result()
        with pytest.raises(BusyError), owned(tmp_path, wait=0.05):
            pass
        ending = other.submit(held.__exit__, None, None, None)
        with owned(tmp_path, wait=30.0) as outermost:
            assert outermost
        ending.result()
