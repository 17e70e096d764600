"""Both published shapes of mask files, their hierarchy, and every complaint about them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import (
    MaskFolder,
    build_mask_set,
    find_masks,
    mask_files,
    mask_size,
    read_mask_files,
    read_masks,
    write_masks,
)
from ultrafield.masks.read import same_aspect


def boxes(count: int, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    """Masks [M, H, W] of different sizes."""
    masks = np.zeros((count, *size), bool)
    for index, mask in enumerate(masks):
        mask[index % size[0] :, : index + 1] = True
    return masks


def test_written_masks_come_back_in_lexical_order(tmp_path: Path) -> None:
    masks = boxes(12)
    write_masks(tmp_path, "train", "r_0", masks)
    found = read_masks(tmp_path, "train", "r_0", None)
    order = [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    expected = build_mask_set(masks[order])
    np.testing.assert_array_equal(found.masks(), masks[order])
    np.testing.assert_array_equal(np.load(tmp_path / "train_seg_hierarchy/r_0_inside.npy"), expected.inside)
    np.testing.assert_array_equal(np.load(tmp_path / "train_seg_hierarchy/r_0_same.npy"), expected.same)
    np.testing.assert_array_equal(found.inside, expected.inside)


def test_no_mask_at_all_is_written_and_read(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", np.zeros((0, 4, 4), bool))
    assert find_masks(tmp_path, "train", "r_0") is None
    assert read_masks(tmp_path, "train", "r_0", None) is None
    found = read_masks(tmp_path, "train", "r_0", (3, 5))
    assert (len(found), found.shape) == (0, (3, 5))


def test_view_without_files_has_none(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(2))
    assert read_masks(tmp_path, "train", "r_1", (12, 16)) is None
    assert read_masks(tmp_path, "val", "r_0", (12, 16)) is None


def test_empty_split_name_means_the_folder_seg(tmp_path: Path) -> None:
    write_masks(tmp_path, "", "03", boxes(2))
    assert (tmp_path / "seg/03/1.png").is_file()
    assert len(read_masks(tmp_path, "", "03", None)) == 2


def test_hierarchy_on_disk_goes_before_the_computed_one(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(3))
    odd = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0]], bool)
    np.save(tmp_path / "train_seg_hierarchy/r_0_inside.npy", odd)
    np.testing.assert_array_equal(read_masks(tmp_path, "train", "r_0", None).inside, odd)


def test_hierarchy_is_computed_where_a_file_is_missing(tmp_path: Path) -> None:
    masks = boxes(3)
    write_masks(tmp_path, "train", "r_0", masks)
    (tmp_path / "train_seg_hierarchy/r_0_same.npy").unlink()
    np.testing.assert_array_equal(read_masks(tmp_path, "train", "r_0", None).inside, build_mask_set(masks).inside)


def test_hierarchy_of_another_shape(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(3))
    file = tmp_path / "train_seg_hierarchy/r_0_same.npy"
    np.save(file, np.eye(4, dtype=bool))
    message = f"{file}: expected shape (3, 3) for 3 masks, found (4, 4)"
    with pytest.raises(SceneError, match=re.escape(message)):
        read_masks(tmp_path, "train", "r_0", None)


def test_broken_hierarchy(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(3))
    file = tmp_path / "train_seg_hierarchy/r_0_inside.npy"
    file.write_bytes(b"no array")
    with pytest.raises(SceneError, match=re.escape(f"{file}: not a readable array")):
        read_masks(tmp_path, "train", "r_0", None)


@pytest.mark.parametrize(
    "matrix",
    [
        np.full((3, 3), np.nan),
        np.full((3, 3), 0.5),
        np.full((3, 3), -1),
        np.full((3, 3), 2),
        np.full((3, 3), "a"),
        np.zeros((3, 3), complex),
        np.zeros((3, 3), "datetime64[s]"),
    ],
    ids=str,
)
def test_hierarchy_that_holds_no_flags(tmp_path: Path, matrix: np.ndarray) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(3))
    file = tmp_path / "train_seg_hierarchy/r_0_same.npy"
    np.save(file, matrix)
    text = f"{file}: expected flags (true or false, 0 or 1), found other values or dtype {matrix.dtype}"
    with pytest.raises(SceneError, match=re.escape(text)):
        read_masks(tmp_path, "train", "r_0", None)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_hierarchy_of_numbers(tmp_path: Path, dtype: type) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(3))
    odd = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0]], dtype)
    np.save(tmp_path / "train_seg_hierarchy/r_0_inside.npy", odd)
    np.testing.assert_array_equal(read_masks(tmp_path, "train", "r_0", None).inside, odd == 1)


@pytest.mark.parametrize("kind", ["archive", "objects", "huge", "FIFO", "folder"])
def test_hierarchy_files_that_are_no_matrix(tmp_path: Path, kind: str) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(3))
    file = tmp_path / "train_seg_hierarchy/r_0_same.npy"
    file.unlink()
    if kind == "archive":
        np.savez(tmp_path / "a.npz", np.eye(3))
        (tmp_path / "a.npz").rename(file)
    elif kind == "objects":
        np.save(file, np.array([[{}]]), allow_pickle=True)
    elif kind == "huge":
        head = b"{'descr': '|b1', 'fortran_order': False, 'shape': (1000000, 1000000)}".ljust(117) + b"\n"
        file.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + head)
    elif kind == "FIFO":
        os.mkfifo(file)
    else:
        file.mkdir()
    with pytest.raises(SceneError, match=f"^{re.escape(str(file))}: (not a readable array|expected a file)"):
        read_masks(tmp_path, "train", "r_0", None)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_id_map(tmp_path: Path, dtype: type) -> None:
    ids = np.zeros((6, 5), dtype)
    ids[:2], ids[4:] = 7, np.iinfo(dtype).max - 1
    write_image(tmp_path / "train_seg/r_0.png", ids)
    found = read_masks(tmp_path, "train", "r_0", None)
    np.testing.assert_array_equal(found.masks(), np.stack([ids == 7, ids == np.iinfo(dtype).max - 1]))


def test_id_map_of_colours(tmp_path: Path) -> None:
    colors = np.zeros((4, 4, 3), np.uint8)
    colors[0], colors[1], colors[2] = (0, 0, 9), (0, 9, 0), (9, 0, 0)
    write_image(tmp_path / "train_seg/r_0.png", colors)
    rows = [np.flatnonzero(mask.all(axis=1)).tolist() for mask in read_masks(tmp_path, "train", "r_0", None).masks()]
    assert rows == [[0], [1], [2]]


def test_transparent_pixels_of_an_id_map_belong_to_no_mask(tmp_path: Path) -> None:
    colors = np.full((4, 4, 4), 255, np.uint8)
    colors[:2, :, 3] = 0
    write_image(tmp_path / "train_seg/r_0.png", colors)
    assert read_masks(tmp_path, "train", "r_0", None).areas.tolist() == [8]


def test_id_map_without_ids_is_a_view_without_masks(tmp_path: Path) -> None:
    write_image(tmp_path / "train_seg/r_0.png", np.zeros((4, 6), np.uint8))
    found = read_masks(tmp_path, "train", "r_0", None)
    assert (len(found), found.shape) == (0, (4, 6))


def test_masks_beside_an_id_map_go_before_it(tmp_path: Path) -> None:
    masks = boxes(3)
    write_image(tmp_path / "train_seg/r_0.png", np.ones((12, 16), np.uint8))
    for index, mask in enumerate(masks):
        write_image(tmp_path / f"train_seg_hierarchy/r_0/{index}.png", mask.astype(np.uint8))
    np.testing.assert_array_equal(read_masks(tmp_path, "train", "r_0", None).masks(), masks)


def test_other_files_beside_masks_are_ignored(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "r_0", boxes(2))
    (tmp_path / "train_seg/r_0/metadata.csv").write_text("id,area\n")
    assert len(read_masks(tmp_path, "train", "r_0", None)) == 2


@pytest.mark.parametrize("complete", [True, False])
def test_masks_without_a_pixel_are_skipped_with_their_hierarchy(tmp_path: Path, complete: bool) -> None:
    masks = boxes(3)
    write_masks(tmp_path, "train", "r_0", masks)
    odd = np.zeros((4, 4), bool)
    odd[0, 2] = odd[2, 3] = True
    kept = np.array([0, 2, 3])
    write_image(tmp_path / "train_seg/r_0/00.png", np.zeros((12, 16), np.uint8))  # comes second
    for kind in ("inside", "same"):
        np.save(tmp_path / f"train_seg_hierarchy/r_0_{kind}.npy", odd if complete else odd[np.ix_(kept, kept)])
    folder = MaskFolder(tmp_path)
    found = read_masks(folder, "train", "r_0")
    np.testing.assert_array_equal(found.masks(), masks)
    np.testing.assert_array_equal(found.inside, odd[np.ix_(kept, kept)])
    assert folder.skipped == [(tmp_path / "train_seg/r_0/00.png", "no pixel inside")]


def test_a_view_whose_masks_are_all_empty_has_none(tmp_path: Path) -> None:
    write_image(tmp_path / "train_seg/r_0/0.png", np.zeros((4, 6), np.uint8))
    found = read_masks(tmp_path, "train", "r_0")
    assert (len(found), found.shape) == (0, (4, 6))


def test_masks_of_files_all_at_once(tmp_path: Path) -> None:
    masks = boxes(3)
    write_masks(tmp_path, "train", "r_0", masks)
    files = mask_files(tmp_path / "train_seg/r_0")
    np.testing.assert_array_equal(read_mask_files(files).masks(), masks)
    write_image(files[1], np.zeros((12, 16), np.uint8))
    with pytest.raises(SceneError, match=r"1\.png: mask holds no pixel"):
        read_mask_files(files)


def test_masks_of_different_sizes(tmp_path: Path) -> None:
    write_image(tmp_path / "train_seg/r_0/0.png", np.ones((4, 6), np.uint8))
    write_image(tmp_path / "train_seg/r_0/1.png", np.ones((4, 4), np.uint8))
    message = f"{tmp_path}/train_seg/r_0/1.png: expected 6x4 pixels like 0.png, found 4x4 pixels"
    with pytest.raises(SceneError, match=re.escape(message)):
        read_masks(tmp_path, "train", "r_0", None)


def test_mask_of_another_aspect_ratio(tmp_path: Path) -> None:
    write_image(tmp_path / "train_seg/r_0/0.png", np.ones((4, 6), np.uint8))
    message = (
        f"{tmp_path}/train_seg/r_0/0.png: expected a mask with the aspect ratio of its picture (8x8 pixels), "
        "found 6x4 pixels"
    )
    with pytest.raises(SceneError, match=re.escape(message)):
        read_masks(tmp_path, "train", "r_0", (8, 8))


def test_masks_of_another_shape_than_their_picture(tmp_path: Path) -> None:
    (tmp_path / "train_seg").mkdir()
    for name, array in (("a", np.ones((2, 4, 6), bool)), ("b", np.ones((4, 6), int))):
        np.save(tmp_path / f"train_seg/{name}.npy", array)
        expected = re.escape(f"{tmp_path}/train_seg/{name}.npy: expected a mask with the aspect ratio of its picture")
        with pytest.raises(SceneError, match=expected):
            read_masks(tmp_path, "train", name, (8, 8))
    assert mask_size(tmp_path / "train_seg/a.npy") == (4, 6)


def test_corrupt_mask(tmp_path: Path) -> None:
    file = tmp_path / "train_seg/r_0/0.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no picture")
    with pytest.raises(SceneError, match=re.escape(f"{file}: not a readable picture")):
        read_masks(tmp_path, "train", "r_0", None)


def test_masks_that_vanish_when_resampled_are_dropped_with_their_hierarchy(tmp_path: Path) -> None:
    masks = np.zeros((3, 8, 8), bool)
    masks[0, :, :] = masks[1, 0, 0] = masks[2, 4:, 4:] = True
    write_masks(tmp_path, "train", "r_0", masks)
    found = read_masks(tmp_path, "train", "r_0", (4, 4))
    assert found.areas.tolist() == [16, 4]
    assert found.inside.tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize(
    ("size", "other", "same"),
    [
        ((200, 200), (400, 400), True),
        ((768, 1024), (1000, 1333), True),
        ((1920, 1080), (480, 270), True),
        ((1080, 1920), (1920, 1080), False),
        ((200, 200), (200, 202), False),
        ((100, 200), (200, 200), False),
    ],
)
def test_same_aspect(size: tuple[int, int], other: tuple[int, int], same: bool) -> None:
    assert same_aspect(size, other) == same
    assert same_aspect(other, size) == same


def test_published_hierarchy_is_what_we_compute(pickplace: Path) -> None:
    for name in ("r_0", "r_17", "r_59"):
        found = read_masks(pickplace, "train", name, None)
        again = build_mask_set(found.masks())
        np.testing.assert_array_equal(found.inside, again.inside)
        np.testing.assert_array_equal(found.same, again.same)
