"""What the README promises."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ultrafield.config
from ultrafield import cli
from ultrafield.published.options import parse_options

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(
    tiny_scene: Path,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # it saves a segmentation
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL).group(1)
    assert '"demo/scene"' in code
    config = cli.parse(["train", "s", "--out", "r", *tiny]).method.config("draft")
    monkeypatch.setattr(ultrafield.config, "preset", lambda name: config)
    names: dict[str, object] = {}
    exec(code.replace('"demo/scene"', repr(str(tiny_scene))), names)
    assert len(names["segments"]) == len(names["surface"])
    assert capsys.readouterr().out.startswith("(")
    assert (tmp_path / "segmentation" / "tree.json").is_file()


def test_every_command_named_exists() -> None:
    named = set(re.findall(r"(?:^    |`)ultrafield ([a-z]+)\b", README, flags=re.MULTILINE))
    assert named
    assert named <= set(cli.COMMANDS)


def test_every_script_named_exists() -> None:
    for script in re.findall(r"python ((?:scripts/)?\w+\.py)", README):
        assert (ROOT / script).is_file()


def test_the_published_command_of_the_readme_parses() -> None:
    command = re.search(r"python train\.py (.*?)\n    python", README, flags=re.DOTALL).group(1)
    options = parse_options("train.py", command.replace("\\\n", " ").split())
    assert (options.root_dir, options.exp_name, options.num_epochs, options.rotate_test) == ("ROOT", "EXP", 20, True)


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    assert "    make test " in README
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"


def test_constraints_pin_every_dependency_to_a_version_it_accepts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    listed = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    for requirement in map(Requirement, listed):
        if requirement.name != "ultrafield":  # an extra that consists of others
            assert requirement.specifier.contains(pinned[requirement.name]), requirement
