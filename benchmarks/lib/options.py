"""Command lines of the benchmarks."""

from __future__ import annotations

import argparse
from pathlib import Path

DEVICES = ("auto", "cpu", "cuda")
PRESETS = ("draft", "standard", "paper")


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """A parser described by the first line of a script's docstring, with the option `--json` of all benchmarks."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine, options and results to this file too")
    return parser


def positive(text: str) -> int:
    """An integer of at least 1, as the type of an option."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value
