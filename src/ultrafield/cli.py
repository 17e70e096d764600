"""The `ultrafield` program: options from types (tyro), defaults from presets and run folders, errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Protocol, Self, Union, get_args

import tyro

from . import __version__
from .commands.batch import Batch
from .commands.capture import Import
from .commands.demo import Demo
from .commands.evaluate import Evaluate
from .commands.export import Export
from .commands.find import Find
from .commands.masks import Masks
from .commands.name import Name
from .commands.options import MethodOptions, check_shorthands
from .commands.render import Render
from .commands.run import Run
from .commands.segment import Segment
from .commands.serve import Serve, prepare
from .commands.synth import Synth
from .commands.train import Train
from .commands.view import View
from .commands.warmup import Warmup
from .config import Preset
from .pipeline.guard import guarded, settle_threads
from .serve.worker import work
from .start import code_of
from .start import program as program

PROGRAM = "ultrafield"
DESCRIPTION = """Photographs with known cameras and 2D masks in, a tree of view-consistent 3D segments out.

Start with: ultrafield demo"""


class Command(Protocol):
    """A command's options, which carry the command out."""

    def informed(self) -> Self | None:
        """Options with better defaults, now that a preset or a run folder is known; None if there are none."""

    def execute(self) -> None:
        """Carry the command out."""


COMMANDS: dict[str, type[Command]] = {
    "demo": Demo,
    "import": Import,
    "synth": Synth,
    "masks": Masks,
    "train": Train,
    "segment": Segment,
    "render": Render,
    "eval": Evaluate,
    "run": Run,
    "batch": Batch,
    "serve": Serve,
    "export": Export,
    "name": Name,
    "find": Find,
    "view": View,
    "warmup": Warmup,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program on `argv` (the process's own arguments by default) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return 0
    return guarded(PROGRAM, lambda: parse(arguments).execute())


def work_for_server() -> int:
    """Do the jobs of `ultrafield serve`, at the other end of a descriptor that the process's argument names."""
    settle_threads()
    return work(int(sys.argv[1]), lambda arguments: code_of(lambda: main(arguments)), prepare)


def parse(arguments: Sequence[str]) -> Command:
    """Turn arguments into a command with all its options.

    The settings a preset decides are only defaults: what is given explicitly wins. Defaults are known only once the
    preset or the run folder is, so a command may ask for a second reading with better ones.

    Raises:
        SystemExit: Wrong usage (code 2), or `--help` (code 0).
        UltrafieldError: An option with a value that cannot be used.
    """
    defaults = _preset_defaults(_preset_named(arguments) or "draft")
    command = _parse(arguments, defaults)
    check_shorthands({option.split("=", 1)[0].removeprefix("--") for option in arguments if option.startswith("--")})
    informed = command.informed()
    if informed is None:
        return command
    name = next(name for name, kind in COMMANDS.items() if kind is type(command))
    return _parse(arguments, defaults | {name: informed})


def _parse(arguments: Sequence[str], defaults: dict[str, Any]) -> Command:
    kinds: Any = tuple(
        Annotated[kind, tyro.conf.subcommand(name, default=defaults.get(name, tyro.MISSING_NONPROP))]
        for name, kind in COMMANDS.items()
    )
    kind: Any = Union[kinds]  # noqa: UP007
    command: Command = tyro.cli(kind, prog=PROGRAM, description=DESCRIPTION, args=arguments)
    return command


def _preset_named(arguments: Sequence[str]) -> Preset | None:
    """The preset that the arguments name, so that `--preset paper --help` shows that preset's numbers."""
    words = [part for argument in arguments for part in argument.split("=", 1)]
    named = [value for flag, value in pairwise(words) if flag == "--preset"]
    names: tuple[Preset, ...] = get_args(Preset)
    return next((name for name in names if named[-1:] == [name]), None)


def _preset_defaults(name: Preset) -> dict[str, Any]:
    """Default options of the commands that a preset concerns."""
    method = MethodOptions.of_preset(name)
    return {
        "train": Train.with_defaults(method),
        "run": Run.with_defaults(method),
        "batch": Batch.with_defaults(method),
    }


if __name__ == "__main__":
    program()
