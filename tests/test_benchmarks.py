"""The command that checks and times every operation, on small inputs."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ultrafield.config import FeatureConfig

FOLDER = Path(__file__).parents[1] / "benchmarks"
MODULES = (
    "case",
    "cases_field",
    "cases_graphs",
    "cases_march",
    "cases_segment",
    "cases_select",
    "cases_training",
    "cases_volrend",
    "ceilings",
    "ops",
    "runs",
    "timing",
)


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command's module; it and what stands beside it are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = import_module("ops")
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, sys.modules[name])
    return module


def run(ops: ModuleType, *names: str) -> int:
    return ops.main(["--quick", "--device", "cpu", "--samples", "500", "--repeats", "2", "--only", *names])


def test_operations_are_checked_and_timed(ops, capsys):
    assert run(ops, "encode", "accumulate", "minimax", "cut") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "medians of 2" in lines[0]
    assert "memory: " in lines[1]
    assert "fp32 products: " in lines[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert rows[0] == list(ops._COLUMNS)
    assert [row[0] for row in rows[1:]] == [
        "encode",
        "encode, gradient of the table",
        "encode, gradient of the positions",
        *["accumulate", "accumulate, backward"] * 3,
        "minimax",
        "cut",
    ]
    for row in rows[1:]:
        assert len(row) == len(rows[0])
        assert float(row[5].replace(",", "")) >= 0
        assert row[7].endswith("% memory")


def test_an_operation_that_differs_is_reported_and_not_timed(ops, capsys, monkeypatch):
    exact = ops.cases_field.encode_torch
    monkeypatch.setattr(ops.cases_field, "encode_torch", lambda x, table, layout: 1.001 * exact(x, table, layout))
    assert run(ops, "encode", "cut") == 1
    out = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("| ")][1:] == ["cut"]
    assert "\nencode (500 samples, 4 × 4 channels): not timed, check 1 differs by " in out


def test_an_operation_that_cannot_run_does_not_hide_the_others(ops, capsys, monkeypatch):
    def broken(*_):
        raise RuntimeError("no memory left")

    monkeypatch.setattr(ops.cases_field, "encode_torch", broken)
    assert run(ops, "encode", "cut") == 1
    captured = capsys.readouterr()
    assert "\nencode (500 samples, 4 × 4 channels): not timed, RuntimeError: no memory left" in captured.out
    assert "| cut |" in captured.out
    assert "Traceback" in captured.err


@pytest.mark.parametrize(
    ("found", "error"),
    [([1.0, 2.0], 0.0), ([1.0, float("nan")], float("inf")), ([1.0], float("inf")), ([1.0, 2.5], 0.5 / (2 + 2.5**0.5))],
)
def test_errors_are_relative_and_nothing_passes_for_nan(ops, found, error):
    check = ops.cases_field.compare(lambda: (torch.tensor([1.0, 2.0], dtype=torch.float64),), 0.0)
    assert check((torch.tensor(found),))[0].error() == pytest.approx(error)


def test_memory_that_an_operation_leaves_unwritten_is_found(ops):
    op = ops.Op(lambda: (torch.empty(3),), ops.cases_field.compare(lambda: (torch.zeros(3),), 1.0), bytes=12)
    assert ops.checked(op)[1] == "check 1 differs by inf, allowed is 1"
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeats", "0"], "--repeats, --samples: expected at least 1"),
        pytest.param(
            ["--device", "cuda"],
            "--device cuda: PyTorch finds no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA"),
        ),
    ],
)
def test_what_cannot_be_is_said(ops, options, message):
    with pytest.raises(SystemExit, match=message):
        ops.main(options)


@pytest.fixture
def feature_rows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the rows of `features.py`."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "feature_rows", raising=False)
    module = import_module("feature_rows")
    monkeypatch.setitem(sys.modules, "feature_rows", module)
    return module


def test_rows_of_features_are_settings(feature_rows):
    rows = feature_rows.choose([])
    assert len(rows) == sum(len(group) for group in feature_rows.GROUPS.values())  # no name twice
    settings = {name: replace(FeatureConfig(), **changes) for name, changes in rows.items()}
    assert settings["default"] == FeatureConfig()
    assert settings["dim 32"] == replace(FeatureConfig(), dim=32)


def test_rows_of_features_are_chosen_by_group_or_name(feature_rows):
    assert list(feature_rows.choose(["dim 32", "temperature", "default"])) == [
        "default",
        "temperature 0.05",
        "temperature 0.1",
        "temperature 0.2",
        "dim 32",
    ]
    with pytest.raises(SystemExit, match=r"--rows: expected groups \(terms, .* or rows \(default; .*, got 'dims'"):
        feature_rows.choose(["dim", "dims"])


def test_kernels_of_the_gpu_pass_their_checks(ops, kernel_device):
    """On a GPU, or in Triton's interpreter: the cases' calls fit the kernels."""
    setup = ops.Setup(torch.device(kernel_device), 200, 400, quick=True, triton=True)
    names = {
        "encode",
        "MLP density 64→64→16, Triton tf32, backward",
        "distortion",
        "visible_fixed",
        "select_heaviest 8",
        "median_distance",
        "sample_points",
        "pack_bits",
        "bottlenecks",
        "Adam on the table",
    }
    seen = set()
    for case in ops.all_cases(setup):
        if case.name in names:
            error, fault = ops.checked(case.make())
            assert fault is None, f"{case.name}: {error}"
            seen.add(case.name)
    assert seen == names
