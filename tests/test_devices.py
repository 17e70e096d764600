"""Names of devices, and the errors for those that cannot run."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ultrafield import devices
from ultrafield.devices import resolve_device
from ultrafield.errors import BackendError


@pytest.fixture
def two_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices, "find_spec", lambda name: object())


@pytest.mark.parametrize("name", ["cpu", torch.device("cpu")])
def test_the_cpu_by_name(name):
    assert resolve_device(name) == torch.device("cpu")


@pytest.mark.usefixtures("two_cuda_devices")
@pytest.mark.parametrize("name", ["cuda", "cuda:1", torch.device("cuda:0")])
def test_cuda_by_name_and_number(name):
    assert resolve_device(name) == torch.device(name)


@pytest.mark.usefixtures("two_cuda_devices")
def test_a_number_without_a_device_is_an_error():
    with pytest.raises(BackendError, match=r"device 'cuda:2': this PyTorch sees 2 CUDA devices, cuda:0 to cuda:1"):
        resolve_device("cuda:2")


@pytest.mark.usefixtures("two_cuda_devices")
def test_auto_takes_cuda_if_it_can():
    assert resolve_device() == resolve_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("name", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_by_name_without_cuda_is_an_error(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(BackendError, match=f"^device '{name}': this PyTorch sees no CUDA device; use cpu$"):
        resolve_device(name)


def test_cuda_needs_triton(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(BackendError, match=r"^device 'cuda': the kernels need Triton; pip install triton, or use cpu$"):
        resolve_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "", "meta", torch.device("meta"), "cuda:one"])
def test_other_names_are_errors(name):
    with pytest.raises(ValueError, match=r"^device: expected auto, cpu, cuda, .*, got '"):
        resolve_device(name)


def test_other_types_are_errors():
    with pytest.raises(TypeError, match=r"^device: expected auto, .* got int$"):
        resolve_device(0)


def test_without_a_driver_none_is_woken(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(devices.ctypes, "CDLL", missing)
    assert not devices.wake_driver()


@pytest.mark.gpu
def test_pytorch_goes_on_with_a_driver_that_is_awake():
    program = """
from ultrafield.devices import wake_driver
assert wake_driver()
import torch
assert torch.cuda.is_available()
assert torch.ones(3, device="cuda").sum().item() == 3
"""
    subprocess.run([sys.executable, "-c", program], check=True)
