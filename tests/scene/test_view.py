"""Views, splits and scenes: what they refuse, how they print, and their frames."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from ultrafield.cameras import Cameras, Similarity
from ultrafield.masks import build_mask_set
from ultrafield.scene import GroundTruth, Scene, Split, View

TO_USER = Similarity(2.0, [[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], [1.0, 2, 3])


def cameras(count: int = 2) -> Cameras:
    poses = np.tile(np.eye(3, 4), (count, 1, 1))
    poses[:, 0, 3] = np.arange(count)
    return Cameras.pinhole(poses, 10.0, (8, 6))


def view(name: str = "a", **changes: Any) -> View:
    left = np.zeros((1, 6, 8), bool)
    left[:, :, :4] = True
    return View(**{"name": name, "image": np.full((6, 8, 3), 90, np.uint8), "masks": build_mask_set(left)} | changes)


def scene(**changes: Any) -> Scene:
    split = Split((view("a"), view("b", masks=None)), cameras())
    values = {"name": "s", "root": None, "layout": "arrays", "splits": {"train": split}, "to_user": TO_USER}
    return Scene(**values | {"background": None} | changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"image": np.zeros((6, 8, 3), np.float32)}, "view 'a': image: expected uint8, got float32"),
        ({"image": np.zeros((6, 8), np.uint8)}, "view 'a': image: expected shape [*, *, 3], got [6, 8]"),
        ({"alpha": np.zeros((3, 4), np.uint8)}, "view 'a': image and alpha must have one size, got 8x6 pixels and 4x3"),
        ({"alpha": np.zeros((6, 8), bool)}, "view 'a': alpha: expected uint8, got bool"),
        ({"valid": np.zeros((3, 4), bool)}, "view 'a': image and valid must have one size, got 8x6 pixels and 4x3"),
        ({"valid": np.zeros((6, 8), np.uint8)}, "view 'a': valid: expected bool, got uint8"),
    ],
)
def test_views_refuse(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        view(**changes)


def test_splits_refuse() -> None:
    with pytest.raises(ValueError, match="split: 1 views but 2 cameras"):
        Split((view(),), cameras())
    with pytest.raises(ValueError, match="split: 2 views are called 'a'"):
        Split((view(), view()), cameras())
    with pytest.raises(ValueError, match="view 'b': expected 4x3 pixels as its camera has, got 8x6 pixels"):
        Split((View("a"), view("b")), cameras().resized([4, 3]))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"splits": {}}, "splits: expected training views under 'train'"),
        ({"half_extent": 0.0}, "half_extent: expected a positive number, got 0"),
        ({"near": float("nan")}, "near: expected a positive number, got nan"),
        ({"half_extent": 1e300}, "half_extent: expected at most 32768, got 1e+300"),
        ({"background": "white"}, "background: expected an array of numbers, got <U5"),
        ({"background": [0.5, 0.5]}, "background: expected shape [3], got [2]"),
        ({"background": [255, 255, 255]}, "background: expected a colour in [0, 1]"),
    ],
)
def test_scenes_refuse(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        scene(**changes)


def test_cameras_are_in_the_users_frame() -> None:
    split = scene().train
    np.testing.assert_array_equal(split.cameras.c2w, TO_USER.apply_poses(split.normalised_cameras.c2w))
    np.testing.assert_array_equal(split.normalised_cameras.c2w, cameras().c2w)
    moved = replace(scene(), to_user=Similarity(3.0)).train
    np.testing.assert_array_equal(moved.cameras.c2w[:, 0, 3], [0, 3])


def test_one_line_each() -> None:
    both = scene()
    assert repr(both.train.views[0]) == "View('a', 8×6 pixels, 1 masks)"
    assert repr(View("c")) == "View('c', no picture, no masks)"
    assert repr(both.train) == "Split(2 views of 8×6 pixels, 1 with masks)"
    assert repr(Split((View("c"),), cameras(1))) == "Split(1 views without pictures, 0 with masks)"
    assert repr(both) == "Scene('s', arrays: 2 train views, some masks, half extent 0.5)"


def test_a_scene_shows_itself_in_a_notebook() -> None:
    page = scene(name="<s>")._repr_html_()
    assert "&lt;s&gt;" in page
    assert "<s>" not in page
    data = re.search(r'src="data:image/png;base64,([^"]+)"', page)
    assert data is not None
    picture = cv2.imdecode(np.frombuffer(b64decode(data.group(1)), np.uint8), cv2.IMREAD_COLOR)
    height, width = picture.shape[:2]
    assert (height, width) == (160, 2 * 213)
    masked, plain = picture[:, : width // 2], picture[:, width // 2 :]
    assert (plain == 90).all()
    assert (masked[:, -50:] == 90).all()  # the mask holds the left half
    assert np.ptp(masked[80, 50].astype(int)) > 20  # which is tinted


def test_a_scene_without_pictures_is_text() -> None:
    bare = scene(splits={"train": Split((View("a"),), cameras(1))})
    assert bare._repr_html_() == f"<div>{repr(bare).replace(chr(39), '&#x27;')}</div>"


def test_ground_truth_is_checked() -> None:
    ids = np.zeros((1, 6, 8), np.int32)
    truth = GroundTruth(("a",), ids, ids, None, False, None)
    assert repr(truth) == "GroundTruth(1 views of 8×6 pixels, no depth)"
    with pytest.raises(ValueError, match=re.escape("objects: expected shape [1, 6, 8], got [1, 3, 8]")):
        replace(truth, objects=ids[:, :3])
    with pytest.raises(ValueError, match="depth: expected floating-point numbers, got int32"):
        replace(truth, depth=ids)
