"""The references on the site: every command, option and public name is in them."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import tyro
from cli_reference import program_reference, published_reference
from help_text import parse_help, printed_help, program_help

import ultrafield
import ultrafield.config
import ultrafield.ultrametric
from ultrafield import cli
from ultrafield.published.options import parse_options
from ultrafield.scene.layout import LAYOUTS

REFERENCE = program_reference()
DOCS = Path(__file__).parents[2] / "docs"
OPTION = r"(?<![\w-])--[a-z][\w.-]*\w"


def section(title: str, reference: str = REFERENCE) -> str:
    """What a reference says about one command."""
    return reference.partition(f"### {title}\n")[2].partition("\n### ")[0]


def option_fields(kind: type) -> Iterator[str]:
    """Names of the fields of a dataclass that are options, and of those of dataclasses in it."""
    types = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        annotated = types[field.name]
        plain, marks = getattr(annotated, "__origin__", annotated), getattr(annotated, "__metadata__", ())
        if dataclasses.is_dataclass(plain):
            yield from option_fields(plain)
        elif tyro.conf.Positional not in marks and tyro.conf.Suppress not in marks:
            yield next((mark.name for mark in marks if getattr(mark, "name", None)), field.name)


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_option_of_every_command_is_listed_with_its_meaning(name: str) -> None:
    options = {option for group in program_help(name).groups for names in group.options for option in names.names}
    said = set(re.findall(rf"^│ (?:.*, )?({OPTION})", printed_help(name), flags=re.MULTILINE))
    assert said | {"--help"} <= options
    listed = section(f"ultrafield {name}")
    for option in options:
        assert re.search(rf"`(.*, )?{re.escape(option)}\b.*`\n:   \w", listed), option
    # From the other side: every setting that the command's type has, under whatever prefix.
    written = {option.lstrip("-").rpartition(".")[2].replace("-", "_").lower() for option in options}
    assert set(option_fields(cli.COMMANDS[name])) <= written


def test_long_spellings_and_descriptions_of_groups_are_put_together() -> None:
    listed = section("ultrafield train")
    layouts = ",".join(LAYOUTS)
    assert f"`--layout {{{layouts}}}`" in listed
    assert "**Features.grid options**: Hash grid of the feature field" in listed
    assert "`--geometry.full-size, --geometry.no-full-size`" in listed
    assert re.search(r"`--geometry.steps INT`\n:   Optimiser steps. \*\(default: \d+\)\*", listed)


def test_help_is_taken_apart() -> None:
    text = "\n".join(
        [
            "usage: p [-h] [--long {a,b}] IN",
            "",
            "Does something.",
            "",
            "╭─ positional arguments ─╮",
            "│ IN   What. (required)  │",
            "╰────────────────────────╯",
            "╭─ more options ─────────╮",
            "│ Of all kinds.          │",
            "│ ────────────────────── │",
            "│ -o, --long {a,         │",
            "│ b}                     │",
            "│       One of           │",
            "│       two. (default: a)│",
            "╰────────────────────────╯",
        ]
    )
    help_text = parse_help(text)
    (argument,), (option,) = (group.options for group in help_text.groups)
    assert (help_text.usage, help_text.summary) == ("p [-h] [--long {a,b}] IN", "Does something.")
    assert (argument.names, argument.meaning, argument.default) == (["IN"], "What.", "required")
    assert (option.spelling, option.names) == ("-o, --long {a,b}", ["-o", "--long"])
    assert (option.meaning, option.default, help_text.groups[1].text) == ("One of two.", "default: a", "Of all kinds.")


def test_every_flag_of_the_published_commands_is_listed() -> None:
    reference = published_reference()
    flags = {field.name for field in dataclasses.fields(parse_options("train.py", ["--root_dir", "r"]))}
    listed = section("train.py", reference)
    assert {flag for flag in flags if f"`--{flag}" not in listed} == set()
    for title in (
        "render.py",
        "3dseg.py",
        "eval_nc.py",
        "eval_nc_dense.py",
        "eval_vc.py",
        "get_hierarchy.py",
        "get_seg.py",
    ):
        assert ":   " in section(title, reference), title


def test_every_public_name_is_in_the_python_reference() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    names = [name for mark in re.findall(r"<!-- api: (.*?) -->", text) for name in mark.split()]
    assert len(names) == len(set(names))
    assert set(ultrafield.__all__) - {"__version__"} == {name for name in names if "." not in name}
    core = {name.partition(".")[2] or name for name in names}
    assert set(ultrafield.ultrametric.__all__) <= core
    for name in names:
        package, _, last = f"ultrafield.{name}".rpartition(".")
        assert hasattr(import_module(package), last), name


@pytest.mark.parametrize("name", sorted(set(ultrafield.__all__) - {"__version__"}))
def test_every_argument_of_public_functions_and_methods_is_explained(name: str) -> None:
    public = getattr(ultrafield, name)
    parts = {"": public} if inspect.isfunction(public) else inspect.getmembers_static(public, is_method)
    for label, part in dict(parts).items():
        function = inspect.unwrap(getattr(part, "__func__", part))
        if label.startswith("_") or not getattr(function, "__module__", "").startswith("ultrafield"):
            continue
        text = inspect.getdoc(function)
        assert text, f"{name}.{label}"
        names = [argument for argument in inspect.signature(function).parameters if argument not in ("self", "cls")]
        if len(names) > 1:
            assert [argument for argument in names if f"    {argument}: " not in text] == [], f"{name}.{label}"


def is_method(member: object) -> bool:
    """Whether a member of a class is a method of any kind."""
    return inspect.isfunction(member) or isinstance(member, classmethod | staticmethod)


def test_every_layout_is_in_the_list_of_what_is_read() -> None:
    text = (DOCS / "data.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w[\w-]*)` \|", text, flags=re.MULTILINE)) == set(LAYOUTS) - {"auto"}
