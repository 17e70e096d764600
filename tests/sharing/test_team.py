"""Processes that work together, on the CPU."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest
import shared_work
import torch

from ultrafield.errors import BackendError, ConfigError
from ultrafield.sharing import ALONE, Group, Team
from ultrafield.sharing import team as module
from ultrafield.sharing.gpus import check_gpus, gpu_team
from ultrafield.sharing.team import MemberError
from ultrafield.sharing.wire import encode, receive, send

NUMBERS = [[1.0, -2.0], [3.0, 0.5]]


def test_what_lies_in_two_processes_is_put_together(pair: Team) -> None:
    assert pair.size == 2
    pair.start(shared_work.combine, NUMBERS)
    mine = shared_work.combine(shared_work.here(pair), NUMBERS)
    (theirs,) = pair.finish()
    together = [[4.0, -1.5], [3.0, 0.5], [1.0, -2.0], [[1.0], [3.0, 0.5]]]
    assert mine == [*together, 0.25]
    assert theirs == [*together, 0.75]


def test_alone_nothing_changes() -> None:
    numbers = torch.tensor([1.0, 2.0])
    for action in (ALONE.add_up, ALONE.keep_largest, ALONE.take_first):
        action(numbers)
    assert numbers.tolist() == [1.0, 2.0]
    assert ALONE.collect(numbers)[0] is numbers
    assert ALONE.share(0.0, numbers.device) == 1.0
    assert (ALONE.part(7), Group(1, 4).part(7), Group(1, 4).part(8)) == (7, 2, 2)


def test_objects_arrive_as_they_were() -> None:
    here, there = socket.socketpair()
    with here, there:
        value = {"array": np.arange(5000.0).reshape(50, 100)[:, ::2].copy(), "empty": np.zeros((0, 3)), "text": "ü"}
        send(here, encode(value))
        found = receive(there)
        assert found["text"] == "ü"
        for name in ("array", "empty"):
            np.testing.assert_array_equal(found[name], value[name])
            assert found[name].flags.writeable
        here.close()
        with pytest.raises(EOFError):
            receive(there)


def test_an_error_elsewhere_is_told_here_and_a_busy_process_ends_with_the_team() -> None:
    told: list[tuple[str, int]] = []
    with Team(["cpu", "cpu", "cpu"], fail=lambda text, code: told.append((text, code))) as team:
        processes = [link.process for link in team._links]
        team.start_each(shared_work.fail_or_linger, lambda rank: (rank == 1, "garden: no pictures"), apart=True)
        with pytest.raises(MemberError, match=r"^GPU 1: garden: no pictures$") as caught:
            team.finish()
    assert caught.value.exit_code == 2
    assert told == []  # the block has ended in time
    assert [process.poll() for process in processes] == [1, 0]


def test_a_process_that_dies_ends_the_program_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.0)
    told: list[tuple[str, int]] = []
    with Team(["cpu", "cpu"], fail=lambda text, code: told.append((text, code))) as team:
        team._links[0].process.kill()
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
    assert told == [("GPU 1: its process has ended (exit code -9)", 1)]


@pytest.mark.parametrize(
    ("gpus", "device", "there", "text"),
    [
        (0, "auto", 0, "--gpus: expected at least 1, got 0"),
        (2, "cpu", 4, "--gpus: 2 GPUs cannot work on the device 'cpu'"),
        (2, "auto", 0, "--gpus: this PyTorch sees no CUDA device, not 2"),
        (2, "cuda", 1, "--gpus: this PyTorch sees 1 CUDA device, not 2"),
        (8, "cuda", 4, "--gpus: this PyTorch sees 4 CUDA devices, not 8"),
    ],
)
def test_gpus_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, gpus: int, device: str, there: int, text: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(ConfigError) as caught:
        gpu_team(gpus, device)
    assert str(caught.value) == text
    assert caught.value.exit_code == 2


def test_several_gpus_need_nccl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    with pytest.raises(BackendError, match="--num_gpus: several GPUs need a PyTorch with NCCL"):
        check_gpus(2, "auto", option="--num_gpus")


def test_one_gpu_is_no_team() -> None:
    with gpu_team(1, "cpu") as team:
        assert team is None
