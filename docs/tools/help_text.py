"""Options of commands, read from the help that they print."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from unittest.mock import patch

from ultrafield import cli

_WIDTH = 129  # columns: as many as leave the boxes below each other
_BOX, _RULE = re.compile(r"^╭─ (.+?) ─*╮$"), re.compile(r"^─+$")
_DEFAULT = re.compile(r"\s*\((default: .*|required)\)$")


@dataclass
class Option:
    """An option or argument: how it is written, what it means, and its default in words."""

    spelling: str
    meaning: str = ""
    default: str = ""

    @property
    def names(self) -> list[str]:
        """Names of the option, such as ["-o", "--out"]; of an argument its own."""
        return re.findall(r"(?:^|, )(-{1,2}[\w.-]+)", self.spelling) or [self.spelling]


@dataclass
class Group:
    """Options under one heading."""

    title: str
    text: str = ""
    options: list[Option] = field(default_factory=list)


@dataclass(frozen=True)
class Help:
    """What a command says of itself."""

    usage: str
    summary: str
    groups: tuple[Group, ...]


def program_help(command: str) -> Help:
    """The help of a command of the `ultrafield` program."""
    return parse_help(printed_help(command))


def printed_help(command: str) -> str:
    """What `ultrafield COMMAND --help` prints."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # tyro draws boxes for it, but not for io.StringIO
    surroundings = patch.dict(os.environ, {"COLUMNS": str(_WIDTH), "NO_COLOR": "1"})
    with surroundings, contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        cli.parse([command, "--help"])
    said.seek(0)
    return said.read()


def parse_help(text: str) -> Help:
    """Take apart what tyro prints: usage, a sentence or more, boxes of options."""
    lines = text.rstrip().splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("╭"))
    usage, _, summary = "\n".join(lines[:start]).strip().partition("\n\n")
    return Help(usage.removeprefix("usage: "), summary.strip(), tuple(_groups(lines[start:])))


def _groups(lines: Sequence[str]) -> Iterator[Group]:
    content: list[str] = []
    title = ""
    for line in lines:
        if heading := _BOX.match(line):
            title, content = heading[1], []
        elif line.startswith("╰"):
            yield _group(title, content)
        else:
            content.append(line.removeprefix("│ ").removesuffix("│").rstrip())


def _group(title: str, lines: Sequence[str]) -> Group:
    """A box: perhaps a text above a rule, then options, each followed by its indented meaning."""
    group = Group(title)
    rule = next((index for index, line in enumerate(lines) if _RULE.match(line)), None)
    if rule is not None:
        group.text, lines = " ".join(lines[:rule]), lines[rule + 1 :]
    arguments = title == "positional arguments"
    for line in lines:
        written = line.strip()
        if not line.startswith(" ") and (arguments or line.startswith("-")):
            spelling, _, meaning = (part.strip() for part in line.partition("  "))
            group.options.append(Option(spelling, meaning))
        elif not line.startswith(" "):  # the rest of a spelling that is longer than a line
            group.options[-1].spelling += written
        else:
            group.options[-1].meaning += f" {written}"
    for option in group.options:
        if default := _DEFAULT.search(option.meaning):
            option.default, option.meaning = default[1], option.meaning[: default.start()]
        option.meaning = option.meaning.strip()
    return group


def parser_help(parser: argparse.ArgumentParser) -> Help:
    """The options of a published command, from its parser."""
    group = Group("options")
    for action in parser._actions:
        names = ", ".join(action.option_strings) or str(action.metavar or action.dest).upper()
        value = "" if action.nargs == 0 or not action.option_strings else f" {_value(action)}"
        default = "required" if action.required else "" if action.nargs == 0 else f"default: {action.default}"
        group.options.append(Option(names + value, (action.help or "").replace("%%", "%"), default))
    return Help(parser.prog, parser.description or "", (group,))


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest.upper())
