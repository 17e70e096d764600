"""What masks that somebody else made are matched by."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from ultrafield.pipeline.mask_makers import view_names
from ultrafield.scene import View

ROOT = Path("scene")


def names(**splits: dict[str, str]) -> dict[str, list[tuple[str, ...]]]:
    """`view_names` of views by name, each with its picture."""
    views = {split: [View(name, file=ROOT / file) for name, file in of.items()] for split, of in splits.items()}
    return view_names(SimpleNamespace(splits=views, root=ROOT))  # type: ignore[arg-type]


def test_a_name_that_fits_a_held_out_picture_too_is_nobodys() -> None:
    found = names(train={"b_0": "images/b/0.png", "c_1": "images/c/1.png"}, val={"a_0": "images/a/0.png"})
    assert found["train"][0] == ("b_0", "images/b/0", "images/b/0.png", "b/0", "b/0.png")
    assert found["train"][1][1:3] == ("1", "1.png")
    assert found["val"][0] == ("a_0", "images/a/0", "images/a/0.png", "a/0", "a/0.png")


def test_splits_that_are_listed_apart_use_the_same_names() -> None:
    found = names(train={"r_0": "train/r_0.png", "r_1": "train/r_1.png"}, val={"r_0": "val/r_0.png"})
    assert found["train"][0][:2] == ("r_0", "r_0.png")
    assert found["val"][0][:2] == ("r_0", "r_0.png")
