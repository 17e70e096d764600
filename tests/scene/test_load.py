"""What `load_scene` does for every layout: recognition, working sizes, blending, options, and its complaints."""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from ultrafield.errors import ConfigError, SceneError
from ultrafield.io import write_image
from ultrafield.masks import write_masks
from ultrafield.reading import read_image
from ultrafield.scene import Scene, images, load_scene, views
from ultrafield.scene.digest import digest_scene
from ultrafield.scene.frames import ListingOptions, print_warning
from ultrafield.scene.images import read_picture
from ultrafield.scene.layout import find_scene
from ultrafield.scene.preview import contact_sheet
from ultrafield.training.pixels import pixel_pool

Make = Callable[..., Path]


def halves(size: tuple[int, int]) -> np.ndarray:
    """Two masks: all pixels, and the left half."""
    masks = np.ones((2, *size), bool)
    masks[1, :, size[1] // 2 :] = False
    return masks


def add_masks(root: Path, split: str, count: int, size: tuple[int, int]) -> None:
    for index in range(count):
        write_masks(root, split, f"r_{index}", halves(size))


def test_layouts_are_recognised(make_blender: Make, make_capture: Make, tmp_path: Path) -> None:
    plain, hierarchical, ground_truth_only = (make_blender(name=name) for name in ("a", "b", "c"))
    add_masks(hierarchical, "train", 1, (8, 8))
    (ground_truth_only / "gt_seg").mkdir()
    (tmp_path / "d/view-00").mkdir(parents=True)
    (tmp_path / "d/view-00/meta.txt").touch()
    folders = (plain, hierarchical, ground_truth_only, make_capture(), tmp_path / "d")
    options = ListingOptions(None, None, None, print_warning)
    assert [find_scene(folder, "auto", options).layout for folder in folders] == [
        "nerf-synthetic",
        "blender-hs",
        "blender-hs",
        "nerfstudio",
        "partnet",
    ]


def test_layout_may_be_forced(make_blender: Make) -> None:
    assert load_scene(make_blender(), layout="blender-hs").layout == "blender-hs"


def test_a_folder_of_pictures_is_refused_where_it_would_not_be_looked_at(make_blender: Make, tmp_path: Path) -> None:
    expected = "images: is not for the layout nerf-synthetic, whose files say where its pictures lie"
    with pytest.raises(ConfigError, match=expected):
        load_scene(make_blender(), images=tmp_path)


def test_unknown_layout(make_blender: Make) -> None:
    with pytest.raises(ConfigError, match=r"layout: expected one of auto, blender-hs, .*, got 'bundler'"):
        load_scene(make_blender(), layout="bundler")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=re.escape(f"{tmp_path}/nothing: no such folder")):
        load_scene(tmp_path / "nothing")


def test_folder_without_poses(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SceneError, match=re.escape(f"{tmp_path}: no camera poses found; expected transforms_train")):
        load_scene(tmp_path)


def test_forced_layout_without_its_files(make_capture: Make) -> None:
    root = make_capture()
    with pytest.raises(SceneError, match=r"transforms_train\.json: no such file"):
        load_scene(root, layout="blender-hs")
    with pytest.raises(SceneError, match="holds no view-XX folder"):
        load_scene(root, layout="partnet")


