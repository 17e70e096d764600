"""Lists of file names that say what is trained on and what is held out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ultrafield.errors import SceneError
from ultrafield.scene import load_scene

Make = Callable[..., Path]


def picture(index: int) -> str:
    return f"images/{index:04d}.png"


def splits(root: Path, warnings: list[str] | None = None) -> dict[str, list[str]]:
    scene = load_scene(root, warn=(warnings if warnings is not None else []).append)
    return {name: [view.name for view in split] for name, split in scene.splits.items()}


@pytest.mark.parametrize(
    ("lists", "train", "val"),
    [
        ({"train": [1, 2], "val": [3], "test": [0, 4]}, [1, 2], [3]),
        ({"train": [1, 2], "test": [0, 4]}, [1, 2], [0, 4]),
        ({"train": [1, 2], "val": [], "test": [4]}, [1, 2], [4]),
        ({"val": [3], "test": [4]}, [0, 1, 2], [3]),
        ({"train": [0, 1, 2, 3, 4]}, [0, 1, 2, 3, 4], None),
        ({"train": [0, 1, 2], "val": [2, 3, 4]}, [0, 1, 2], [2, 3, 4]),
    ],
)
def test_lists_make_the_splits(make_capture: Make, lists: dict, train: list[int], val: list[int] | None) -> None:
    keys = {f"{split}_filenames": [f"./{picture(index)}" for index in members] for split, members in lists.items()}
    found = splits(make_capture(5, **keys))
    assert found["train"] == [f"{index:04d}" for index in train]
    assert found.get("val") == (None if val is None else [f"{index:04d}" for index in val])


def test_names_with_other_slashes_and_endings(make_capture: Make) -> None:
    root = make_capture(5, train_filenames=["images\\0000.png", "images/0001", "images/0002.jpg"])
    assert splits(root)["train"] == ["0000", "0001", "0002"]


def test_names_of_no_frame_and_frames_in_no_list_are_said_once(make_capture: Make) -> None:
    warnings: list[str] = []
    root = make_capture(5, train_filenames=[picture(0), picture(1), "x.png"], val_filenames=["y.png", picture(2)])
    assert splits(root, warnings) == {"train": ["0000", "0001"], "val": ["0002"]}
    assert warnings == [
        f"{root}/transforms.json: 2 names in its lists are no frame's 'file_path' (first: 'x.png' in "
        "'train_filenames')",
        f"{root}/transforms.json: 2 frames are in none of its lists of file names and not used (first: "
        "images/0003.png)",
    ]


def test_listed_views_without_picture_are_left_out(make_capture: Make) -> None:
    root = make_capture(5, train_filenames=[picture(index) for index in range(4)], val_filenames=[picture(4)])
    (root / picture(1)).unlink()
    assert splits(root) == {"train": ["0000", "0002", "0003"], "val": ["0004"]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"train_filenames": "images/0000.png"},
            "'train_filenames' must be a list of file names, got 'images/0000.png'",
        ),
        ({"val_filenames": [3]}, "'val_filenames' must be a list of file names, got [3]"),
        ({"test_filenames": {}}, "'test_filenames' must be a list of file names, got {}"),
        ({"train_filenames": []}, "its lists of file names leave no training view"),
        ({"val_filenames": [picture(index) for index in range(4)]}, "its lists of file names leave no training view"),
    ],
)
def test_lists_that_cannot_be_used(make_capture: Make, keys: dict[str, Any], message: str) -> None:
    root = make_capture(**keys)
    with pytest.raises(SceneError, match=re.escape(f"{root}/transforms.json: {message}")):
        load_scene(root, warn=lambda _: None)
