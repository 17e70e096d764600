"""What is inside a mask, in pictures and arrays of every kind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from odd_files import put_odd
from PIL import Image

from ultrafield.errors import SceneError
from ultrafield.masks import read_masks
from ultrafield.masks.files import _above_half, inside, masks_in, read_masks_of

SIZE = (40, 60)


def disc() -> np.ndarray:
    """A mask [H, W] bool."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows - 18) ** 2 + (columns - 25) ** 2 < 150


def photograph(channels: int = 3) -> np.ndarray:
    """A bright picture of noise [H, W, C]."""
    return np.random.default_rng(0).integers(20, 256, (*SIZE, channels)).astype(np.uint8)


def read(file: Path) -> np.ndarray:
    """The only mask of a file."""
    (mask,) = read_masks_of(file)
    return mask


def save(folder: Path, name: str, picture: Image.Image | np.ndarray) -> Path:
    """Write a picture with Pillow, which knows more kinds than OpenCV."""
    file = folder / name
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file)
    return file


WHITE = disc().astype(np.uint8) * 255
CASES = {
    "grey.png": WHITE,
    "flags.png": Image.fromarray(WHITE).convert("1"),
    "ones.png": WHITE // 255,
    "hundred.png": WHITE // 255 * 100,
    "sixteen.png": (WHITE.astype(np.uint16) * 257),
    "eight_in_sixteen.png": WHITE.astype(np.uint16),
    "ones_in_sixteen.png": (WHITE // 255).astype(np.uint16),
    "palette.png": Image.fromarray(WHITE).convert("P"),
    "red.png": np.stack([WHITE // 255 * 128, 0 * WHITE, 0 * WHITE], -1),
    "dark_blue.png": np.stack([0 * WHITE, 0 * WHITE, WHITE // 255 * 64], -1),
    "cut_out.png": np.dstack([photograph(), WHITE]),
    "grey_cut_out.png": Image.merge("LA", [Image.fromarray(photograph(1)[..., 0]), Image.fromarray(WHITE)]),
    "faint_overlay.png": np.dstack([photograph(), WHITE // 255 * 89]),
    "opaque.png": np.dstack([WHITE, WHITE, WHITE, 255 + 0 * WHITE]),
    "nearly_opaque.png": np.dstack([WHITE, WHITE, WHITE, 254 + WHITE // 255]),
    "picture.bmp": WHITE,
    "PICTURE.TIF": WHITE,
    "float.tif": (WHITE / 255).astype(np.float32),
    "wide.tiff": WHITE.astype(np.int32),
    "picture.webp": WHITE,
    "picture.jpg": WHITE,
    "colour.JPEG": np.dstack([WHITE] * 3),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mask_is_read_from_any_kind_of_picture(tmp_path: Path, name: str) -> None:
    file = save(tmp_path, name, CASES[name])
    np.testing.assert_array_equal(read(file), disc())
    assert masks_in(file) == (1, SIZE)


@pytest.mark.parametrize("how", ["lanczos", "blur", "jpeg"])
def test_soft_and_noisy_borders_leave_no_stray_pixels(tmp_path: Path, how: str) -> None:
    large = cv2.resize(WHITE, (240, 160), interpolation=cv2.INTER_NEAREST)
    if how == "lanczos":
        soft = cv2.resize(large, (60, 40), interpolation=cv2.INTER_LANCZOS4)
    elif how == "blur":
        soft = cv2.GaussianBlur(WHITE, (5, 5), 1)
    else:
        soft = cv2.imdecode(cv2.imencode(".jpg", WHITE, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_UNCHANGED)
    assert len(np.unique(soft)) > 8
    mask = read(save(tmp_path, "soft.png", soft))
    count, _ = cv2.connectedComponents(mask.astype(np.uint8))
    assert count == 2
    assert (mask != disc()).sum() < 30


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0, 0, 0]], [[0, 0, 0]]),
        ([[1, 1, 1]], [[1, 1, 1]]),
        ([[0, 127, 255]], [[0, 0, 1]]),
        ([[0, 128, 255]], [[0, 1, 1]]),
        ([[0, 60, 127]], [[0, 0, 0]]),
        ([[200, 255, 200]], [[0, 1, 0]]),
        ([[0, 3, 0]], [[0, 1, 0]]),
    ],
)
def test_one_half_decides_except_between_two_values(values: list[list[int]], expected: list[list[int]]) -> None:
    mask = inside(Path("a.png"), np.array(values, np.uint8))
    np.testing.assert_array_equal(mask, np.array(expected, bool))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize(
    "kinds", [[0], [7], [255], [0, 1], [3, 100], [127, 128], [130, 200], [0, 60, 127], [140, 200, 9]]
)
def test_masks_of_8_bits_are_as_those_of_any_number(name: str, kinds: list[int]) -> None:
    values = np.random.default_rng(0).choice(np.array(kinds, np.uint8), (9, 21))
    fixed = values.copy()
    fixed.flags.writeable = False
    for form in (values, fixed, values[:, ::2], values[:1, :1]):
        found = inside(Path(name), form)
        np.testing.assert_array_equal(found, _above_half(form, lossy=name == "a.jpg"))
        assert found.dtype == bool


@pytest.mark.parametrize("values", [[[0, 1, 0]], [[2, 2, 2]]])
def test_noise_of_black_jpeg_pictures_is_outside(values: list[list[int]]) -> None:
    assert not inside(Path("a.jpg"), np.array(values, np.uint8)).any()
    assert not (~inside(Path("a.jpg"), 255 - np.array(values, np.uint8))).any()


def test_a_cut_out_of_nothing_is_empty(tmp_path: Path) -> None:
    assert not read(save(tmp_path, "a.png", np.dstack([photograph(), 0 * WHITE]))).any()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float16])
def test_arrays_of_flags_and_numbers(tmp_path: Path, dtype: type) -> None:
    for name, factor in (("ones.npy", 1), ("full.npy", 255)):
        np.save(tmp_path / name, (disc().astype(np.uint8) * factor).astype(dtype))
        np.testing.assert_array_equal(read(tmp_path / name), disc())


def test_an_array_may_hold_several_masks(tmp_path: Path) -> None:
    stack = np.stack([disc(), ~disc()])
    for name, array in (("a.npy", stack), ("b.npy", stack[:, None]), ("c.npy", np.asfortranarray(stack))):
        np.save(tmp_path / name, array)
        np.testing.assert_array_equal(list(read_masks_of(tmp_path / name)), stack)
        assert masks_in(tmp_path / name) == (2, SIZE)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros(4), "expected masks [H, W] or [M, H, W], found an array of shape [4]"),
        (np.zeros((0, 5), bool), "expected masks with pixels, found an array of shape [0, 5]"),
        (np.zeros((3, 0, 5)), "expected masks with pixels, found an array of shape [3, 0, 5]"),
        (np.zeros((2, 3, 4, 5)), "found an array of shape [2, 3, 4, 5]"),
        (np.full((3, 3), np.nan), "a mask holds a value that is negative or not finite"),
        (np.full((3, 3), -1.0), "a mask holds a value that is negative or not finite"),
        (np.full((3, 3), "a"), "expected flags or numbers, found <U1"),
        (np.array([{}]), "it holds Python objects, which are never loaded"),
    ],
)
def test_arrays_that_are_no_masks(tmp_path: Path, array: np.ndarray, text: str) -> None:
    file = tmp_path / "train_seg/r_0/0.npy"
    file.parent.mkdir(parents=True)
    np.save(file, array)
    with pytest.raises(SceneError) as caught:
        read_masks(tmp_path, "train", "r_0")
    assert str(caught.value).startswith(f"{file}: ")
    assert text in str(caught.value)


def test_archives_and_broken_arrays_are_no_masks(tmp_path: Path) -> None:
    file = tmp_path / "train_seg/r_0/0.npy"
    file.parent.mkdir(parents=True)
    np.savez(tmp_path / "a.npz", np.ones((3, 3)))
    (tmp_path / "a.npz").rename(file)
    with pytest.raises(SceneError, match=r"0\.npy: not a readable array \(an \.npz archive"):
        read_masks(tmp_path, "train", "r_0")
    file.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + b"((((".ljust(118) + b"\n")
    with pytest.raises(SceneError, match=r"0\.npy: not a readable array \(its header cannot be read\)"):
        read_masks(tmp_path, "train", "r_0")


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "text"])
def test_what_is_no_file_is_named(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "train_seg/r_0/0.png"
    file.parent.mkdir(parents=True)
    if kind == "text":
        file.write_text("none")
    else:
        put_odd(file, kind)
    texts = {"fifo": "(a FIFO, a socket or a device)", "folder": "a folder", "text": "not a readable picture"}
    with pytest.raises(SceneError) as caught:
        read_masks(tmp_path, "train", "r_0")
    assert str(caught.value).startswith(f"{file}: ")
    assert texts.get(kind, "no such file") in str(caught.value)


def test_flags_of_other_bytes_are_true(tmp_path: Path) -> None:
    file = tmp_path / "train_seg/r_0/0.npy"
    file.parent.mkdir(parents=True)
    np.save(file, np.array([[0, 3, 1]], np.uint8).view(bool))
    file.with_name("1.npy").write_bytes(file.read_bytes())
    (tmp_path / "train_seg/r_1.npy").write_bytes(file.read_bytes())
    for name, count in (("r_0", 2), ("r_1", 1)):
        np.testing.assert_array_equal(read_masks(tmp_path, "train", name).masks(), [[[False, True, True]]] * count)
