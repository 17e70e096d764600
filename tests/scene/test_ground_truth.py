"""Ground truth of Blender-HS scenes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from odd_files import put_odd
from PIL import Image

from ultrafield.errors import SceneError
from ultrafield.io import write_image, write_npz
from ultrafield.scene import load_ground_truth, load_scene

Make = Callable[..., Path]
SIZE = (4, 4)


def write_ids(root: Path, split: str, count: int, dtype: type = np.uint8, size: tuple[int, int] = SIZE) -> None:
    """Part ids 0 … and object ids, the latter half of the former, as three equal channels."""
    for index in range(count):
        parts = (np.arange(size[0] * size[1]).reshape(size) + index).astype(dtype)
        for kind, ids in (("objects", parts), ("collections", parts // 2)):
            write_image(root / f"gt_seg/{split}/r_{index}_seg_{kind}.tif", np.repeat(ids[..., None], 3, axis=2))


@pytest.fixture
def root(make_blender: Make) -> Path:
    """Pictures of 8 x 8 pixels, ids of 4 x 4, cameras at distance 5 from the origin."""
    folder = make_blender(splits={"train": 2, "val": 3, "val_rotate": 3}, radius=np.sqrt(24.0))
    write_ids(folder, "val", 3)
    return folder


def test_ids_at_their_own_size(root: Path) -> None:
    truth = load_ground_truth(load_scene(root), "val")
    assert truth.names == ("r_0", "r_1", "r_2")
    assert (truth.parts.dtype, truth.parts.shape) == (np.int32, (3, 4, 4))
    np.testing.assert_array_equal(truth.parts[2], np.arange(16).reshape(4, 4) + 2)
    np.testing.assert_array_equal(truth.objects, truth.parts // 2)
    assert (truth.depth, truth.depth_exact, truth.visible) == (None, False, None)


def test_splits_without_ids_have_no_ground_truth(root: Path) -> None:
    scene = load_scene(root)
    assert load_ground_truth(scene, "train") is None
    assert load_ground_truth(scene, "val_rotate") is None
    assert load_ground_truth(scene, "test") is None


def test_captures_have_no_ground_truth(make_capture: Make) -> None:
    assert load_ground_truth(load_scene(make_capture()), "train") is None


def test_ids_of_16_bits_and_of_the_training_split(root: Path) -> None:
    folder = root / "gt_seg/train"
    for index in range(2):
        for kind in ("objects", "collections"):
            write_image(folder / f"r_{index}_seg_{kind}.tif", np.full((4, 4, 3), 40_000, np.uint16))
    assert (load_ground_truth(load_scene(root), "train").parts == 40_000).all()


def test_part_id_is_in_the_first_channel(root: Path) -> None:
    ids = np.zeros((4, 4, 3), np.uint8)
    ids[..., 0], ids[..., 2] = 5, 9
    cv2.imwrite(str(root / "gt_seg/val/r_0_seg_objects.tif"), ids[..., ::-1])  # OpenCV stores BGR
    assert (load_ground_truth(load_scene(root), "val").parts[0] == 5).all()


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("black", [0, 3, None])
def test_ids_in_a_palette_are_its_indices(root: Path, black: int | None, transparent: bool) -> None:
    ids = np.arange(16, dtype=np.uint8).reshape(4, 4)
    colors = np.full((256, 3), 128, np.uint8)  # many ids of one colour, as of one red in common palettes
    if black is not None:
        colors[black] = 0
    picture = Image.fromarray(ids)
    picture.putpalette(colors.tobytes())
    options = {"transparency": 0} if transparent else {}
    picture.save(root / "gt_seg/val/r_0_seg_objects.tif", "PNG" if transparent else "TIFF", **options)
    np.testing.assert_array_equal(load_ground_truth(load_scene(root), "val").parts[0], ids)


def test_exact_depth_is_scaled_and_follows_the_listing(root: Path) -> None:
    depth = np.arange(3 * 16, dtype=np.float32).reshape(3, 4, 4)
    write_npz(root / "exact/val.npz", depth=depth)
    (root / "val/r_1.png").unlink()
    truth = load_ground_truth(load_scene(root, warn=lambda _: None), "val")
    assert truth.names == ("r_0", "r_2")
    assert truth.depth_exact
    assert truth.depth.dtype == np.float32
    np.testing.assert_allclose(truth.depth, depth[[0, 2]] * 1.5 / 5, rtol=1e-6)


def test_exact_ids_stand_in_for_missing_pictures(root: Path) -> None:
    parts = np.random.default_rng(0).integers(0, 9, (3, 4, 4), dtype=np.uint8)
    arrays = {"part": parts, "object": parts // 3, "depth": np.ones((3, 4, 4), np.float32)}
    write_npz(root / "exact/val_rotate.npz", **arrays)
    truth = load_ground_truth(load_scene(root), "val_rotate")
    np.testing.assert_array_equal(truth.parts, parts)
    np.testing.assert_array_equal(truth.objects, parts // 3)


def test_depth_of_8_bits(root: Path) -> None:
    codes = np.zeros((4, 4, 3), np.uint8)
    codes[1:] = 128
    for index in range(3):
        write_image(root / f"val_depth/r_{index}_depth.png", codes)
    truth = load_ground_truth(load_scene(root), "val")
    assert not truth.depth_exact
    np.testing.assert_array_equal(truth.depth[:, 0], 0)
    np.testing.assert_allclose(truth.depth[:, 1:], 8 * 0.5 / 2.687419, rtol=1e-6)


def test_depth_of_8_bits_belongs_to_cameras_at_one_radius(root: Path) -> None:
    for index in range(3):
        write_image(root / f"val_depth/r_{index}_depth.png", np.full((4, 4), 128, np.uint8))
    scene = load_scene(root)
    cameras = scene.splits["val"].normalised_cameras
    poses = cameras.c2w.copy()
    poses[1, :, 3] *= 2
    moved = replace(scene.splits["val"], normalised_cameras=replace(cameras, c2w=poses))
    truth = load_ground_truth(replace(scene, splits=scene.splits | {"val": moved}), "val")
    np.testing.assert_allclose(truth.depth[1], 2 * truth.depth[0], rtol=1e-6)


def test_visibility_of_both_views(root: Path) -> None:
    write_ids(root, "val_rotate", 3)
    for index in range(3):
        here, there = np.zeros(SIZE, np.uint8), np.zeros((6, 6, 3), np.uint8)
        here[index] = 255
        there[2 + index, 2:] = 255  # larger than the ids, which are its lower right part
        write_image(root / f"val_visible/r_{index}.png", here)
        write_image(root / f"val_visible/r_{index}_rotate.png", there)
    scene = load_scene(root)
    for split in ("val", "val_rotate"):
        visible = load_ground_truth(scene, split).visible
        assert visible.dtype == bool
        assert [np.flatnonzero(view.all(axis=1)).tolist() for view in visible] == [[0], [1], [2]]


def test_visibility_smaller_than_the_ids(root: Path) -> None:
    for index in range(3):
        write_image(root / f"val_visible/r_{index}.png", np.zeros((2, 4), np.uint8))
    message = f"{root}/val_visible/r_0.png: expected 4x4 pixels like the part ids, found 4x2 pixels"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_ground_truth(load_scene(root), "val")


def test_missing_id_picture(root: Path) -> None:
    file = root / "gt_seg/val/r_1_seg_collections.tif"
    file.unlink()
    with pytest.raises(SceneError, match=re.escape(f"{file}: no such file")):
        load_ground_truth(load_scene(root), "val")


def test_id_pictures_of_different_sizes(root: Path) -> None:
    file = root / "gt_seg/val/r_2_seg_objects.tif"
    write_image(file, np.zeros((5, 4), np.uint8))
    message = f"{file}: expected 4x4 pixels like r_0_seg_objects.tif, found 4x5 pixels"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_ground_truth(load_scene(root), "val")


def test_depth_of_another_size(root: Path) -> None:
    write_npz(root / "exact/val.npz", depth=np.ones((3, 8, 8), np.float32))
    message = f"{root}: val: expected depth of 4x4 pixels like the part ids, found 8x8 pixels"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_ground_truth(load_scene(root), "val")


def test_exact_file_with_another_number_of_frames(root: Path) -> None:
    write_npz(root / "exact/val.npz", depth=np.ones((2, 4, 4), np.float32))
    message = f"{root}/exact/val.npz: expected 'depth' of shape (3, H, W) for the frames of transforms_val.json"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_ground_truth(load_scene(root), "val")


def test_broken_exact_file(root: Path) -> None:
    file = root / "exact/val.npz"
    file.parent.mkdir()
    file.write_bytes(b"no archive")
    with pytest.raises(SceneError, match=re.escape(f"{file}: cannot be read")):
        load_ground_truth(load_scene(root), "val")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"depth": np.full((3, 4, 4), np.nan)}, "'depth' holds numbers that are negative, not finite or beyond 1e+12"),
        ({"depth": np.full((3, 4, 4), -1.0)}, "'depth' holds numbers that are negative"),
        ({"depth": np.full((3, 4, 4), 1e300)}, "'depth' holds numbers that are negative"),
        ({"depth": np.full((3, 4, 4), "far")}, "expected 'depth' of numbers, found <U3"),
        ({"depth": np.ones((3, 4, 4), complex)}, "expected 'depth' of numbers, found complex128"),
        ({"part": np.ones((3, 4, 4))}, "expected 'part' of integers, found float64"),
        ({"part": np.ones((3, 4, 4), bool)}, "expected 'part' of integers, found bool"),
        ({"object": np.ones((3, 0, 4), int)}, "expected 'object' of shape (3, H, W)"),
        (
            {"object": np.int64(3)},
            "expected 'object' of shape (3, H, W) for the frames of transforms_val.json, found ()",
        ),
    ],
)
def test_exact_arrays_of_other_kinds(root: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    write_npz(root / "exact/val.npz", **arrays)
    with pytest.raises(SceneError, match=re.escape(f"{root}/exact/val.npz: {message}")):
        load_ground_truth(load_scene(root), "val")


@pytest.mark.parametrize("value", [-1, 1 << 31, 1 << 62])
def test_ids_out_of_range(root: Path, value: int) -> None:
    ids = np.full((3, 4, 4), value)
    write_npz(root / "exact/val_rotate.npz", part=ids, object=ids)
    with pytest.raises(SceneError, match=re.escape(f"{root}: val_rotate: expected ids from 0 to 2147483647, found")):
        load_ground_truth(load_scene(root), "val_rotate")


def test_ids_of_another_aspect_ratio(root: Path) -> None:
    write_ids(root, "val", 3, size=(4, 8))
    message = f"{root}: val: expected part ids of the aspect ratio of the pictures (8x8 pixels), found 8x4 pixels"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_ground_truth(load_scene(root), "val")


def test_id_pictures_of_floats(root: Path) -> None:
    file = root / "gt_seg/val/r_0_seg_objects.tif"
    cv2.imwrite(str(file), np.full((4, 4), np.nan, np.float32))
    with pytest.raises(SceneError, match=re.escape(f"{file}: expected integers, found float32")):
        load_ground_truth(load_scene(root), "val")


def test_depth_of_16_bits(root: Path) -> None:
    for index in range(3):
        write_image(root / f"val_depth/r_{index}_depth.png", np.full((4, 4), 999, np.uint16))
    with pytest.raises(SceneError, match=re.escape(f"{root}/val_depth/r_0_depth.png: expected depth of 8 bits, found")):
        load_ground_truth(load_scene(root), "val")


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "text"])
def test_id_pictures_that_are_none(root: Path, kind: str) -> None:
    files = [root / f"gt_seg/val/r_{index}_seg_objects.tif" for index in range(3)]
    for file in files:
        if kind == "text":
            file.write_text("ids")
        else:
            put_odd(file, kind)
    with pytest.raises(SceneError, match=re.escape(f"{files[0]}: ")):
        load_ground_truth(load_scene(root), "val")


def test_a_listing_that_changed_since(root: Path, edit: Callable) -> None:
    write_npz(root / "exact/val.npz", depth=np.ones((3, 4, 4)))
    scene = load_scene(root)
    edit(root / "transforms_val.json", lambda values: values["frames"][1].update(file_path="val/new"))
    with pytest.raises(SceneError, match=re.escape("transforms_val.json: lists no view 'r_1' any more")):
        load_ground_truth(scene, "val")


def test_depth_of_8_bits_where_the_box_was_moved(root: Path) -> None:
    for index in range(3):
        write_image(root / f"val_depth/r_{index}_depth.png", np.full((4, 4), 128, np.uint8))
    plain, moved = (load_scene(root, recentre=choice) for choice in (False, True))
    depths = [load_ground_truth(scene, "val").depth * scene.to_user.scale for scene in (plain, moved)]
    np.testing.assert_allclose(depths[1], depths[0], rtol=1e-5)


def test_both_depths_of_pickplace_agree(pickplace: Path, make_blender: Make) -> None:
    scene = load_scene(pickplace)
    exact = load_ground_truth(scene, "val")
    assert exact.depth_exact
    codes = np.stack([cv2.imread(str(pickplace / f"val_depth/{name}_depth.png"), 0) for name in exact.names])
    decoded = 8 * (1 - codes / 256) / 2.687419
    seen = codes > 0
    np.testing.assert_array_equal(seen, exact.depth > 0)
    assert np.abs(decoded - exact.depth)[seen].max() < 8 / 256 / 2.687419  # one step
