"""Transforms files of any content: a scene, or one line that names the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ultrafield.errors import ConfigError, SceneError
from ultrafield.io import write_image
from ultrafield.scene import load_scene

Make = Callable[..., Path]

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**400, -(10**30), 1e-320, 1e155, 1e300, -1e300, float("nan"), float("inf"), 0.1, 1e-9]),
    st.sampled_from(["", "1.5", "nan", "x" * 300, "..", "a/..", "../../../etc/passwd", "\0", "\ud800", "ü/ö.png", "/"]),
    st.sampled_from([[], {}, [[]], [None], {"a": 1}, [[1, 2], [3]], [[[0.0] * 4] * 4], [[0.0] * 4] * 4]),
)
KEYS = st.sampled_from(
    [
        *("w", "h", "fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4", "k5", "p1", "camera_angle_x", "camera_angle_y"),
        *("camera_model", "is_fisheye", "distortion_params", "aabb_scale", "scale", "frames", "mask_path", "file_path"),
        *("transform_matrix", "train_filenames", "val_filenames", "test_filenames", "depth_file_path", "crop"),
    ]
)


def one_line(error: Exception, root: Path) -> None:
    text = str(error)
    assert text.startswith(str(root))
    assert len(text.splitlines()) == 1
    assert len(text) < 1000


@pytest.mark.parametrize("layout", ["blender", "capture"])
def test_odd_values_anywhere(make_blender: Make, make_capture: Make, layout: str) -> None:
    root = make_blender() if layout == "blender" else make_capture(3)
    file = root / ("transforms_train.json" if layout == "blender" else "transforms.json")
    text = file.read_text()

    @given(st.lists(st.tuples(KEYS, ODD, st.integers(-1, 2)), min_size=1, max_size=3), st.integers(0, 11), ODD)
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    def attempt(changes: list[tuple[str, Any, int]], entry: int, number: Any) -> None:
        values = json.loads(text)
        frames = values["frames"]
        if number is not None:
            frames[0]["transform_matrix"][entry // 4][entry % 4] = number
        for key, value, index in changes:
            (values if index < 0 else frames[index])[key] = value
        file.write_text(json.dumps(values))
        try:
            load_scene(root, hold_out=None, warn=lambda _: None)
        except SceneError as error:
            one_line(error, root)

    attempt()


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.mktemp("scene")
    (root / "transforms.json").write_bytes(content)
    with pytest.raises(SceneError) as error:
        load_scene(root)
    one_line(error.value, root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "not valid JSON (it is nested too deeply)"),
        ('{"frames": [' + "[" * 500 + "]" * 500 + "]}", "frame 0: 'file_path' must be a file name"),
        ('{"frames": [{"file_path": "a", "transform_matrix": ' + "[" * 500 + "]" * 500 + "}]}", "must be 4x4 numbers"),
        (
            '{"frames": [{"file_path": "a", "transform_matrix": [[1' + "0" * 5000 + "]]}]}",
            "not valid JSON (Exceeds the",
        ),
        ('{"frames": [{"file_path": "a", "transform_matrix": [[1' + "0" * 400 + "]]}]}", "must be 4x4, got (1, 1)"),
        ('{"frames": [{"file_path": ["a"], "transform_matrix": [[1]]}]}', "frame 0: 'file_path' must be a file name"),
        (
            '{"frames": [{"file_path": "a", "transform_matrix": [[true, 0, 0, 0]]}]}',
            "must be 4x4 numbers, got [[True, 0",
        ),
        ('{"frames": [{"file_path": "a", "transform_matrix": {"0": []}}]}', "'transform_matrix' must be 4x4 numbers"),
        ('{"frames": "many"}', "expected an object with a list 'frames'"),
    ],
)
def test_json_that_cannot_be_used(make_capture: Make, text: str, message: str) -> None:
    root = make_capture()
    (root / "transforms.json").write_text(text)
    with pytest.raises(SceneError, match=re.escape(message)) as error:
        load_scene(root)
    one_line(error.value, root)


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (0, 3, 1e155, "must hold a position within 1e+12 of the origin, got [1e+155, "),
        (1, 3, -1e12, "must hold a position within 1e+12 of the origin"),
        (0, 0, 1e155, "must hold a rotation, but its axes deviate from orthonormal by inf"),
        (2, 1, 1e-300, "must hold a rotation, but its axes deviate from orthonormal by"),
        (2, 3, "east", "must be 4x4 numbers, got [["),
        (2, 3, 10**400, "holds a value that is not finite"),
    ],
)
def test_poses_that_cannot_be_used(
    make_capture: Make, edit: Callable, row: int, column: int, value: object, message: str
) -> None:
    root = make_capture()
    edit(root / "transforms.json", lambda v: v["frames"][2]["transform_matrix"][row].__setitem__(column, value))
    with pytest.raises(SceneError) as error:
        load_scene(root)
    assert str(error.value).startswith(f"{root}/transforms.json: frame 2: 'transform_matrix' {message}")


@pytest.mark.parametrize("name", ["transforms.json", "transforms_train.json"])
def test_a_list_of_pictures_of_all_sizes_of_integers(make_capture: Make, edit: Callable, name: str) -> None:
    root = make_capture(2)
    (root / "transforms.json").rename(root / name)
    edit(root / name, lambda values: values["frames"].extend([None] * 3))
    with pytest.raises(SceneError, match=re.escape(f"{root}/{name}: frame 2: 'file_path' must be a file name")):
        load_scene(root)


# PartNet


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00" * 99, "expected four numbers"),
        (b"", "expected four numbers"),
        (b"1 2 3 4 five", "expected four numbers"),
        (b"1 2 3 1e300", "expected three finite angles and a positive radius, got [1.0, 2.0, 3.0, 1e+300]"),
        (b"1e300 2 3 1", "expected three finite angles and a positive radius, got [1e+300, 2.0, 3.0, 1.0]"),
        (b"1 2 inf 1", "expected three finite angles and a positive radius, got [1.0, 2.0, inf, 1.0]"),
        (b"1 2 3 1e-300", "expected three finite angles and a positive radius"),
        (b"9 " * 40_000, "expected four numbers"),
    ],
)
def test_bad_meta(tmp_path: Path, content: bytes, message: str) -> None:
    for view in ("00", "01", "02"):
        write_image(tmp_path / f"view-{view}/shape-rgb.png", np.zeros((4, 4, 3), np.uint8))
        (tmp_path / f"view-{view}/meta.txt").write_text("0 0 0 1")
    file = tmp_path / "view-01/meta.txt"
    file.write_bytes(content)
    with pytest.raises(SceneError, match=re.escape(str(file)) + ".*" + re.escape(message)) as error:
        load_scene(tmp_path)
    one_line(error.value, tmp_path)


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10**12}, "width: pictures of 1000000000000x"),
        ({"half_extent": 1e300}, "half_extent: expected a number from 0.001 to 32768, got 1e+300"),
        ({"half_extent": 1e-300}, "half_extent: expected a number from 0.001 to 32768, got 1e-300"),
        ({"half_extent": float("nan")}, "half_extent: expected a positive number, got nan"),
        ({"downsample": float("nan")}, "downsample: expected a factor in (0, 1], got nan"),
        ({"background": "red"}, "background: expected three numbers in [0, 1], got 'red'"),
        ({"background": [10**400] * 3}, "background: expected three numbers in [0, 1], got [1000"),
        ({"background": 3}, "background: expected three numbers in [0, 1], got 3"),
    ],
)
def test_options_beyond_all_measure(make_blender: Make, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_scene(make_blender(), **options)
