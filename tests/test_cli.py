"""The program as its users meet it: help, presets, and errors as one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ultrafield import __version__, cli
from ultrafield.commands.run import Run
from ultrafield.commands.segment import Segment
from ultrafield.commands.train import Train
from ultrafield.config import Config, GeometryConfig, SegmentConfig, preset
from ultrafield.pipeline.folder import RunFolder
from ultrafield.scene.options import SceneOptions

HEAVY = ("torch", "numba", "matplotlib", "cv2", "higra", "trimesh", "scipy")
OPTIONS = {
    "demo": ["--out", "--seed", "--size", "--train-views", "--overwrite", "--device"],
    "import": ["SRC", "OUT", "--frames", "--rate", "--lens", "--matching", "--undistort", "--keep-all", "--overwrite"],
    "synth": ["SRC", "OUT", "--size", "--train-views", "--seed", "--mask-noise", "--overwrite"],
    "masks": ["SCENE", "--model", "--out", "--width", "--downsample", "--allow-missing"],
    "train": [
        *("SCENE", "--out RUN", "--engine {field,lift,both}", "--preset {auto,draft,standard,paper}", "--seed"),
        *(
            "--device {auto,cpu,cuda}",
            "--gpus",
            "--downsample",
            "--width",
            "--hold-out",
            "--masks PATH",
            "--allow-missing",
        ),
        *("--linkage {single,average}", "--cuts", "--geometry.steps", "--geometry.grid.levels", "--features.dim"),
        *("--features.no-hierarchical", "--segment.label-radius"),
    ],
    "segment": ["RUN", "--engine", "--linkage", "--cuts", "--segment.neighbors"],
    "render": ["RUN", "--frames", "--device"],
    "eval": ["RUN", "--sampling", "--seed", "--published"],
    "run": ["SCENE", "--out RUN", "--gpus", "--overwrite", "--engine", "--preset", "--masks PATH", "--no-serve"],
    "batch": [
        "SCENES",
        "--out RUNS",
        "--address HOST:PORT",
        "--per-gpu",
        "--cores",
        "--retries",
        "--cache DIR",
        "--engine",
    ],
    "serve": ["--device {auto,cpu,cuda}", "--idle MINUTES", "--cold", "--status", "--stop"],
    "export": [
        *("RUN", "--to FORMAT", "--onto FILE", "--level", "--node ID", "--split LEVEL", "--distance", "--faces"),
        *("--features", "--colors {photo,segments}", "--y-up", "--out PATH", "--overwrite"),
    ],
    "name": ["RUN", "--csv FILE", "--node ID", "--name NAME", "--iou", "--overwrite"],
    "find": ["RUN", "TEXT"],
    "view": ["RUN", "--host ADDRESS", "--port", "--smallest", "--open"],
    "warmup": ["--device {auto,cpu,cuda}", "--preset {auto,draft,standard,paper}"],
}


def run_main(*arguments: str) -> int:
    """Exit code of the program, however it ends."""
    try:
        return cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_a_command_names_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(command, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS[command]:
        assert option in text


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("--help") == 0
    text = capsys.readouterr().out
    assert list(cli.COMMANDS) == list(OPTIONS)
    for command in OPTIONS:
        assert f"• {command} " in text


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from ultrafield.cli import main
for command in {list(OPTIONS)!r}:
    try:
        main([command, "--help"])
    except SystemExit:
        pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("--version") == 0
    assert capsys.readouterr().out.startswith("ultrafield 0.")


def test_help_shows_the_numbers_of_the_preset_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("train", "--preset", "paper", "--help") == 0
    assert "Optimiser steps. (default: 20000)" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_a_preset_fills_in_what_is_not_given() -> None:
    command = cli.parse(["train", "scene", "--out", "run", "--preset=standard", "--geometry.steps", "7"])
    assert isinstance(command, Train)
    assert command.method.geometry.steps == 7
    assert command.method.geometry.rays == preset("standard").geometry.rays
    assert command.method.features == preset("standard").features


def test_the_paper_preset_brings_its_engine_and_linkage() -> None:
    command = cli.parse(["run", "scene", "-o", "run", "--preset", "paper"])
    assert isinstance(command, Run)
    config = command.method.config("paper")
    assert (config.engine, config.segment.linkage) == ("field", "single")


def test_auto_is_draft_on_the_cpu_and_standard_on_cuda() -> None:
    on_cpu = cli.parse(["train", "scene", "--out", "run", "--device", "cpu"])
    on_cuda = cli.parse(["train", "scene", "--out", "run", "--device", "cuda", "--seed", "3"])
    assert on_cpu.method.geometry == preset("draft").geometry
    assert on_cuda.method.geometry == preset("standard").geometry
    assert on_cuda.method.seed == 3


def test_shorthands_reach_the_nested_settings() -> None:
    command = cli.parse(["train", "s", "--out", "r", "--device", "cpu", "--linkage", "single", "--cuts", "9"])
    assert command.method.config("draft").segment == SegmentConfig(linkage="single", cuts=9)


@pytest.mark.parametrize("second", [["--segment.cuts", "5"], ["--segment.cuts=5"]])
def test_a_setting_is_not_given_twice(second: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_main("run", "scene", "--out", str(tmp_path / "run"), "--cuts", "3", *second) == 2
    assert "--cuts: is the same as --segment.cuts; give one of them" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_segment_starts_from_the_settings_of_the_run(tmp_path: Path) -> None:
    from ultrafield.pipeline.folder import RunFolder
    from ultrafield.scene.options import SceneOptions

    stored = Config(segment=SegmentConfig(linkage="single", neighbors=5))
    RunFolder(tmp_path / "run").write_config(tmp_path / "scene", SceneOptions(), stored)
    command = cli.parse(["segment", str(tmp_path / "run"), "--segment.neighbors", "6"])
    assert isinstance(command, Segment)
    assert command.segment == SegmentConfig(linkage="single", neighbors=6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "/no/scene", "--out", "{tmp}/run"], "/no/scene: no such folder"),
        (["train", "{tmp}", "--out", "{tmp}/run"], "no camera poses found"),
        (["train", "{tmp}", "--out", "{tmp}/run", "--downsample", "2"], "--downsample: expected a number more than 0"),
        (
            ["train", "{tmp}", "--out", "{tmp}/run", "--width", "0"],
            "--width: expected None, or a whole number from 1 to 65536",
        ),
        (
            ["train", "{tmp}", "--out", "{tmp}/run", "--hold-out", "1"],
            "--hold-out: expected None, or a whole number from 2",
        ),
        (
            ["train", "{tmp}", "--out", "{tmp}/run", "--cuts", "0"],
            "--cuts: expected None, or a whole number from 1 to 1000, got 0",
        ),
        (["segment", "{tmp}"], "no run folder (no config.json)"),
        (["render", "{tmp}"], "no run folder (no config.json)"),
        (["eval", "{tmp}"], "no run folder (no config.json)"),
        (["render", "{tmp}", "--frames", "-1"], "--frames: expected a whole number from 0 to 10000, got -1"),
        (["eval", "{tmp}", "--sampling", "0"], "--sampling: expected None, or a whole number from 1"),
        (["eval", "{tmp}", "--seed", "-1"], "--seed: expected a whole number from 0"),
        (["demo", "--out", "{tmp}/demo", "--size", "1000000000000"], "--size: expected a whole number from 16 to 8192"),
        (["synth", "still-life", "{tmp}/out", "--least-turn", "nan"], "--least-turn: expected a number from 0 to 180"),
        (["synth", "still-life", "{tmp}/out", "--lowest", "70"], "--lowest: expected at most highest (67), got 70"),
        (["train", "{tmp}", "--out", "{tmp}/run", "--geometry.grid.levels", "0"], "--geometry.grid.levels: expected"),
        (["train", "{tmp}", "--out", "{tmp}/run", "--features.grid.levels", "0"], "--features.grid.levels: expected"),
        (["train", "{tmp}", "--out", "{tmp}/run", "--seed", "-1"], "--seed: expected a whole number from 0"),
        (["train", "{tmp}", "--out", "{tmp}/run", "--gpus", "0"], "--gpus: expected at least 1, got 0"),
        (
            ["run", "{tmp}", "--out", "{tmp}/run", "--device", "cpu", "--gpus", "2"],
            "--gpus: 2 GPUs cannot work on the device 'cpu'",
        ),
        (["train", "{tmp}", "--out", "{tmp}/run", "--gpus", "99"], "--gpus: this PyTorch sees"),
        (["masks", "/no/scene"], "/no/scene: no such folder"),
        (["synth", "/no/model.glb", "{tmp}/out"], "/no/model.glb"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_main(*(argument.format(tmp=tmp_path) for argument in arguments))
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert lines[-1].startswith("ultrafield: error: ")
    assert text in lines[-1]
    assert sum("error" in line for line in lines) == 1
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "{tmp}", "--out", "{tmp}/file"], "{tmp}/file: exists and is not a folder"),
        (["masks", "{tmp}", "--out", "{tmp}/file/below"], "{tmp}/file/below: Not a directory"),
        (["synth", "still-life", "{tmp}/loop/new"], "{tmp}/loop/new: Too many levels of symbolic links"),
        (["demo", "--out", "{tmp}/" + "x" * 300], "{tmp}/" + "x" * 300 + ": File name too long"),
        (["train", "{tmp}/" + "x" * 300, "--out", "{tmp}/new"], "{tmp}/" + "x" * 300 + ": File name too long"),
        (["train", "{tmp}", "--out", "{tmp}/new", "--masks", "{tmp}/file/m"], "{tmp}/file/m: Not a directory"),
        (["eval", "{tmp}/loop"], "{tmp}/loop: Too many levels of symbolic links"),
        (["segment", "{tmp}/a\0b"], "{tmp}/a\0b: embedded null byte"),
        (["train", "{tmp}/a\nb", "--out", "{tmp}/new"], "{tmp}/a\\nb: no such folder"),
    ],
)
def test_places_that_cannot_be_used(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert run_main(*(argument.format(tmp=tmp_path) for argument in arguments)) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1] == f"ultrafield: error: {text.format(tmp=tmp_path)}"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train"], ["train", "s", "--out", "r", "--steps", "3"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(*arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_broken_config_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"scene": "s", "data": {}, "config": {"speed": 3}}')
    assert run_main("eval", str(tmp_path)) == 2
    assert "config.json: cannot be used (config: unknown setting 'speed'" in capsys.readouterr().err


def test_a_value_that_is_no_number_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("train", "s", "--out", "r", "--geometry.steps", "many") == 2
    assert "--geometry.steps" in capsys.readouterr().err


def test_geometry_options_cover_the_whole_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("train", "--help") == 0
    text = capsys.readouterr().out
    for name in vars(GeometryConfig()):
        assert f"--geometry.{name.replace('_', '-')}" in text


def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ultrafield.pipeline.folder import RunFolder
    from ultrafield.scene.options import SceneOptions

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def execute(self: object) -> None:
        RunFolder(tmp_path / "run").write_config(tmp_path / "scene", SceneOptions(), Config())

    monkeypatch.setattr(Train, "execute", execute)
    monkeypatch.setattr(os, "replace", full)
    assert run_main("train", "scene", "--out", "run", "--device", "cpu") == 1
    target = tmp_path / "run" / "config.json"
    assert capsys.readouterr().err == f"ultrafield: error: No space left on device: {target}\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_ctrl_c_is_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Train, "execute", interrupted)
    assert run_main("train", "scene", "--out", "run", "--device", "cpu") == 130
    assert capsys.readouterr().err == "ultrafield: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["--version"], 0, f"ultrafield {__version__}\n", ""),
        (["eval", "missing"], 2, "", "ultrafield: error: "),
    ],
)
def test_the_process_ends_with_all_of_its_output(
    tmp_path: Path, arguments: list[str], code: int, out: str, err: str
) -> None:
    """The output goes to pipes, which Python flushes only when it is told to or takes itself apart."""
    command = [sys.executable, "-m", "ultrafield.cli", *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (code, out)
    assert result.stderr.startswith(err)
    assert result.stderr.count("\n") == (1 if err else 0)


@pytest.mark.parametrize(("closed", "arguments", "code"), [(1, "--version", 0), (2, "eval missing", 2)])
def test_closed_streams_change_no_exit_code(tmp_path: Path, closed: int, arguments: str, code: int) -> None:
    command = f"exec {sys.executable} -m ultrafield.cli {arguments} {closed}>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False, capture_output=True).returncode == code


@pytest.mark.parametrize("value", ["0", "None"])
def test_a_setting_is_switched_off_by_none_or_zero(value: str) -> None:
    options = ("--segment.voxel", "--segment.superpoints", "--geometry.samples", "--features.vote-voxel")
    command = cli.parse(
        ["train", "s", "--out", "r", "--device", "cpu", *(word for o in options for word in (o, value))]
    )
    config = command.method.config("draft")
    assert config.segment == SegmentConfig(voxel=None, superpoints=None)
    assert (config.geometry.samples, config.features.vote_voxel) == (None, None)


def test_errors_of_settings_name_the_option(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["train", "s", "--out", str(tmp_path / "run"), "--geometry.max-samples-per-ray", "0"]
    assert cli.main(arguments) == 2
    assert (
        "error: --geometry.max-samples-per-ray: expected a whole number from 1 to 16384, got 0"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("command", sorted(cli.COMMANDS.keys() - {"serve"}))  # whose jobs have limits of their own
@pytest.mark.parametrize("value", ["nan", "-1", "1e308"])
def test_every_command_refuses_a_senseless_memory(
    command: str, value: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    places = {"run": ["s", "-o", "r"], "train": ["s", "-o", "r"], "demo": [], "warmup": [], "synth": ["s", "r"]}
    places |= {"find": [str(tmp_path / "run"), "x"], "export": [str(tmp_path / "run"), "--to", "ply"]}
    places |= {"import": ["s", "r"], "batch": ["s", "-o", "r"]}
    run = RunFolder(tmp_path / "run")
    run.write_config(tmp_path, SceneOptions(), Config())
    assert cli.main([command, *places.get(command, [str(run.root)]), "--memory", value]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ultrafield: error: --memory: expected ")
    assert "from 0.5 to 1048576" in line


@pytest.mark.usefixtures("default_memory")
def test_settings_that_need_more_memory_than_there_may_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    large = ["--geometry.samples", "16000000", "--geometry.hidden", "512"]
    arguments = ["train", str(tmp_path), "--out", str(tmp_path / "run"), "--device", "cpu", "--memory", "1", *large]
    assert cli.main(arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("ultrafield: error: --geometry.samples: takes about ")
    assert line.endswith("GiB, more than the 1.0 that may be taken; a larger --memory raises the limit")
    assert cli.main(["synth", "still-life", str(tmp_path / "out"), "--memory", "1", "--size", "8192"]) == 2
    assert "error: --size: takes about " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
