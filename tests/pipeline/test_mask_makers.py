"""What masks that somebody else made are matched by."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from ultrafield.pipeline.mask_makers import names_of_masks
from ultrafield.scene import View

ROOT = Path("scene")


def names(**splits: dict[str, str]) -> dict[str, list[tuple[str, ...]]]:
    """`names_of_masks` of views by name, each with its picture."""
    views = {split: [View(name, file=ROOT / file) for name, file in of.items()] for split, of in splits.items()}
    return names_of_masks(SimpleNamespace(splits=views, root=ROOT))  # type: ignore[arg-type]


def test_a_name_that_fits_a_held_out_picture_too_is_nobodys() -> None:
    found = names(
        train={"b_0": "images/b/0.png", "c_1": "images/c/1.png"},
        val={"a_0": "images/a/0.png"},
        test={"a_0": "other/a/0.png", "c_0": "other/c/0.png"},
    )
    assert found["train"][0] == ("b_0", "images/b/0", "images/b/0.png", "b/0", "b/0.png")
    assert found["train"][1][1:3] == ("1", "1.png")


def test_splits_that_are_listed_apart_use_the_same_names() -> None:
    found = names(train={"r_0": "train/r_0.png", "r_1": "train/r_1.png"}, val={"r_0": "val/r_0.png"})
    assert found["train"][0][:2] == ("r_0", "r_0.png")
    assert found["val"][0][:2] == ("r_0", "r_0.png")


def test_folders_below_a_split_are_part_of_names() -> None:
    found = names(train={"f": "train/front/0.png", "b": "train/back/0.png"}, val={"l": "val/left/0.png"})
    assert "front/0" in found["train"][0]
    assert "back/0" in found["train"][1]
