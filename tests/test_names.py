"""What may name a file, and what may not."""

from __future__ import annotations

import re

import pytest

from ultrafield.errors import ConfigError, SceneError
from ultrafield.names import MAX_BYTES, check_name


@pytest.mark.parametrize("name", ["r_0", "d.v2", ".hidden", "...", "a b", "ü", "12:30", "x" * MAX_BYTES])
def test_names_of_files(name: str) -> None:
    check_name(name, "here")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "'' cannot be a file name: it is empty"),
        (".", "'.' cannot be a file name: it stands for another folder"),
        ("..", "'..' cannot be a file name: it stands for another folder"),
        ("a/b", "it holds a path separator"),
        ("/etc", "it holds a path separator"),
        ("..\\a", "it holds a path separator"),
        ("C:a", "it begins with a drive"),
        ("a\n", "it holds a control character"),
        ("a\0", "it holds a control character"),
        ("\x85", "it holds a control character"),
        ("\ud800", "it cannot be encoded"),
        ("ü" * 101, "it has 202 bytes, which is more than 200"),
    ],
)
def test_names_that_are_none(name: str, text: str) -> None:
    with pytest.raises(SceneError, match=f"^here: .*{re.escape(text)}"):
        check_name(name, "here")


def test_the_error_is_that_of_the_caller() -> None:
    with pytest.raises(ConfigError, match="--exp_name"):
        check_name("..", "--exp_name", ConfigError)
