"""Levels by number, name and height."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.errors import ConfigError
from ultrafield.export.levels import automatic_levels, choose_levels

HEIGHTS = np.array([0.25, 0.5, 1.0], np.float32)


def columns(*chosen: str | int | float) -> list[tuple[str, float]]:
    return [(level.column, level.height) for level in choose_levels(chosen, HEIGHTS)]


def test_levels_are_chosen_by_number_name_and_height() -> None:
    automatic = [("level_0", 1.0), ("level_1", 0.5), ("level_2", 0.25)]
    assert columns() == automatic
    assert columns(2, "level_0") == [automatic[0], automatic[2]]
    assert columns("finest,coarsest") == [automatic[0], automatic[2]]
    assert columns("segment_1") == [automatic[1]]
    assert columns(0.125, "0.75", 1) == [("cut_0", 0.75), automatic[1], ("cut_1", 0.125)]
    assert columns(1, "1", "level_1") == [automatic[1]]
    assert [level.column for level in automatic_levels(HEIGHTS)] == ["level_0", "level_1", "level_2"]


@pytest.mark.parametrize("word", ["x", "-0.5", "nan", "inf", "", "<b>"])
def test_what_is_no_level_is_refused(word: str) -> None:
    with pytest.raises(
        ConfigError, match=r"level: expected a level's number or name, or a height, .*0 at height 1.000"
    ):
        columns(word)


def test_levels_that_are_not_there_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"there is no level 3; there are 3, 0 the coarsest \(a height has a point: 3.0"
    ):
        columns(3)
    with pytest.raises(ConfigError, match="expected at most 256, got 257"):
        columns(*[0.5] * 257)
