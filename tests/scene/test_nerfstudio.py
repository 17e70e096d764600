"""nerfstudio and instant-ngp captures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ultrafield.cameras import Lens
from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.scene import load_scene

Make = Callable[..., Path]
Edit = Callable[[Path, Callable[[dict], None]], None]


def test_shared_lens(make_capture: Make) -> None:
    root = make_capture(
        w=16,
        h=12,
        fl_x=20.0,
        fl_y=21.0,
        cx=8.5,
        cy=5.5,
        camera_model="OPENCV",
        k1=0.1,
        k2=0.2,
        p1=0.01,
        p2=0.02,
        k3=0.3,
        k4=0.4,
        k5=0.5,
        k6=0.6,
    )
    cameras = load_scene(root, hold_out=None).train.normalised_cameras
    np.testing.assert_allclose(cameras.intrinsics, [[10.0, 10.5, 4.25, 2.75]] * 4)  # pictures are half the listed size
    assert cameras.lenses.tolist() == [Lens.OPENCV] * 4
    np.testing.assert_allclose(cameras.distortion[0], [0.1, 0.2, 0.01, 0.02, 0.3, 0.4, 0.5, 0.6])


def test_lens_per_frame_goes_before_the_shared_one(make_capture: Make) -> None:
    lenses: list[dict[str, Any]] = [
        {},
        {"fl_x": 11.0, "cx": 3.0},
        {"camera_model": "OPENCV_FISHEYE", "k1": 0.5, "k4": 0.25},
        {"camera_model": "PINHOLE", "k1": 0.5},
    ]
    cameras = load_scene(make_capture(per_frame=lenses, k1=0.1), hold_out=None).train.normalised_cameras
    np.testing.assert_allclose(cameras.intrinsics, [[10, 10, 4, 3], [11, 11, 3, 3], [10, 10, 4, 3], [10, 10, 4, 3]])
    assert cameras.lenses.tolist() == [Lens.OPENCV, Lens.OPENCV, Lens.FISHEYE, Lens.PINHOLE]
    assert cameras.distortion[:, 0].tolist() == [0.1, 0.1, 0.5, 0.0]
    assert cameras.distortion[2].tolist() == [0.5, 0, 0, 0.25, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("keys", "focal"),
    [
        ({"camera_angle_x": 1.0}, [4 / np.tan(0.5)] * 2),
        ({"camera_angle_y": 1.0}, [3 / np.tan(0.5)] * 2),
        ({"camera_angle_x": 1.0, "camera_angle_y": 0.8}, [4 / np.tan(0.5), 3 / np.tan(0.4)]),
        ({"camera_angle_x": 1.0, "fl_y": 7.0}, [4 / np.tan(0.5), 7.0]),
        ({"camera_angle_x": 1.0, "w": 80, "h": 60}, [4 / np.tan(0.5)] * 2),
    ],
)
def test_angles_where_no_focal_length_is_listed(make_capture: Make, keys: dict[str, float], focal: list[float]) -> None:
    cameras = load_scene(make_capture(fl_x=None, **keys), hold_out=None).train.normalised_cameras
    np.testing.assert_allclose(cameras.intrinsics, [[*focal, 4, 3]] * 4)


def test_no_distortion_is_a_pinhole(make_capture: Make) -> None:
    assert (
        load_scene(make_capture(k1=0.0), hold_out=None).train.normalised_cameras.lenses.tolist() == [Lens.PINHOLE] * 4
    )


def test_instant_ngp_flag_for_fisheye(make_capture: Make) -> None:
    assert (
        load_scene(make_capture(is_fisheye=True), hold_out=None).train.normalised_cameras.lenses.tolist()
        == [Lens.FISHEYE] * 4
    )


def test_pictures_of_many_sizes(make_capture: Make) -> None:
    root = make_capture()
    write_image(root / "images/0002.png", np.zeros((10, 4, 3), np.uint8))
    scene = load_scene(root, hold_out=None, downsample=0.5)
    assert scene.train.normalised_cameras.sizes.tolist() == [[4, 3], [4, 3], [2, 5], [4, 3]]
    assert [view.image.shape[:2] for view in scene.train] == [(3, 4), (3, 4), (5, 2), (3, 4)]
    np.testing.assert_allclose(scene.train.normalised_cameras.intrinsics[2], [5, 5, 1, 2.5])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("camera_model", "EQUIRECTANGULAR", "'camera_model' must be one of PINHOLE, SIMPLE_PINHOLE, SIMPLE_RADIAL, "),
        ("fl_x", "long", "'fl_x' must be a finite number, got 'long'"),
        ("fl_x", float("nan"), "'fl_x' must be a finite number, got nan"),
        ("fl_x", -3, "'fl_x' must be positive, got -3"),
        ("fl_x", None, "needs 'fl_x' or 'camera_angle_x'"),
        ("camera_angle_x", 4.0, "'camera_angle_x' must lie between 0 and pi, got 4"),
        ("k1", [0.1], "'k1' must be a finite number, got [0.1]"),
        ("w", 0, "'w' must be positive, got 0"),
    ],
)
def test_bad_lens(make_capture: Make, key: str, value: object, message: str) -> None:
    root = make_capture(**{key: value})
    with pytest.raises(SceneError, match=re.escape(f"{root}/transforms.json: frame 0: {message}")):
        load_scene(root)


def test_picture_that_contradicts_the_listed_size(make_capture: Make) -> None:
    root = make_capture(w=6, h=8)
    message = (
        f"{root}/images/0000.png: expected 6x8 pixels as listed in {root}/transforms.json: frame 0, or the same aspect "
        "ratio, found 8x6 pixels"
    )
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root, hold_out=None)


def test_names_with_and_without_ending(make_capture: Make) -> None:
    paths = ["./images/a.png", "images/b", "images/sub/c.jpeg", "./d.v2", "images/e.JPG"]
    scene = load_scene(make_capture(paths=paths), hold_out=None)
    assert sorted(view.name for view in scene.train) == ["a", "b", "c", "d.v2", "e"]


def test_another_ending_than_the_one_listed(make_capture: Make, edit: Edit) -> None:
    root = make_capture()
    edit(root / "transforms.json", lambda values: values["frames"][0].update(file_path="images/0000.jpg"))
    assert load_scene(root, hold_out=None).train.views[0].file == root / "images/0000.png"


def test_windows_paths(make_capture: Make, edit: Edit) -> None:
    root = make_capture()
    edit(root / "transforms.json", lambda values: values["frames"][0].update(file_path=".\\images\\0000.png"))
    assert {view.name for view in load_scene(root, hold_out=None).train} == {"0000", "0001", "0002", "0003"}


def test_rigs_with_equal_file_names(make_capture: Make) -> None:
    root = make_capture(paths=["left/0.png", "left/1.png", "right/0.png", "right/1.png"])
    names = [view.name for view in load_scene(root, hold_out=None).train]
    assert names == ["left_0", "left_1", "right_0", "right_1"]


def test_every_eighth_view_by_name_is_held_out(make_capture: Make) -> None:
    paths = [f"images/{index:02d}.png" for index in reversed(range(18))]
    scene = load_scene(make_capture(paths=paths))
    assert [view.name for view in scene.splits["val"]] == ["00", "08", "16"]
    assert [view.name for view in scene.train] == [f"{index:02d}" for index in range(18) if index % 8]


@pytest.mark.parametrize(("count", "hold_out"), [(4, 0), (2, 8)])
def test_nothing_held_out(make_capture: Make, count: int, hold_out: int) -> None:
    scene = load_scene(make_capture(count), hold_out=hold_out)
    assert set(scene.splits) == {"train"}
    assert len(scene.train) == count


def test_users_frame_comes_back(make_capture: Make) -> None:
    root = make_capture()
    scene = load_scene(root, hold_out=None)
    listed = np.array(
        [frame["transform_matrix"] for frame in json.loads((root / "transforms.json").read_text())["frames"]]
    )
    poses = scene.train.normalised_cameras.moved(scene.to_user).c2w * [1, -1, -1, 1]
    np.testing.assert_allclose(poses, listed[:, :3], atol=1e-12)


def test_box_of_the_surroundings(make_capture: Make, edit: Edit) -> None:
    root = make_capture()
    scene = load_scene(root)
    assert (scene.half_extent, scene.near, scene.bounded) == (8.0, 0.05, False)
    edit(root / "transforms.json", lambda values: values.update(aabb_scale=16))
    # 16 / 0.33 user units wide, one normalised unit being √17 of them: half of it is 5.9.
    assert load_scene(root).half_extent == 8.0
    edit(root / "transforms.json", lambda values: values.update(aabb_scale=1))
    assert load_scene(root).half_extent == 1.0  # nothing smaller holds the cameras


def test_cameras_at_one_point(make_capture: Make, edit: Edit) -> None:
    root = make_capture()

    def gather(values: dict) -> None:
        for frame in values["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] = 0.5

    edit(root / "transforms.json", gather)
    message = f"{root}/transforms.json: all 4 cameras stand at the same point; depth cannot be recovered"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root)


def test_fox(fox: Path) -> None:
    warnings: list[str] = []
    scene = load_scene(fox, downsample=0.1, warn=warnings.append)
    assert len(warnings) == 1
    assert "17 of 67 images listed in transforms.json are missing (first: images/0005.jpg)" in warnings[0]
    assert {name: len(split) for name, split in scene.splits.items()} == {"train": 43, "val": 7}
    assert scene.train.views[0].image.shape == (192, 108, 3)
    np.testing.assert_allclose(scene.train.normalised_cameras.intrinsics[0], [137.552, 137.449, 55.4558, 96.5268])
    assert scene.train.normalised_cameras.lenses[0] == Lens.OPENCV
    centres, forward = scene.train.normalised_cameras.c2w[:, :, 3], scene.train.normalised_cameras.c2w[:, :, 2]
    assert np.linalg.norm(centres, axis=1).mean() == pytest.approx(1.0, abs=0.02)  # 1 over all views
    assert (-(centres * forward).sum(axis=1) > 0.5).all()
    assert np.abs(centres).max() < scene.half_extent


def test_reduced_copies_of_pictures_and_masks(make_capture: Make) -> None:
    root = make_capture(size=(12, 16), w=16, h=12, per_frame=[{"mask_path": f"masks/{i}.png"} for i in range(4)])
    for index in range(4):
        white = np.full((6, 8), 255, np.uint8)
        white[0] = 0
        write_image(root / f"masks_2/{index}.png", white)
        write_image(root / f"images_2/{index:04d}.png", np.zeros((6, 8, 3), np.uint8))
        write_image(root / f"images_4/{index:04d}.png", np.zeros((3, 4, 3), np.uint8))
        (root / f"images/{index:04d}.png").unlink()
    views = load_scene(root, hold_out=None).train
    assert views.normalised_cameras.sizes.tolist() == [[8, 6]] * 4
    assert views.views[0].valid.sum() == 40


def test_pictures_in_a_folder_that_is_named(make_capture: Make, tmp_path: Path) -> None:
    root = make_capture()
    (root / "images").rename(tmp_path / "elsewhere")
    assert len(load_scene(root, hold_out=None, images=tmp_path / "elsewhere").train) == 4


def test_fisheye624(make_capture: Make) -> None:
    parameters = [0.03, -0.02, 0.01, -0.005, 0.002, -0.0005, 0.001, -0.002, 0.001, -0.0005, -0.002, 0.0004]
    cameras = load_scene(
        make_capture(camera_model="FISHEYE624", distortion_params=parameters), hold_out=None
    ).train.normalised_cameras
    assert cameras.lenses.tolist() == [Lens.FISHEYE624] * 4
    assert cameras.distortion[0].tolist() == parameters


def test_lenses_of_several_widths(make_capture: Make) -> None:
    lenses = [{}, {"camera_model": "FISHEYE624", "k0": 0.1, "s3": 0.01}, {"camera_model": "FOV", "omega": 0.5}, {}]
    cameras = load_scene(make_capture(per_frame=lenses, k1=0.1), hold_out=None).train.normalised_cameras
    assert cameras.distortion.shape == (4, 12)
    assert cameras.lenses.tolist() == [Lens.OPENCV, Lens.FISHEYE624, Lens.FOV, Lens.OPENCV]
    assert cameras.distortion[1].tolist() == [0.1, 0.1, *[0.0] * 9, 0.01]
    assert cameras.distortion[2, 0] == 0.5


def test_the_circle_of_a_fisheye(make_capture: Make) -> None:
    keys = {"camera_model": "OPENCV_FISHEYE", "w": 16, "h": 12, "fisheye_crop_radius": 6.0}
    root = make_capture(**keys)
    view = load_scene(root, hold_out=None).train.views[0]
    x, y = np.meshgrid(np.abs(np.arange(8) - 3.5) + 0.5, np.abs(np.arange(6) - 2.5) + 0.5)
    np.testing.assert_array_equal(view.valid, x**2 + y**2 <= 9.0)  # half of the listed size


def test_a_circle_without_pixels(make_capture: Make) -> None:
    root = make_capture(camera_model="OPENCV_FISHEYE", fisheye_crop_radius=0.1)
    with pytest.raises(SceneError, match=re.escape("frame 0: its 'fisheye_crop_radius' leaves no pixel")):
        load_scene(root, hold_out=None)


def test_other_lenses_have_no_circle(make_capture: Make) -> None:
    assert load_scene(make_capture(fisheye_crop_radius=2.0), hold_out=None).train.views[0].valid is None
