"""The reference of all commands as Markdown, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

from help_text import Help, parser_help, program_help

from ultrafield import cli

_NOTHING = ("", "default: None", "default: False")  # the text of the option says what holds without it


def program_reference() -> str:
    """Every command of the `ultrafield` program with every option."""
    return "\n".join(line for name in cli.COMMANDS for line in _section(f"ultrafield {name}", program_help(name)))


def published_reference() -> str:
    """The published commands with every flag."""
    from ultrafield.published.evaluate import build_evaluate_parser
    from ultrafield.published.masks import build_hierarchy_parser, build_seg_parser
    from ultrafield.published.options import build_parser
    from ultrafield.published.segment import build_parser as build_segment_parser

    evaluations = (f"eval_{metric}.py" for metric in ("nc", "nc_dense", "vc"))
    parsers = [
        *map(build_parser, ("train.py", "render.py")),
        build_segment_parser(),
        *map(build_evaluate_parser, evaluations),
        build_hierarchy_parser(),
        build_seg_parser(),
    ]
    return "\n".join(line for parser in parsers for line in _section(parser.prog, parser_help(parser)))


def _section(title: str, command: Help) -> Iterator[str]:
    yield from (f"### {title}", "", _text(command.summary), "")
    if command.usage != title:
        yield from ("```text", command.usage, "```", "")
    for group in command.groups:
        if len(command.groups) > 1:
            title = "Arguments" if group.title == "positional arguments" else group.title.capitalize()
            yield from (f"**{title}**" + (f": {_text(group.text)}" if group.text else ""), "")
        for option in group.options:
            default = f" *({_text(option.default)})*" if option.default not in _NOTHING else ""
            yield from (f"`{option.spelling}`", f":   {_text(option.meaning)}{default}", "")


def _text(text: str) -> str:
    """Text in which nothing is taken for Markdown but code in backticks."""
    parts = text.split("`")
    for index in range(0, len(parts), 2):
        for letter in "\\*_[]<>":
            parts[index] = parts[index].replace(letter, "\\" + letter)
    return "`".join(parts)
