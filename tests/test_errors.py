"""Errors name the argument in Python and the option on the command line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ultrafield.errors import ConfigError, SceneError, UltrafieldError, check_choice, in_shell


@pytest.mark.parametrize(
    ("error", "in_python", "on_the_command_line"),
    [
        (UltrafieldError("plain"), "plain", "plain"),
        (ConfigError("too small", setting="hold_out"), "hold_out: too small", "--hold-out: too small"),
        (ConfigError("too small", setting="geometry.lr"), "geometry.lr: too small", "--geometry.lr: too small"),
        (SceneError("gone. Set {setting}.", setting="a_b"), "gone. Set a_b.", "gone. Set --a-b."),
    ],
)
def test_settings_and_options(error: UltrafieldError, in_python: str, on_the_command_line: str) -> None:
    assert str(error) == in_python
    assert error.for_command_line() == on_the_command_line
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.for_command_line()) == (in_python, on_the_command_line)


def test_a_choice_names_its_setting() -> None:
    with pytest.raises(ConfigError, match="layout: expected one of a, b, got 'c'"):
        check_choice("layout", "c", ("a", "b"))


def test_paths_are_quoted_where_a_shell_would_split_them() -> None:
    assert [in_shell(place) for place in (Path("a/b"), "my scene", "-x", "it's")] == [
        "a/b",
        "'my scene'",
        "./-x",
        """'it'"'"'s'""",
    ]
