"""Cuts to export, chosen by number, name or height."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, shortened

_MOST = 256


@dataclass(frozen=True)
class Level:
    """A cut of the tree.

    Attributes:
        column: What files call it: `level_0` (the coarsest automatic level), `level_1`, … or, at a height that the
            user chose, `cut_0`, `cut_1`, … from coarse to fine.
        height: Where the tree is cut.
    """

    column: str
    height: float


def automatic_levels(heights: np.ndarray) -> tuple[Level, ...]:
    """All automatic levels, the coarsest first; `heights` [L] in any order."""
    return tuple(Level(f"level_{index}", float(height)) for index, height in enumerate(np.sort(heights)[::-1]))


def choose_levels(chosen: Sequence[str | int | float], heights: np.ndarray) -> tuple[Level, ...]:
    """Levels by what the user calls them, coarse ones first.

    Args:
        chosen: Numbers of automatic levels (0 is the coarsest), names ("level_2", "coarsest", "finest"), or heights:
            numbers with a point, as text or as float. All automatic levels if empty.
        heights: The automatic levels [L].

    Raises:
        ConfigError: What is chosen is none of these; the text says what there is.
    """
    automatic = automatic_levels(heights)
    if not chosen:
        return automatic
    words = [word for item in chosen for word in (item.split(",") if isinstance(item, str) else [item])]
    if len(words) > _MOST:
        raise ConfigError(f"expected at most {_MOST}, got {len(words)}", setting="level")
    levels = [_level(word, automatic) for word in words]
    free = sorted({level.height for level in levels if level.column == ""}, reverse=True)
    named = [level if level.column else Level(f"cut_{free.index(level.height)}", level.height) for level in levels]
    return tuple(sorted(dict.fromkeys(named), key=lambda level: (-level.height, level.column)))


def _level(word: str | int | float, automatic: Sequence[Level]) -> Level:
    text = str(word).strip().lower()
    names = {"coarsest": 0, "finest": len(automatic) - 1} | {level.column: at for at, level in enumerate(automatic)}
    number = names.get(text.replace("segment_", "level_"), int(text) if text.isdecimal() and len(text) < 6 else None)
    if number is not None:
        if number >= len(automatic):
            raise ConfigError(
                f"there is no level {number}; there are {len(automatic)}, 0 the coarsest (a height has a point: "
                f"{number}.0)",
                setting="level",
            )
        return automatic[number]
    try:
        height = float(text)
    except ValueError:
        height = math.nan
    if not 0 <= height < math.inf:
        known = ", ".join(f"{at} at height {level.height:.3f}" for at, level in enumerate(automatic))
        shown = shortened(text, 40)
        raise ConfigError(f"expected a level's number or name, or a height, got {shown!r}; levels: {known}",
                          setting="level")  # fmt: skip
    return Level("", height)
