"""Models of other programs: what they allow, and what cannot be used, in one line that names it."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import (
    EXPORTERS,
    NAMES,
    gaussians,
    llff,
    metashape,
    polycam,
    poses,
    realitycapture,
    record3d,
    write_pictures,
)
from mutations import mutated

from ultrafield.cameras import Lens, project
from ultrafield.errors import SceneError
from ultrafield.scene import Scene, load_scene

Edit = Callable[[Path, Callable[[Any], None]], None]


@pytest.fixture
def export(tmp_path: Path) -> Callable[[Callable[[Path], object]], Path]:
    """Writes a scene in some form and gives its folder."""

    def write(exporter: Callable[[Path], object]) -> Path:
        root = tmp_path / "scene"
        root.mkdir()
        exporter(root)
        return root

    return write


def load(path: Path, **options: Any) -> Scene:
    return load_scene(path, hold_out=None, warn=lambda _: None, **options)


def one_line(error: Exception, root: Path) -> None:
    text = str(error)
    assert text.startswith(str(root))
    assert len(text.splitlines()) == 1
    assert len(text) < 1000


def refused(root: Path, message: str) -> None:
    """Loading fails with a line that begins with the folder and holds the message."""
    with pytest.raises(SceneError, match=re.escape(message)) as error:
        load(root)
    one_line(error.value, root)


def replaced(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# Whatever is damaged gives a scene or one line.


@pytest.mark.parametrize(
    "form", [form for form in EXPORTERS if form not in ("nerfstudio", "nerf-synthetic", "partnet")]
)
def test_damaged_models(tmp_path: Path, form: str) -> None:
    root, rng = tmp_path / "scene", np.random.default_rng(0)
    root.mkdir()
    EXPORTERS[form](root)
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and file.suffix not in (".png", ".jpg")]
    for _ in range(25):
        file = files[rng.integers(len(files))]
        content = file.read_bytes()
        file.write_bytes(mutated(content, rng))
        try:
            load(root)
        except SceneError as error:
            one_line(error, root)
        file.write_bytes(content)


@pytest.mark.parametrize("form", ["llff", "3dgs", "metashape", "realitycapture"])
def test_the_file_itself_may_be_named(export: Callable, form: str) -> None:
    root = export(EXPORTERS[form])
    names = {"llff": "poses_bounds.npy", "3dgs": "cameras.json", "metashape": "cameras.xml"}
    file = root / names.get(form, "cameras.csv")
    scene = load(file)
    assert (scene.root, scene.layout) == (root, form)


def test_one_of_several_files_must_be_named(export: Callable) -> None:
    root = export(metashape)
    shutil.copy(root / "cameras.xml", root / "other.xml")
    refused(root, "holds 2 files that list cameras (cameras.xml, other.xml); name the one to read")
    assert load(root / "other.xml").layout == "metashape"


def test_a_layout_that_is_not_there(export: Callable) -> None:
    with pytest.raises(SceneError, match="holds nothing that lists cameras in the layout llff"):
        load_scene(export(polycam), layout="llff")


def test_pictures_without_cameras(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    refused(tmp_path, "no camera poses found; expected")
    refused(tmp_path, "photographs alone need cameras first: ultrafield import")


# LLFF


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((7, 15)), "expected an array [N, 17] of floats, found [7, 15] float64"),
        (np.zeros((0, 17)), "expected an array [N, 17] of floats, found [0, 17]"),
        (np.zeros((7, 17), int), "expected an array [N, 17] of floats, found [7, 17] int64"),
        (np.ones((6, 17)), "lists 6 poses, but there are other numbers of pictures (7 in images)"),
        (np.zeros((7, 17)), "row 0: its matrix must hold a rotation"),
        (np.full((7, 17), np.nan), "row 0: its matrix holds a value that is not finite"),
    ],
)
def test_bad_arrays(export: Callable, array: np.ndarray, message: str) -> None:
    root = export(llff)
    np.save(root / "poses_bounds.npy", array)
    refused(root, message)


def test_sizes_that_are_none(export: Callable) -> None:
    root = export(llff)
    rows = np.load(root / "poses_bounds.npy")
    rows[2, 14] = 0
    np.save(root / "poses_bounds.npy", rows)
    refused(root, "row 2: must hold height, width and focal length, got [48.0, 64.0, 0.0]")


@pytest.mark.parametrize("given", [False, True])
def test_pictures_are_counted_in_reduced_folders_too(export: Callable, given: bool) -> None:
    root = export(llff)
    (root / "images").rename(root / "images_full")
    write_pictures(root / "images_4", size=(16, 12))
    write_pictures(root / "images_2", NAMES[:3], size=(32, 24))
    scene = load(root, images=root / "images_full") if given else load(root)
    assert scene.train.cameras.sizes[0].tolist() == ([64, 48] if given else [16, 12])
    assert scene.train.cameras.intrinsics[0].tolist() == [57 / (1 if given else 4)] * 2 + (
        [32, 24] if given else [8, 6]
    )


# 3D Gaussian splatting


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: items.clear(), "expected a list of cameras"),
        (lambda items: items.append(3), "expected a list of cameras"),
        (lambda items: items[1].pop("img_name"), "camera 1: 'img_name' must be a file name, got None"),
        (
            lambda items: items[1].update(rotation=[1, 2]),
            "camera 1: 'rotation' must be 3x3 numbers and 'position' three",
        ),
        (lambda items: items[1].pop("position"), "camera 1: 'rotation' must be 3x3 numbers and 'position' three"),
        (lambda items: items[1].update(rotation=[[1, 0, 0]] * 3), "camera 1: its pose must hold a rotation"),
        (lambda items: items[2].pop("fx"), "camera 2: needs 'width', 'height', 'fx' and 'fy'"),
        (lambda items: items[2].update(width=-1), "camera 2: 'width' must be positive, got -1"),
        (lambda items: items[2].update(img_name=NAMES[0]), "frames 0 and 2 both list the picture view_00"),
    ],
)
def test_bad_cameras(export: Callable, edit: Edit, change: Callable, message: str) -> None:
    root = export(gaussians)
    edit(root / "cameras.json", change)
    refused(root, message)


def test_pictures_where_the_run_was_made(export: Callable, tmp_path: Path) -> None:
    root = export(gaussians)
    (tmp_path / "source").mkdir()
    (root / "images").rename(tmp_path / "source/images")
    with pytest.raises(SceneError, match="none of the 7 images"):
        load(root)
    (root / "cfg_args").write_text(f"Namespace(eval=True, images='images', source_path='{tmp_path}/source')")
    assert len(load(root).train) == 7
    (root / "cfg_args").write_text("Namespace(source_path='/nowhere')")
    with pytest.raises(SceneError, match="none of the 7 images"):
        load(root)


@pytest.mark.parametrize(("size", "said"), [((64, 48), False), ((32, 24), False), ((52, 39), True)])
def test_photographs_that_were_not_undistorted(export: Callable, size: tuple[int, int], said: bool) -> None:
    root = export(gaussians)
    write_pictures(root / "images", size=size)
    warnings: list[str] = []
    load_scene(root, hold_out=None, warn=warnings.append)
    assert any("the distortion of their lens is missing" in text for text in warnings) == said


# Metashape


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<document", "<!DOCTYPE a><document", "declares entities"),
        ("</document>", "", "not valid XML"),
        ("<transform>", "<other>", "not valid XML"),
        ('type="frame"', 'type="spherical"', "its sensor is 'spherical'; only frame, fisheye"),
        ("<f>60.0</f>", "<f>wide</f>", "<f> of its sensor must be a number, got 'wide'"),
        ("<f>60.0</f>", "", "its sensor must have a positive focal length 'f', got 0"),
        ("<f>60.0</f>", "<f>60.0</f><p3>0.1</p3>", "its sensor has p3 or p4, which cannot be read"),
        ('sensor_id="0" component', 'sensor_id="5" component', "is of a sensor that the file lacks"),
        ('<resolution width="64" height="48"/>', '<resolution width="x" height="48"/>', "must have a resolution"),
        ("<scale>2.5</scale>", "<scale>-1</scale>", "its transform cannot be used: scale: expected a positive number"),
        ("<scale>2.5</scale>", "<scale>1 2</scale>", "its transform must have 1 numbers in <scale>, got '1 2'"),
        ('label="view_00"', 'label="view_01"', "both list the picture view_01"),
        ('label="view_00"', 'label=""', "cannot be a file name: it is empty"),
    ],
)
def test_bad_xml(export: Callable, old: str, new: str, message: str) -> None:
    root = export(metashape)
    replaced(root / "cameras.xml", old, new)
    refused(root, message)


def test_xml_in_utf_16(export: Callable) -> None:
    root = export(metashape)
    file = root / "cameras.xml"
    text = re.sub(r"^<\?xml[^>]*\?>", "", file.read_text())
    file.write_text(f'<?xml version="1.0" encoding="UTF-16"?>{text}', encoding="utf-16")
    assert len(load_scene(root, hold_out=None).train) == 7
    file.write_text(f'<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a>{text}', encoding="utf-16")
    refused(root, "declares entities")


def test_no_aligned_cameras(export: Callable) -> None:
    root = export(metashape)
    file = root / "cameras.xml"
    file.write_text(re.sub(r"<transform>[-\d. e]*</transform>", "", file.read_text()))
    refused(root, "holds no aligned cameras")


def test_cameras_that_are_not_aligned_are_said(export: Callable) -> None:
    root = export(metashape)
    warnings: list[str] = []
    assert len(load_scene(root, hold_out=None, warn=warnings.append).train) == 7
    assert f"{root}/cameras.xml: 1 of 8 cameras are not aligned and left out" in warnings


def test_the_chunk_with_most_cameras(export: Callable) -> None:
    root = export(metashape)
    chunk = '<chunk label="Other"><cameras><camera label="a"><transform>1</transform></camera></cameras></chunk>'
    replaced(root / "cameras.xml", "</document>", f"{chunk}</document>")
    warnings: list[str] = []
    assert len(load_scene(root, hold_out=None, warn=warnings.append).train) == 7
    assert any("that with most aligned cameras is used, 'Chunk 1'" in text for text in warnings)


def test_metashapes_fisheye(export: Callable) -> None:
    """Distances from the middle are angles; the rest is as for frame cameras."""
    root = export(metashape)
    replaced(root / "cameras.xml", 'type="frame"', 'type="fisheye"')
    cameras = load(root).train.cameras
    assert cameras.lenses.tolist() == [Lens.THIN_PRISM_FISHEYE] * 7
    point = poses()[0] @ np.array([0.4, 0.3, 1.0, 1.0])
    theta = math.atan(0.5)
    x, y = theta * 0.8, theta * 0.6
    r2 = theta**2
    radial = 1 - 0.1 * r2 + 0.02 * r2**2 + 0.01 * r2**3 - 0.004 * r2**4
    u = x * radial + 0.003 * (r2 + 2 * x * x) - 0.004 * x * y
    v = y * radial - 0.002 * (r2 + 2 * y * y) + 0.006 * x * y
    expected = [32 + 1.25 + u * 60.8 - v * 0.3, 24 - 0.75 + v * 60]
    np.testing.assert_allclose(project(cameras, 0, point[None])[0][0], expected, atol=1e-9)


# RealityCapture


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("view_02.png", "", "line 4: needs a name"),
        (",34.0,", ",wide,", "line 2: 'f' must be a number, got 'wide'"),
        (",34.0,", ",0,", "line 2: 'f' must be positive, got 0"),
        ("view_02.png", "view_01.png", "both list the picture view_01.png"),
    ],
)
def test_bad_rows(export: Callable, old: str, new: str, message: str) -> None:
    root = export(realitycapture)
    replaced(root / "cameras.csv", old, new)
    refused(root, message)


def test_a_table_without_rows(export: Callable) -> None:
    root = export(realitycapture)
    file = root / "cameras.csv"
    file.write_text(file.read_text().splitlines()[0])
    refused(root, "lists no cameras")


def test_columns_of_realityscan(export: Callable) -> None:
    root = export(realitycapture)
    before = load(root).train.cameras
    replaced(root / "cameras.csv", "heading,pitch,roll,f,px,py,", "yaw,pitch,roll,f_35mm,px_norm,py_norm,")
    after = load(root).train.cameras
    np.testing.assert_array_equal(before.c2w, after.c2w)
    np.testing.assert_array_equal(before.intrinsics, after.intrinsics)


def test_a_camera_at_zero_angles_looks_down_with_north_up(export: Callable) -> None:
    root = export(realitycapture)
    lines = (root / "cameras.csv").read_text().splitlines()
    lines[1] = "view_00.png,1,2,3,0,0,0,34"  # everything after f may be missing
    (root / "cameras.csv").write_text("\n".join(lines))
    camera = load(root).train.cameras[0]
    np.testing.assert_allclose(camera.c2w[0], [[1, 0, 0, 1], [0, -1, 0, 2], [0, 0, -1, 3]], atol=1e-12)
    np.testing.assert_allclose(camera.intrinsics[0], [34 * 64 / 36] * 2 + [32, 24])


# Polycam


def test_refined_cameras_go_first(export: Callable) -> None:
    root = export(polycam)
    shutil.copytree(root / "keyframes/cameras", root / "keyframes/corrected_cameras")
    file = root / "keyframes/corrected_cameras/view_00.json"
    values = json.loads(file.read_text())
    values["fx"] = 50.0
    file.write_text(json.dumps(values))
    assert load(root).train.cameras.intrinsics[0, 0] == 50.0
    assert load(root / "keyframes").layout == "polycam"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("t_12"), "view_01.json: needs the pose 't_00' to 't_23'"),
        (lambda values: values.update(t_12="x"), "view_01.json: 't_12' must be a finite number, got 'x'"),
        (lambda values: values.update(t_12=5), "view_01.json: its pose must hold a rotation"),
        (lambda values: values.pop("width"), "view_01.json: needs 'width', 'height', 'fx' and 'fy'"),
    ],
)
def test_bad_keyframes(export: Callable, edit: Edit, change: Callable, message: str) -> None:
    root = export(polycam)
    edit(root / "keyframes/cameras/view_01.json", change)
    refused(root, message)


def test_a_keyframe_that_is_no_object(export: Callable) -> None:
    root = export(polycam)
    (root / "keyframes/cameras/view_01.json").write_text("[]")
    refused(root, "view_01.json: expected an object")


# Record3D


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("poses"), "expected an object with 'poses', seven numbers each"),
        (lambda values: values.update(poses=[[1, 2]]), "expected an object with 'poses', seven numbers each"),
        (lambda values: values["poses"][1].__setitem__(slice(0, 4), [0] * 4), "pose 1: must be a quaternion and a pos"),
        (lambda values: values.pop("w"), "needs 'w' and 'h'"),
        (lambda values: values.pop("K"), "'K' must be nine numbers"),
        (lambda values: values["K"].__setitem__(0, -1), "must have positive focal lengths and a principal point"),
    ],
)
def test_bad_metadata(export: Callable, edit: Edit, change: Callable, message: str) -> None:
    root = export(record3d)
    edit(root / "metadata.json", change)
    refused(root, message)


def test_a_lens_for_each_picture(export: Callable, edit: Edit) -> None:
    root = export(record3d)
    rows = [[50.0 + index, 51.0 + index, 30.0, 20.0] for index in range(7)]
    edit(root / "metadata.json", lambda values: values.update(perFrameIntrinsicCoeffs=rows))
    assert load(root).train.cameras.intrinsics.tolist() == rows


def test_pictures_that_were_left_out(export: Callable) -> None:
    root = export(record3d)
    for index in (1, 2, 4, 5):
        (root / f"rgb/{index}.jpg").unlink()
    assert [view.name for view in load(root).train] == ["0", "3", "6"]


def test_pictures_in_their_numbers_order(export: Callable, edit: Edit) -> None:
    root = export(record3d)
    (root / "rgb/6.jpg").rename(root / "rgb/10.jpg")
    edit(root / "metadata.json", lambda values: values.update(poses=values["poses"] + [values["poses"][-1]] * 4))
    assert [view.name for view in load(root).train] == ["0", "1", "2", "3", "4", "5", "10"]
