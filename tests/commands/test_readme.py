"""What the README and the first pages of the documentation promise."""

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
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
COMING_FROM = (ROOT / "docs" / "coming_from.md").read_text(encoding="utf-8")


def test_the_python_example_runs(
    tiny_scene: Path,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # it saves a segmentation
    code = re.search(r"```python\n(.*?)```", QUICKSTART, flags=re.DOTALL).group(1)
    assert '"demo/scene"' in code
    config = cli.parse(["train", "s", "--out", "r", *tiny]).method.config("draft")
    monkeypatch.setattr(ultrafield.config, "preset", lambda name: config)
    names: dict[str, object] = {}
    exec(code.replace('"demo/scene"', repr(str(tiny_scene))), names)
    assert len(names["segments"]) == len(names["surface"])
    assert capsys.readouterr().out.startswith("(")
    assert (tmp_path / "segmentation" / "tree.json").is_file()


def test_every_command_named_exists() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    named = set(re.findall(r"(?:^    |`)ultrafield ([a-z]+)\b", text, flags=re.MULTILINE))
    assert {"run", "import", "export"} <= named
    assert named <= set(cli.COMMANDS)


def test_every_script_named_exists() -> None:
    scripts = re.findall(r"python ((?:scripts/)?\w+\.py)", COMING_FROM)
    assert len(scripts) >= 6
    for script in scripts:
        assert (ROOT / script).is_file()


def test_the_published_command_of_the_documentation_parses() -> None:
    command = re.search(r"python train\.py (.*?)\n    python", COMING_FROM, flags=re.DOTALL).group(1)
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
