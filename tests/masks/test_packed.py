"""Packed files: what is written is read, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ultrafield.errors import SceneError
from ultrafield.io import write_image, write_npz
from ultrafield.masks import MaskFolder, build_mask_set, find_masks, mask_size, read_masks, write_masks
from ultrafield.masks.packed import is_packed, packed_header, read_packed, read_qualities, write_packed
from ultrafield.masks.write import write_packed_masks
from ultrafield.reading import read_npz

from .test_read import boxes


@given(count=st.integers(0, 140), seed=st.integers(0, 1000))
def test_masks_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, count: int, seed: int) -> None:
    masks = np.random.default_rng(seed).random((count, 5, 7)) < 0.3
    masks[:, 0, seed % 7] = True
    file, expected = tmp_path_factory.mktemp("packed") / "a.npz", build_mask_set(masks)
    write_packed(file, expected)
    assert is_packed(file)
    assert packed_header(file) == (count, (5, 7))
    found = read_packed(file)
    for name in ("bits", "areas", "inside", "same"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert read_qualities(file) == {}


def test_what_is_known_of_masks_comes_back(tmp_path: Path) -> None:
    qualities = {"predicted_iou": np.array([0.9, 0.8], np.float32), "point_coords": np.ones((2, 2), np.float32)}
    write_packed(tmp_path / "a.npz", build_mask_set(boxes(2)), qualities)
    found = read_qualities(tmp_path / "a.npz")
    assert found.keys() == qualities.keys()
    for name, values in qualities.items():
        np.testing.assert_array_equal(found[name], values)


def test_packed_masks_are_masks_of_a_view(tmp_path: Path) -> None:
    write_packed_masks(tmp_path, "train", "a", build_mask_set(boxes(3)))
    file = tmp_path / "train_seg/a.npz"
    assert find_masks(tmp_path, "train", ("x", "a")) == file
    height, width = mask_size(file)
    found = read_masks(tmp_path, "train", "a", (2 * height, 2 * width))
    assert found is not None
    assert (len(found), found.shape) == (3, (2 * height, 2 * width))
    write_image(tmp_path / "train_seg/a.png", np.ones((height, width), np.uint8))
    assert find_masks(tmp_path, "train", "a") == file  # before an id map
    write_masks(tmp_path, "val", "a", boxes(1))
    assert find_masks(tmp_path, "val", "a") == tmp_path / "val_seg/a/0.png"


def test_each_form_replaces_the_other(tmp_path: Path) -> None:
    write_masks(tmp_path, "train", "b", boxes(2))
    write_masks(tmp_path, "train", "a", boxes(5))
    write_packed_masks(tmp_path, "train", "a", build_mask_set(boxes(3)))
    assert sorted(path.name for path in (tmp_path / "train_seg").iterdir()) == ["a.npz", "b"]
    assert sorted(path.name for path in (tmp_path / "train_seg_hierarchy").iterdir()) == ["b_inside.npy", "b_same.npy"]
    write_masks(tmp_path, "train", "a", boxes(4))
    assert sorted(path.name for path in (tmp_path / "train_seg").iterdir()) == ["a", "b"]
    assert len(read_masks(MaskFolder(tmp_path), "train", "a") or ()) == 4


@pytest.mark.parametrize("other", ["an archive", "garbage", "a link", "a folder", "masks of the user"])
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, other: str) -> None:
    file = tmp_path / "train_seg/a.npz"
    file.parent.mkdir()
    if other == "an archive":
        np.savez(file, masks=boxes(2))
    elif other == "garbage":
        file.write_bytes(b"mine")
    elif other == "a link":
        write_packed(tmp_path / "other.npz", build_mask_set(boxes(1)))
        file.symlink_to(tmp_path / "other.npz")
    elif other == "a folder":
        file.mkdir()
    else:
        write_image(tmp_path / "train_seg/a/mask.jpg", np.ones((4, 4), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    for write in (write_packed_masks, write_masks):
        with pytest.raises(SceneError, match="not replaced"):
            write(tmp_path, "train", "a", build_mask_set(boxes(3)))
    assert sorted(tmp_path.rglob("*")) == before


def test_interrupted_writing_leaves_the_older_file(tmp_path: Path) -> None:
    write_packed_masks(tmp_path, "train", "a", build_mask_set(boxes(5)))

    def fail(file: Path, hierarchy: dict[str, np.ndarray]) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_packed_masks(tmp_path, "train", "a", build_mask_set(boxes(3)), announce=fail)
    assert [path.name for path in (tmp_path / "train_seg").iterdir()] == ["a.npz"]
    assert len(read_masks(tmp_path, "train", "a") or ()) == 5


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another format": ({"format": np.array(2)}, "expected format 1"),
    "formats": ({"format": np.array([1])}, "expected format 1"),
    "short rows": ({"rows": np.zeros((2, 0), np.uint64)}, "expected memberships of 3 masks"),
    "no rows": ({"rows": np.zeros((0, 1), np.uint64)}, "expected memberships of 3 masks"),
    "signed rows": ({"rows": np.zeros((2, 1), np.int64)}, "expected memberships of 3 masks"),
    "more masks": ({"rows": np.full((9, 1), 255, np.uint64)}, "expected memberships of 3 masks"),
    "other rows": ({"rows": np.zeros((9, 1), np.uint64)}, "expected the areas of its masks"),
    "high numbers": ({"numbers": np.full((6, 8), 99, np.uint8)}, "expected numbers of pixels below"),
    "signed numbers": ({"numbers": np.zeros((6, 8), np.int8)}, "expected numbers of pixels below"),
    "flat numbers": ({"numbers": np.zeros(6, np.uint8)}, "expected numbers of pixels and areas of masks"),
    "other areas": ({"areas": np.array([1, 1, 1])}, "expected the areas of its masks"),
    "square areas": ({"areas": np.ones((3, 3), np.int64)}, "expected numbers of pixels and areas of masks"),
    "short flags": ({"inside": np.zeros((3, 2), np.uint8)}, "expected flags 'inside' of 3 masks"),
    "wide flags": ({"same": np.zeros((3, 1), np.int16)}, "expected flags 'same' of 3 masks"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, case: str) -> None:
    changes, text = CHANGES[case]
    write_packed(tmp_path / "a.npz", build_mask_set(boxes(3)))
    write_npz(tmp_path / "a.npz", **(read_npz(tmp_path / "a.npz") | changes))
    with pytest.raises(SceneError) as raised:
        read_packed(tmp_path / "a.npz")
    assert text in str(raised.value)


def test_masks_without_pixels_are_refused(tmp_path: Path) -> None:
    write_packed(tmp_path / "a.npz", build_mask_set(boxes(1)))
    arrays = read_npz(tmp_path / "a.npz")
    arrays |= {"rows": np.zeros_like(arrays["rows"]), "areas": np.zeros(1, np.int64)}
    write_npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(SceneError, match="expected masks that hold a pixel"):
        read_packed(tmp_path / "a.npz")


def test_qualities_of_other_masks_are_refused(tmp_path: Path) -> None:
    write_packed(tmp_path / "a.npz", build_mask_set(boxes(3)), {"predicted_iou": np.ones(2, np.float32)})
    with pytest.raises(SceneError, match="expected predicted_iou of 3 masks"):
        read_qualities(tmp_path / "a.npz")


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "train_seg/a.npz"
    write_packed(file, build_mask_set(boxes(3)))
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(SceneError, match=r"a\.npz: cannot be read"):
        read_masks(tmp_path, "train", "a")
