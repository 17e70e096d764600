"""Masks of others that cannot be used: one line that names the file and the item."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_masks import coco, example, records, write_json, write_panoptic

from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import MaskFolder, check_matches, read_masks
from ultrafield.reading import read_json

Change = Callable[[dict[str, Any]], object]


def fault(place: Path, view: str = "a") -> str:
    """What is said where the masks of a view are read."""
    with pytest.raises(SceneError) as raised:
        read_masks(MaskFolder(place, direct=True), "train", view)
    text = str(raised.value)
    assert "\n" not in text
    assert str(place if place.is_file() else place.name) in text
    return text


COCO: dict[str, tuple[Change, str]] = {
    "same picture ids": (lambda v: v["images"][1].update(id=0), "pictures 0 and 1 both have the id 0"),
    "same ids": (lambda v: v["annotations"][3].update(id=1), "annotations 1 and 3 both have the id 1"),
    "same names": (lambda v: v["images"][1].update(file_name="a.png"), "2 pictures are called 'a.png'"),
    "no name": (
        lambda v: v["images"][1].pop("file_name"),
        "picture 1: expected 'file_name' with a file name, got None",
    ),
    "no size": (lambda v: v["images"][0].pop("height"), "picture 0: expected 'height' and 'width' in pixels"),
    "huge": (
        lambda v: v["images"][0].update(height=10**6, width=10**6),
        "picture 0: 1000000x1000000 pixels, more than",
    ),
    "no picture": (lambda v: v["images"].append(3), "picture 3: expected an object with 'id', got 3"),
    "unknown picture": (lambda v: v["annotations"][2].update(image_id=7), "annotation 2: expected the 'image_id' of a"),
    "no annotation": (lambda v: v["annotations"].append(None), "annotation 6: expected the 'image_id' of a"),
    "other size": (
        lambda v: v["annotations"][0]["segmentation"].update(size=[32, 24]),
        r"annotation 0 (a.png): expected an RLE of size [24, 32] (height, width), found [32, 24]",
    ),
    "too short": (
        lambda v: v["annotations"][1]["segmentation"]["counts"].pop(),
        "annotation 1 (a.png): expected runs of 768 pixels in all (24 rows, 32 columns), found",
    ),
    "no mask": (lambda v: v["annotations"][0].pop("segmentation"), "annotation 0 (a.png): expected polygons"),
}


@pytest.mark.parametrize("case", COCO)
def test_coco_annotations_are_checked(tmp_path: Path, case: str) -> None:
    change, text = COCO[case]
    values = coco(example())
    change(values)
    assert text in fault(write_json(tmp_path / "x.json", values))


PANOPTIC: dict[str, tuple[Change, str]] = {
    "same ids": (
        lambda v: v["annotations"][1]["segments_info"][0].update(id=140005),
        "annotation 1: segments 0 and 1 both have the id 140005",
    ),
    "no ids": (
        lambda v: v["annotations"][1]["segments_info"][0].pop("id"),
        "annotation 1: segment 0: expected an object",
    ),
    "no segments": (
        lambda v: v["annotations"][1].pop("segments_info"),
        "annotation 1: expected a list 'segments_info'",
    ),
    "large ids": (
        lambda v: v["annotations"][0]["segments_info"][0].update(id=1 << 24),
        "expected ids of segments from 1",
    ),
    "twice": (
        lambda v: v["annotations"][1].update(image_id=0),
        "annotation 1: another annotation is of the same picture",
    ),
    "no file": (lambda v: v["annotations"][0].update(file_name="none.png"), "none.png: no such file"),
    "absent ids": (
        lambda v: v["annotations"][0].update(segments_info=[{"id": 98}, {"id": 99}]),
        "a.png: no pixel has one of the 2 ids that",
    ),
}


@pytest.mark.parametrize("case", PANOPTIC)
def test_panoptic_annotations_are_checked(tmp_path: Path, case: str) -> None:
    change, text = PANOPTIC[case]
    file = write_panoptic(tmp_path, example())
    values = read_json(file)
    change(values)
    write_json(file, values)
    with pytest.raises(SceneError) as raised:
        read_masks(MaskFolder(file, direct=True), "train", "a")
    assert text in str(raised.value)


def test_an_id_that_has_lost_its_pixels_has_no_mask(tmp_path: Path) -> None:
    file = write_panoptic(tmp_path, example())
    values = read_json(file)
    values["annotations"][0]["segments_info"].append({"id": 99})
    write_json(file, values)
    assert len(read_masks(MaskFolder(file, direct=True), "train", "a") or ()) == 2


def test_pictures_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    file = write_panoptic(tmp_path, example())
    picture = tmp_path / "panoptic/a.png"
    picture.write_bytes(picture.read_bytes()[:-20])
    with pytest.raises(SceneError, match=r"a\.png: not a readable picture"):
        read_masks(MaskFolder(file, direct=True), "train", "a")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([{"segmentation": {"counts": [4]}}], "mask 0: expected an RLE with its 'size'"),
        ([{"segmentation": {"size": [2, 2], "counts": [5]}}], "mask 0: expected runs of 4 pixels"),
        ([{"segmentation": [1, 2]}], "mask 0: expected an RLE with its 'size'"),
        ([{"segmentation": {"size": [0, 2], "counts": []}}], "mask 0: expected 'height' and 'width'"),
        ({"image": {}, "annotations": []}, "a.json: expected 'height' and 'width'"),
        ({"image": {"height": 2, "width": 2}, "annotations": [3]}, "mask 0: expected polygons"),
    ],
)
def test_lists_of_segment_anything_are_checked(tmp_path: Path, values: Any, text: str) -> None:
    assert text in fault(write_json(tmp_path / "a.json", values))


def test_lists_of_other_things_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [{"segmentation": {}}, 3])
    assert "a.json: expected a list of masks with 'segmentation'" in fault(tmp_path)


def test_masks_of_one_list_have_one_size(tmp_path: Path) -> None:
    values = records(np.ones((2, 4, 6), bool))
    values[1]["segmentation"] = {"size": [6, 4], "counts": [0, 24]}
    assert "mask 1: expected an RLE of size [4, 6]" in fault(write_json(tmp_path / "a.json", values))


def test_an_empty_list_does_not_tell_its_size(tmp_path: Path) -> None:
    assert "lists no masks, and does not say how large" in fault(write_json(tmp_path / "a.json", []))


@pytest.mark.parametrize("name", ["masks.json", "masks.txt", "masks.zip", "masks"])
def test_files_of_other_kinds_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    assert "no masks that are known; expected a folder of masks, a JSON file" in fault(tmp_path / name)


def test_broken_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "masks.json").write_text('{"images": [')
    assert "not valid JSON" in fault(tmp_path / "masks.json")


def save(file: Path, **arrays: Any) -> Path:
    np.savez(file, **arrays)
    return file


def test_arrays_of_all_views_are_checked(tmp_path: Path) -> None:
    flags = np.ones((2, 3, 4), bool)
    assert "holds no masks; expected arrays" in fault(save(tmp_path / "x.npz", a=np.arange(3)))
    names = np.array(["a", "b"])
    assert "expected one array [2, M, H, W] or [2, H, W]" in fault(save(tmp_path / "x.npz", names=names))
    assert "expected one array [2, M, H, W]" in fault(save(tmp_path / "x.npz", names=names, x=flags, y=flags))
    for wrong in (np.array(["a", "a"]), np.array([1, 2]), np.array([["a"], ["b"]])):
        assert "expected 'names' [V] of text, each once" in fault(save(tmp_path / "x.npz", names=wrong, masks=flags))
    assert "found fractions" in fault(save(tmp_path / "x.npz", a=np.full((3, 4), 0.5)))
    assert "no pixels" in fault(save(tmp_path / "x.npz", a=np.zeros((3, 4, 0), bool)))
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 no archive")
    assert "cannot be read" in fault(tmp_path / "x.npz")


def test_an_archive_of_a_view_without_masks_is_passed_over(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", features=np.zeros((2, 3, 4, 5, 6)))
    assert read_masks(MaskFolder(tmp_path, direct=True), "train", "a") is None


def test_files_of_objects_have_one_size(tmp_path: Path) -> None:
    for folder, size in (("one", (8, 8)), ("two", (8, 9))):
        write_image(tmp_path / folder / "a.png", np.ones(size, np.uint8))
    with pytest.raises(SceneError, match=r"a\.png: expected 8x8 pixels like .*a\.png, found 9x8 pixels"):
        read_masks(MaskFolder(tmp_path, direct=True), "train", "a")


def test_a_map_belongs_to_one_view(tmp_path: Path) -> None:
    write_image(tmp_path / "a_mask.png", np.ones((8, 8), np.uint8))
    folder = MaskFolder(tmp_path, direct=True)
    assert folder.find("train", ("a", "x")) is not None
    with pytest.raises(SceneError, match=r"a_mask\.png: belongs to two views, a and y"):
        folder.find("train", ("y", "a"))


def test_other_proportions_than_the_pictures_are_refused(tmp_path: Path) -> None:
    file = write_json(tmp_path / "x.json", coco(example()))
    with pytest.raises(SceneError, match=r"x\.json: expected a mask with the aspect ratio of its picture"):
        read_masks(MaskFolder(file, direct=True), "train", "a", (10, 40))


def test_one_report_says_what_was_matched_and_what_was_not(tmp_path: Path) -> None:
    file = write_json(tmp_path / "x.json", coco(example()))
    folder, said = MaskFolder(file, direct=True), list[str]()
    views = ("a", "z", "y")
    lacking = [view for view in views if folder.find("train", view) is None]
    folder.name("b")  # of another split
    check_matches(folder, ("train",), lacking, 3, asked=True, warn=said.append)
    assert said == [
        f"{file}: 2 of 3 training views have no masks (first: z)",
        f"{file}: 1 picture is named like no view, or like several (c.png), and not read",
    ]


def test_annotations_of_no_view_are_an_error(tmp_path: Path) -> None:
    file = write_json(tmp_path / "x.json", coco(example()))
    folder = MaskFolder(file, direct=True)
    assert folder.find("train", "z") is None
    with pytest.raises(SceneError) as raised:
        check_matches(folder, ("train",), ["z"], 1, asked=True, warn=lambda text: None)
    assert str(raised.value) == (
        f"{file}: COCO annotations of no training view (expected a picture called z), but others (a.png, b.png, c.png)"
    )