def test_one_view(make_blender: Make) -> None:
    root = make_blender(splits={"train": 1})
    with pytest.raises(SceneError, match=f"{root}: only 1 training view was found; at least 2 views are needed"):
        load_scene(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsample": 0.0}, r"downsample: expected a factor in \(0, 1\], got 0"),
        ({"downsample": 2.0}, r"downsample: expected a factor in \(0, 1\], got 2"),
        ({"width": 0}, "width: expected at least 1 pixel, got 0"),
        ({"hold_out": 1}, "hold_out: expected None or at least 2, got 1"),
        ({"half_extent": -1.0}, "half_extent: expected a positive number, got -1"),
        ({"background": (255, 255, 255)}, r"background: expected three numbers in \[0, 1\]"),
    ],
)
def test_options_out_of_range(make_blender: Make, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_scene(make_blender(), **options)


def test_corrupt_picture(make_blender: Make) -> None:
    root = make_blender()
    file = root / "train/r_1.png"
    file.write_bytes(b"no picture")
    with pytest.raises(SceneError, match=re.escape(f"{file}: not a readable picture")):
        load_scene(root)


def test_picture_of_floats(make_blender: Make, edit: Callable) -> None:
    import cv2

    root = make_blender()
    (root / "train/r_1.png").unlink()
    shutil.copy(root / "train/r_0.png", root / "train/r_2.png")
    cv2.imwrite(str(root / "train/r_1.tif"), np.zeros((8, 8), np.float32))
    (root / "train/r_1.tif").rename(root / "train/r_1.png")
    with pytest.raises(SceneError, match=r"r_1\.png: expected 8 or 16 bits per channel, found float32"):
        load_scene(root)


# Working size


def test_native_size_by_default(make_blender: Make) -> None:
    scene = load_scene(make_blender(size=(6, 10), splits={"train": 2}))
    assert scene.train.views[0].image.shape == (6, 10, 3)
    fx = 0.5 * 10 / np.tan(0.35)
    np.testing.assert_allclose(scene.train.normalised_cameras.intrinsics[0], [fx, fx, 5, 3])


def test_cameras_scale_with_the_pictures(make_blender: Make) -> None:
    root = make_blender(size=(6, 10))
    full, half, forced = load_scene(root), load_scene(root, downsample=0.5), load_scene(root, width=20)
    assert half.train.views[0].image.shape == (3, 5, 3)
    np.testing.assert_allclose(half.train.normalised_cameras.intrinsics, full.train.normalised_cameras.intrinsics / 2)
    assert forced.train.views[0].image.shape == (12, 20, 3)
    np.testing.assert_allclose(forced.train.normalised_cameras.intrinsics, full.train.normalised_cameras.intrinsics * 2)


def test_intrinsics_follow_the_rounded_size(make_blender: Make) -> None:
    cameras = load_scene(make_blender(size=(7, 10)), downsample=0.5).train.normalised_cameras
    fx = 0.5 * 10 / np.tan(0.35)
    assert cameras.sizes[0].tolist() == [5, 4]
    np.testing.assert_allclose(cameras.intrinsics[0], [fx * 5 / 10, fx * 4 / 7, 2.5, 2.0])


def test_smaller_masks_decide_the_working_size_of_all_views(make_blender: Make) -> None:
    root = make_blender(splits={"train": 3, "val": 2, "val_rotate": 2})
    add_masks(root, "train", 3, (4, 4))
    (root / "val_rotate/r_1.png").unlink()
    scene = load_scene(root)
    for split in scene.splits.values():
        assert split.normalised_cameras.sizes.tolist() == [[4, 4]] * len(split)
        assert {view.image.shape for view in split if view.image is not None} == {(4, 4, 3)}
    assert scene.splits["val_rotate"].views[1].image is None
    assert scene.has_masks
    np.testing.assert_array_equal(scene.train.views[0].masks.masks(), halves((4, 4)))


def test_photographs_are_kept_at_their_own_size(make_blender: Make) -> None:
    root = make_blender(splits={"train": 3, "val": 2, "val_rotate": 2})
    add_masks(root, "train", 3, (4, 4))
    scene = load_scene(root)
    sizes = {
        name: {None if view.photograph is None else view.photograph.size for view in split}
        for name, split in scene.splits.items()
    }
    assert sizes == {"train": {(8, 8)}, "val": {(8, 8)}, "val_rotate": {None}}
    assert {view.photograph.size for view in load_scene(root, downsample=0.75).train} == {(6, 6)}
    assert {view.photograph for view in load_scene(root, width=4).train} == {None}


def test_pictures_that_do_not_fit_into_memory_are_read_anew_and_are_the_same(
    make_blender: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_blender(size=(30, 40))
    add_masks(root, "train", 3, (30, 40))
    kept = load_scene(root)
    monkeypatch.setattr(views, "pictures_fit", lambda sizes: False)
    scene = load_scene(root)
    assert digest_scene(scene) == digest_scene(kept)
    read: list[Path] = []
    monkeypatch.setattr(images, "read_picture", lambda file: read.append(file))
    assert all(view.shape == other.shape for view, other in zip(scene.train, kept.train, strict=True))
    same = Scene(**{field.name: getattr(scene, field.name) for field in fields(Scene)})
    view = pickle.loads(pickle.dumps(same.train.views[1].changed(masks=None)))
    assert view.masks is None
    assert not read  # until it is looked at
    monkeypatch.undo()
    np.testing.assert_array_equal(view.image, kept.train.views[1].image)
    np.testing.assert_array_equal(kept.train.views[1].changed(name="other").image, view.image)
    assert view.image is not view.image
    pools = [pixel_pool(item, torch.device("cpu")) for item in (scene, kept)]
    assert torch.equal(pools[0].colors, pools[1].colors)
    view.file.write_bytes(b"")
    with pytest.raises(SceneError, match="changed while it was in use"):
        _ = view.image
    view.file.unlink()
    with pytest.raises(SceneError, match="No such file"):
        _ = view.image


def test_masks_that_do_not_fit_into_memory_are_compressed_and_are_the_same(
    make_blender: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_blender(size=(30, 40))
    add_masks(root, "train", 3, (30, 40))
    kept = load_scene(root)
    monkeypatch.setattr(views, "masks_fit", lambda sizes: False)
    scene = load_scene(root)
    assert digest_scene(scene) == digest_scene(kept)
    for view, other in zip(scene.train, kept.train, strict=True):
        assert view.masks is not None
        assert other.masks is not None
        assert view.masks.compressed() is view.masks
        assert other.masks.compressed() is not other.masks
        np.testing.assert_array_equal(view.masks.bits, other.masks.bits)


def test_pictures_are_read_anew_after_the_process_went_to_another_folder(
    make_blender: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_blender()
    kept = load_scene(root)
    monkeypatch.setattr(views, "pictures_fit", lambda sizes: False)
    monkeypatch.chdir(root.parent)
    scene = load_scene(Path(root.name))
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(scene.train.views[0].image, kept.train.views[0].image)


def test_a_picture_is_read_once_for_what_is_drawn_of_it(make_blender: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_blender()
    monkeypatch.setattr(views, "pictures_fit", lambda sizes: False)
    scene = load_scene(root)
    read: list[Path] = []
    monkeypatch.setattr(images, "read_picture", lambda file: read.append(file) or read_picture(file))
    assert contact_sheet(scene.train.views, count=2) is not None
    assert len(read) == len(set(read)) == 2


def test_an_eighth_of_the_memory_is_for_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "memory", lambda: 24_000)
    assert views.pictures_fit([(20, 25), (50, 10)])
    assert not views.pictures_fit([(20, 25), (50, 10), (1, 1)])


def test_an_eighth_of_the_memory_is_for_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "memory", lambda: 16_000)
    assert views.masks_fit([(20, 25), (50, 10)])
    assert not views.masks_fit([(20, 25), (50, 10), (1, 1)])


def test_downsample_below_the_masks_size_resamples_masks(make_blender: Make) -> None:
    root = make_blender()
    add_masks(root, "train", 3, (4, 4))
    scene = load_scene(root, downsample=0.25)
    assert scene.train.views[0].image.shape == (2, 2, 3)
    np.testing.assert_array_equal(scene.train.views[0].masks.masks(), halves((2, 2)))


def test_larger_masks_are_resampled_to_the_pictures(make_blender: Make) -> None:
    root = make_blender()
    add_masks(root, "train", 3, (16, 16))
    scene = load_scene(root)
    np.testing.assert_array_equal(scene.train.views[0].masks.masks(), halves((8, 8)))


def test_masks_of_another_aspect_ratio(make_blender: Make) -> None:
    root = make_blender()
    add_masks(root, "train", 3, (4, 8))
    message = "expected a mask with the aspect ratio of its picture (8x8 pixels), found 8x4 pixels"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root)


def test_masks_of_another_size_than_those_of_other_views(make_blender: Make) -> None:
    root = make_blender()
    add_masks(root, "train", 3, (4, 4))
    write_masks(root, "train", "r_1", halves((2, 2)))
    first, second = (root / f"train_seg/r_{index}/0.png" for index in (0, 1))
    message = f"{second}: expected 4x4 pixels as in {first}, found 2x2 pixels"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root)


def test_an_empty_mask_is_left_out(make_blender: Make) -> None:
    root = make_blender()
    add_masks(root, "train", 3, (4, 4))
    write_image(root / "train_seg/r_2/7.png", np.zeros((4, 4), np.uint8))
    masks = [view.masks for view in load_scene(root, progress=False).train]
    assert len({len(view) for view in masks}) == 1


def test_masks_from_another_folder(make_blender: Make, tmp_path: Path) -> None:
    root, masks = make_blender(), tmp_path / "masks"
    add_masks(masks, "train", 3, (4, 4))
    scene = load_scene(root, masks=masks)
    assert scene.has_masks
    assert not load_scene(root).has_masks


def test_folder_named_for_masks_must_hold_some(make_blender: Make, tmp_path: Path) -> None:
    root = make_blender()
    with pytest.raises(SceneError, match=re.escape(f"{tmp_path}/none: no such folder")):
        load_scene(root, masks=tmp_path / "none")
    with pytest.raises(SceneError, match=re.escape(f"{tmp_path}: holds no masks of the training views")):
        load_scene(root, masks=tmp_path)


def test_masks_in_the_folders_of_their_pictures(make_capture: Make) -> None:
    paths = [f"images/{side}/{index:04}.png" for side in ("front", "back") for index in range(2)]
    root, warnings = make_capture(4, paths=paths), []
    for number, path in enumerate(paths):
        mask = np.zeros((6, 8), np.uint8)
        mask[: number + 1] = 255
        write_image(root / path.replace("images", "train_seg").replace(".png", "/0.png"), mask)
    scene = load_scene(root, hold_out=None, progress=False, warn=warnings.append)
    areas = {view.file.relative_to(root).as_posix(): view.masks.areas.tolist() for view in scene.train}
    assert areas == {path: [8 * number + 8] for number, path in enumerate(paths)}
    assert not any("mask" in line for line in warnings)


def test_masks_in_a_folder_that_is_named(make_capture: Make) -> None:
    root, warnings = make_capture(4, paths=[f"images/{index}.png" for index in range(4)]), []
    for index in range(4):
        write_image(root / f"object_mask/{index}.jpg", np.full((6, 8), 255, np.uint8))
    scene = load_scene(root, progress=False, warn=warnings.append)
    assert not scene.has_some_masks
    folder = root / "object_mask"
    assert f"{folder}: looks like masks, but is not read; to use it, add: --masks {folder}" in warnings
    warnings.clear()
    scene = load_scene(root, masks=folder, hold_out=2, progress=False, warn=warnings.append)
    assert scene.has_masks
    assert not any("mask" in line for line in warnings)


def test_masks_that_belong_to_no_view_are_refused(make_blender: Make) -> None:
    root = make_blender()
    write_image(root / "train_seg/0001/0.png", np.ones((8, 8), np.uint8))
    with pytest.raises(SceneError, match=r"holds no masks of the training views \(expected train_seg/r_0/\*\.png"):
        load_scene(root, progress=False)


def test_masks_in_arrays_decide_the_working_size(make_blender: Make) -> None:
    root = make_blender()
    for index in range(3):
        (root / "train_seg").mkdir(exist_ok=True)
        np.save(root / f"train_seg/r_{index}.npy", halves((4, 4)))
    scene = load_scene(root, progress=False)
    assert [view.masks.masks().tolist() for view in scene.train] == [halves((4, 4)).tolist()] * 3


def test_warns_if_only_some_views_have_masks(make_blender: Make) -> None:
    root, warnings = make_blender(), []
    add_masks(root, "train", 2, (8, 8))
    scene = load_scene(root, warn=warnings.append)
    assert warnings == [f"{root}: 1 of 3 training views have no masks (first: r_2)"]
    assert not scene.has_masks


# Colours


def test_transparent_pictures_are_blended_before_they_shrink(make_blender: Make) -> None:
    root = make_blender()
    source = read_image(root / "train/r_0.png").astype(np.float64)
    for background, color in ((None, 255.0), ((0.0, 0.0, 0.0), 0.0)):
        alpha = source[..., 3:] / 255
        blended = source[..., :3] * alpha + color * (1 - alpha)
        expected = blended.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
        image = load_scene(root, downsample=0.5, background=background).train.views[0].image
        np.testing.assert_allclose(image, expected, atol=0.51)  # half a level from rounding


def test_background_of_the_layouts(make_blender: Make, make_capture: Make) -> None:
    blender, capture = make_blender(), make_capture()
    assert load_scene(blender).background.tolist() == [1, 1, 1]
    assert load_scene(blender, background=(0, 0.5, 1)).background.tolist() == [0, 0.5, 1]
    assert load_scene(capture).background is None
    write_image(capture / "images/0001.png", np.zeros((6, 8, 4), np.uint8))
    scene = load_scene(capture, hold_out=None)
    assert scene.background.tolist() == [1, 1, 1]
    assert (scene.train.views[1].image == 255).all()


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_deep_and_grey_pictures(make_capture: Make, channels: int | None) -> None:
    root = make_capture()
    shape = (6, 8) if channels is None else (6, 8, channels)
    values = np.random.default_rng(0).integers(0, 1 << 16, shape, dtype=np.uint16)
    if channels == 4:
        values[..., 3] = 65535
    write_image(root / "images/0002.png", values)
    image = load_scene(root, hold_out=None).train.views[2].image
    colors = np.repeat(values[..., None], 3, axis=2) if channels is None else values[..., :3]
    np.testing.assert_array_equal(image, np.round(colors / 257))


# Missing pictures


def remove_pictures(root: Path, count: int) -> None:
    for index in range(count):
        (root / f"images/{index + 2:04d}.png").unlink()


def missing_text(root: Path, missing: int) -> str:
    return f"{root}: {missing} of 12 images listed in transforms.json are missing (first: images/0002.png)"


def test_few_missing_pictures_are_left_out_with_a_warning(make_capture: Make) -> None:
    root, warnings = make_capture(12), []
    remove_pictures(root, 4)
    scene = load_scene(root, hold_out=None, warn=warnings.append)
    assert warnings == [f"{missing_text(root, 4)}; continuing with 8"]
    assert [view.name for view in scene.train] == ["0000", "0001", *(f"{index:04d}" for index in range(6, 12))]


def test_warning_goes_to_stderr(make_capture: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_capture(12)
    remove_pictures(root, 1)
    load_scene(root)
    assert capsys.readouterr().err == f"warning: {missing_text(root, 1)}; continuing with 11\n"


@pytest.mark.parametrize(("missing", "allow"), [(5, None), (1, False)])
def test_missing_pictures_that_need_consent(make_capture: Make, missing: int, allow: bool | None) -> None:
    root = make_capture(12)
    remove_pictures(root, missing)
    message = f"{missing_text(root, missing)}. Continuing needs allow_missing."
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root, allow_missing=allow)


def test_many_missing_pictures_with_consent(make_capture: Make) -> None:
    root, warnings = make_capture(12), []
    remove_pictures(root, 9)
    scene = load_scene(root, allow_missing=True, hold_out=None, warn=warnings.append)
    assert len(scene.train) == 3
    assert len(warnings) == 1


@pytest.mark.parametrize("allow", [None, False, True])
def test_no_picture_at_all(make_capture: Make, allow: bool | None) -> None:
    root = make_capture(3)
    shutil.rmtree(root / "images")
    message = f"{root}: none of the 3 images listed in transforms.json exists (first: images/0000.png)"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root, allow_missing=allow)


