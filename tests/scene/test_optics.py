"""Lenses as files describe them, and which are believed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ultrafield.cameras import Cameras, Lens
from ultrafield.errors import SceneError
from ultrafield.scene import load_scene
from ultrafield.scene.optics import check_optics, parse_optics

Make = Callable[..., Path]


def cameras_of(root: Path) -> Cameras:
    return load_scene(root, hold_out=None).train.normalised_cameras


@pytest.mark.parametrize(
    ("model", "lens", "kept"),
    [
        ("SIMPLE_RADIAL", Lens.OPENCV, [0.1, 0, 0, 0, 0, 0, 0, 0]),
        ("RADIAL", Lens.OPENCV, [0.1, 0.2, 0, 0, 0, 0, 0, 0]),
        ("OPENCV", Lens.BROWN, [0.1, 0.2, 0.01, 0.02, 0.3, 0.4, 0, 0]),
        ("FULL_OPENCV", Lens.OPENCV, [0.1, 0.2, 0.01, 0.02, 0.3, 0.4, 0, 0]),
        ("OPENCV_FISHEYE", Lens.FISHEYE, [0.1, 0.2, 0.3, 0.4, 0, 0, 0, 0]),
        ("SIMPLE_RADIAL_FISHEYE", Lens.FISHEYE, [0.1, 0, 0, 0, 0, 0, 0, 0]),
        ("RADIAL_FISHEYE", Lens.FISHEYE, [0.1, 0.2, 0, 0, 0, 0, 0, 0]),
        ("PINHOLE", Lens.PINHOLE, [0.0] * 8),
        ("SIMPLE_PINHOLE", Lens.PINHOLE, [0.0] * 8),
    ],
)
def test_models_take_the_parameters_that_are_theirs(make_capture: Make, model: str, lens: Lens, kept: list) -> None:
    keys = {"k1": 0.1, "k2": 0.2, "k3": 0.3, "k4": 0.4, "p1": 0.01, "p2": 0.02}
    cameras = cameras_of(make_capture(camera_model=model, **keys))
    assert cameras.lenses.tolist() == [lens] * 4
    np.testing.assert_allclose(cameras.distortion, [kept] * 4)


@pytest.mark.parametrize("beside", ["k5", "k6"])
def test_k4_belongs_to_the_rational_lens_beside_k5_or_k6(make_capture: Make, beside: str) -> None:
    cameras = cameras_of(make_capture(k1=0.1, k4=0.4, **{beside: 0.0}))
    assert cameras.lenses.tolist() == [Lens.OPENCV] * 4
    assert cameras.distortion[0].tolist() == [0.1, 0, 0, 0, 0, 0.4, 0, 0]


def test_nerfstudios_list_of_parameters(make_capture: Make) -> None:
    cameras = cameras_of(make_capture(distortion_params=[0.1, 0.2, 0.3, 0.4, 0.01, "0.02"]))
    assert cameras.lenses.tolist() == [Lens.BROWN] * 4
    assert cameras.distortion[0].tolist() == [0.1, 0.2, 0.01, 0.02, 0.3, 0.4, 0, 0]


def test_numbers_written_as_text(make_capture: Make, edit: Callable) -> None:
    root = make_capture(fl_x="10.5", k1=" 1e-1 ", w="8", h="6", aabb_scale="4")
    expected = cameras_of(root)

    def as_text(values: dict) -> None:
        for frame in values["frames"]:
            frame["transform_matrix"] = [[repr(item) for item in row] for row in frame["transform_matrix"]]

    edit(root / "transforms.json", as_text)
    cameras = cameras_of(root)
    assert cameras.intrinsics[0].tolist() == [10.5, 10.5, 4, 3]
    assert cameras.distortion[0, 0] == 0.1
    np.testing.assert_array_equal(cameras.c2w, expected.c2w)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"camera_model": ["PINHOLE"]}, "'camera_model' must be one of PINHOLE, "),
        ({"camera_model": {}}, "'camera_model' must be one of PINHOLE, "),
        ({"camera_model": True}, "'camera_model' must be one of PINHOLE, "),
        ({"is_fisheye": "false"}, "'is_fisheye' must be true or false, got 'false'"),
        ({"equirectangular": True}, "'equirectangular' stands for a lens that is not supported"),
        ({"ftheta_p0": 0.1}, "'ftheta_p0' stands for a lens that is not supported"),
        ({"h": 0.1, "w": 8}, "'h' must lie between 1 and 1.04858e+06, got 0.1"),
        ({"h": 6, "w": 1e300}, "'w' must lie between 1 and 1.04858e+06, got 1e+300"),
        ({"fl_x": 1e-300}, "'fl_x' must lie between 1e-09 and 1e+09, got 1e-300"),
        ({"fl_x": 1e300}, "'fl_x' must lie between 1e-09 and 1e+09, got 1e+300"),
        ({"fl_x": True}, "'fl_x' must be a finite number, got True"),
        ({"fl_x": "1_0"}, "'fl_x' must be a finite number, got '1_0'"),
        ({"fl_x": "nan"}, "'fl_x' must be a finite number, got 'nan'"),
        ({"fl_x": "9" * 500}, "'fl_x' must be a finite number, got '999999"),
        ({"fl_x": 10**400}, "'fl_x' must be a finite number, got 1000000"),
        ({"fl_x": {"a": [[[[[[[[[]]]]]]]]]}}, "'fl_x' must be a finite number, got {'a': [[["),
        ({"cx": 1e300}, "'cx' must lie between -1e+09 and 1e+09, got 1e+300"),
        ({"k1": -1e300}, "'k1' must lie between -1e+09 and 1e+09, got -1e+300"),
        ({"k2": float("nan")}, "'k2' must be a finite number, got nan"),
        ({"camera_angle_x": 5e-324}, "'camera_angle_x' must lie between 0 and pi, got 4.94066e-324"),
        ({"camera_angle_x": 3.1415926}, "'camera_angle_x' must lie between 0 and pi, got 3.14159"),
        ({"distortion_params": [0.1] * 4}, "'distortion_params' must be 6 numbers, got [0.1, 0.1, 0.1, 0.1]"),
        ({"distortion_params": [None] * 6}, "'distortion_params' must be 6 numbers, got [None"),
        ({"fl_x": 0.01}, "implausible lens: a focal length of 0.01 pixels (fl_x, camera_angle_x) for a picture of 8x6"),
        (
            {"fl_y": 1e5},
            "implausible lens: a focal length of 100000 pixels (fl_y, camera_angle_y) for a picture of 8x6",
        ),
        ({"cx": 1000}, "implausible lens: 'cx' of 1000 pixels for a picture of 8x6 pixels"),
        ({"cy": -1000}, "implausible lens: 'cy' of -1000 pixels for a picture of 8x6 pixels"),
        ({"k1": 1e8}, "implausible lens: with its distortion the picture has no viewing rays"),
        ({"k1": -1e8}, "implausible lens: with its distortion the picture has no viewing rays"),
        ({"k1": 1e8, "camera_model": "OPENCV_FISHEYE"}, "implausible lens: with its distortion the picture has no"),
        ({"k1": 1e8, "k4": 1.0}, "implausible lens: with its distortion the picture has no viewing rays"),
    ],
)
def test_what_is_no_lens(make_capture: Make, keys: dict[str, Any], message: str) -> None:
    root = make_capture(**keys)
    with pytest.raises(SceneError, match=re.escape(f"{root}/transforms.json: frame 0: {message}")) as error:
        load_scene(root, hold_out=None)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"fl_x": 10.0, "k1": -0.9}, (8, 6)),  # folds inside the picture
        ({"fl_x": 0.27, "k1": 0.02, "camera_model": "OPENCV_FISHEYE"}, (1, 1)),
        ({"fl_x": 270.0, "k1": 0.02, "camera_model": "OPENCV_FISHEYE"}, (1000, 1000)),  # sees 210°
        ({"fl_x": 50_000.0, "k1": 80.0, "k2": -3000.0}, (4000, 3000)),  # a telephoto lens
        ({"fl_x": 1.0, "k4": 0.3}, (1, 1)),
        ({"camera_angle_x": 2.9}, (640, 480)),
    ],
)
def test_odd_lenses_that_exist_are_believed(values: dict[str, Any], size: tuple[int, int]) -> None:
    check_optics(parse_optics(values, "frame 0"), size, "frame 0")