def test_progress_bar_stays_off_without_a_terminal(make_blender: Make, capsys: pytest.CaptureFixture[str]) -> None:
    load_scene(make_blender(), progress=True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_coverage_of_transparent_pictures_is_kept(pickplace):
    view = load_scene(pickplace, progress=False).train.views[0]
    assert view.alpha.shape == view.image.shape[:2]
    assert view.alpha.min() == 0
    assert view.alpha.max() == 255
    assert (view.image[view.alpha == 0] == 255).all()


# Names


BAD = [("a/...png", ".."), ("a/.png", ""), (".png", ""), ("a/b\nc.png", "b\nc"), ("a/" + "c" * 300, "c" * 60 + "…")]


@pytest.mark.parametrize(("listed", "name"), [*BAD, ("a/..", ".."), ("a/d\0", "d\0"), ("C:c.png", "C:c")])
@pytest.mark.parametrize("layout", ["blender", "nerfstudio"])
def test_pictures_whose_names_cannot_name_a_view(
    make_blender: Make, make_capture: Make, edit: Make, layout: str, listed: str, name: str
) -> None:
    root = make_blender() if layout == "blender" else make_capture()
    file = root / ("transforms_train.json" if layout == "blender" else "transforms.json")
    edit(file, lambda values: values["frames"][1].update(file_path=listed))
    message = f"{file}: frame 1: view name: {name!r} cannot be a file name"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(root)


@pytest.mark.parametrize("name", ["..", "."])
def test_folders_whose_names_cannot_name_a_view(tmp_path: Path, name: str) -> None:
    for view in ("00", "01", name):
        write_image(tmp_path / f"view-{view}/shape-rgb.png", np.zeros((4, 4, 3), np.uint8))
        (tmp_path / f"view-{view}/meta.txt").write_text("0 0 0 1")
    message = f"{tmp_path}/view-{name}/meta.txt: view name: {name!r} cannot be a file name"
    with pytest.raises(SceneError, match=re.escape(message)):
        load_scene(tmp_path)
