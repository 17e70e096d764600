"""Photographs of every kind: what is read from them, which are left out, and what a scene folder gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from room_photographs import room_cameras, room_picture

from ultrafield.capture.exif import Exif
from ultrafield.capture.formats import find_photographs, prepare_heif
from ultrafield.capture.photographs import Photograph, look_at
from ultrafield.capture.pictures import plain_names, write_photograph
from ultrafield.capture.placing import make_groups
from ultrafield.capture.selection import select
from ultrafield.capture.settings import ImportConfig
from ultrafield.capture.sharpness import sharpness
from ultrafield.errors import SceneError
from ultrafield.scene.images import read_picture

UPRIGHT = Exif(1, None, ())


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A photograph [120, 160, 3] uint8 whose left half is darker."""
    image = room_picture(room_cameras(3, size=(160, 120), focal=150.0), 1)
    image[:, :80] //= 3
    return image


def looked(file: Path, longest: int = 1600) -> tuple[Photograph, np.ndarray]:
    """The photograph, and its grey copy."""
    folder = file.parent / "grey"
    folder.mkdir(exist_ok=True)
    photograph = look_at(file, "copy.png", folder, longest)
    return photograph, np.asarray(Image.open(folder / "copy.png"))


def save(file: Path, image: np.ndarray, **options: Any) -> Path:
    Image.fromarray(image).save(file, **options)
    return file


def exif(**tags: Any) -> Image.Exif:
    """EXIF data with a turn, make, model, and details."""
    data = Image.Exif()
    numbers = {"turn": 0x0112, "make": 0x010F, "model": 0x0110}
    details = {"focal": 0x920A, "film": 0xA405, "resolution": 0xA20E, "unit": 0xA210}
    for key, value in tags.items():
        if key in numbers:
            data[numbers[key]] = value
        else:
            data.get_ifd(0x8769)[details[key]] = value
    return data


@pytest.mark.parametrize("turn", range(1, 9))
def test_photographs_are_turned_upright(tmp_path: Path, picture: np.ndarray, turn: int) -> None:
    back = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: picture.transpose(1, 0, 2)[::-1],
        7: picture.transpose(1, 0, 2)[::-1, ::-1],
        8: picture.transpose(1, 0, 2)[:, ::-1],
    }[turn]
    file = save(tmp_path / "a.jpg", np.ascontiguousarray(back), quality=98, subsampling=0, exif=exif(turn=turn))
    photograph, grey = looked(file)
    assert photograph.size == photograph.reduced == (160, 120)
    expected = np.asarray(Image.fromarray(picture).convert("L"), np.float32)
    assert np.abs(grey - expected).mean() < 3
    written = read_picture(write_photograph(photograph, "b", tmp_path))
    assert np.abs(written.astype(float) - picture).mean() < 4
    assert (tmp_path / "b.jpg").is_file()
    if turn == 1:
        assert (tmp_path / "b.jpg").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("kind", ["grey 8", "grey 16", "rgb 16", "tiff 16", "palette", "webp", "cmyk", "bits"])
def test_pictures_of_every_depth(tmp_path: Path, picture: np.ndarray, kind: str) -> None:
    import cv2

    file, grey = tmp_path / "a.png", np.asarray(Image.fromarray(picture).convert("L"))
    if kind == "grey 8":
        save(file, grey)
    elif kind == "grey 16":
        save(file, grey.astype(np.uint16) * 257)
    elif kind == "rgb 16":
        cv2.imwrite(str(file), picture[..., ::-1].astype(np.uint16) * 257)
    elif kind == "tiff 16":
        file = tmp_path / "a.tif"
        cv2.imwrite(str(file), picture[..., ::-1].astype(np.uint16) * 257)
    elif kind == "palette":
        Image.fromarray(picture).quantize(256).save(file)
    elif kind == "webp":
        file = save(tmp_path / "a.webp", picture, quality=95)
    elif kind == "cmyk":
        file = tmp_path / "a.jpg"
        Image.fromarray(picture).convert("CMYK").save(file, quality=95)
    else:
        Image.fromarray(grey > 100).save(file)
        grey = (grey > 100).astype(np.uint8) * 255
    photograph, copy = looked(file)
    assert np.abs(copy.astype(float) - grey).mean() < 8
    written = read_picture(write_photograph(photograph, "b", tmp_path))
    assert written.shape == (120, 160, 3)
    assert np.abs(written.mean(axis=2) - copy).mean() < 20


@pytest.mark.parametrize("turn", [1, 6])
def test_transparent_parts_have_a_mask(tmp_path: Path, picture: np.ndarray, turn: int) -> None:
    alpha = np.full((120, 160, 1), 255, np.uint8)
    alpha[:, 100:] = 0
    file = save(tmp_path / "a.png", np.concatenate([picture, alpha], axis=2), exif=exif(turn=turn))
    photograph, _ = looked(file)
    mask = np.asarray(Image.open(tmp_path / "grey/masks/copy.png.png"))
    mask = mask if turn == 1 else np.rot90(mask)
    assert photograph.masked
    assert mask[:, :100].min() == 255
    assert mask[:, 100:].max() == 0
    written = read_picture(write_photograph(photograph, "b", tmp_path))
    assert written.shape[2] == 4


def test_opaque_alpha_is_no_mask(tmp_path: Path, picture: np.ndarray) -> None:
    alpha = np.full((120, 160, 1), 255, np.uint8)
    assert not looked(save(tmp_path / "a.png", np.concatenate([picture, alpha], axis=2)))[0].masked


def test_heic(tmp_path: Path, picture: np.ndarray) -> None:
    pytest.importorskip("pillow_heif")
    files = [tmp_path / "a.HEIC"]
    prepare_heif(files)
    Image.fromarray(picture).save(files[0], format="HEIF", quality=90)
    photograph, _ = looked(files[0])
    assert photograph.size == (160, 120)
    assert write_photograph(photograph, "a", tmp_path).name == "a.jpg"
    assert find_photographs(tmp_path) == [tmp_path / "a.HEIC", tmp_path / "a.jpg"]
    assert plain_names(find_photographs(tmp_path)) == ["a", "a_2"]


@pytest.mark.parametrize(
    ("turn", "size", "corner"), [(1, (160, 120), (0, 0)), (6, (120, 160), (0, 1)), (3, (160, 120), (1, 1))]
)
def test_heic_is_turned_once(tmp_path: Path, turn: int, size: tuple[int, int], corner: tuple[int, int]) -> None:
    pytest.importorskip("pillow_heif")
    file = tmp_path / "a.heic"
    prepare_heif([file])
    quarter = np.zeros((120, 160, 3), np.uint8)
    quarter[:60, :80] = 255
    Image.fromarray(quarter).save(file, format="HEIF", quality=95, exif=exif(turn=turn).tobytes())
    photograph, grey = looked(file)
    assert photograph.size == size
    for picture in (grey, read_picture(write_photograph(photograph, "b", tmp_path))[..., 0]):
        height, width = picture.shape
        bright = {
            (y, x) for y in (0, 1) for x in (0, 1) if picture[(1 + 2 * y) * height // 4, (1 + 2 * x) * width // 4] > 200
        }
        assert bright == {corner}


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultrafield.capture.formats.find_spec", lambda name: None)
    with pytest.raises(SceneError, match="HEIC pictures need another package: pip install pillow-heif"):
        prepare_heif([tmp_path / "a.jpg", tmp_path / "b.heic"])
    prepare_heif([tmp_path / "a.jpg"])


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.7])
def test_damaged_photographs_are_named(tmp_path: Path, picture: np.ndarray, name: str, part: float) -> None:
    file = save(tmp_path / name, picture)
    content = file.read_bytes()
    file.write_bytes(content[: int(part * len(content))])
    with pytest.raises(SceneError, match=re.escape(f"{file}: ")) as error:
        looked(file)
    assert "\n" not in str(error.value)


def test_copies_are_reduced(tmp_path: Path, picture: np.ndarray) -> None:
    photograph, grey = looked(save(tmp_path / "a.jpg", picture, quality=95), longest=50)
    assert (photograph.size, photograph.reduced, grey.shape) == ((160, 120), (50, 38), (38, 50))
    expected = np.asarray(Image.fromarray(picture).convert("L").resize((50, 38), Image.Resampling.BOX), float)
    assert np.abs(grey - expected).mean() < 8  # JPEG decodes noise of a third of the size in its own way


# What cameras tell


@pytest.mark.parametrize(
    ("tags", "focal"),
    [
        ({"film": 26}, 26 / np.hypot(36, 24)),
        ({"focal": 4.25, "resolution": 160 / 5.6 * 25.4, "unit": 2}, 4.25 / np.hypot(5.6, 4.2)),
        ({"focal": 4.25, "resolution": 160 / 5.6, "unit": 4}, 4.25 / np.hypot(5.6, 4.2)),
        ({"focal": 4.25}, None),
        ({"film": 0}, None),
        ({"film": 5000}, None),
        ({}, None),
    ],
)
def test_focal_lengths(tmp_path: Path, picture: np.ndarray, tags: dict[str, Any], focal: float | None) -> None:
    file = save(tmp_path / "a.jpg", picture, exif=exif(make="Maker", model="M 1", **tags))
    told = looked(file)[0].exif
    assert told.focal == (None if focal is None else pytest.approx(focal, rel=1e-3))
    assert told.camera[:2] == ("Maker", "M 1")


def test_broken_exif_is_none(tmp_path: Path, picture: np.ndarray) -> None:
    file = save(tmp_path / "a.jpg", picture, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0")
    assert looked(file)[0].exif.turn == 1


def photograph(
    size: tuple[int, int] = (160, 120), told: Exif = UPRIGHT, sharp: float = 0.7, seed: int = 0
) -> Photograph:
    """A photograph of noise."""
    thumbnail = np.random.default_rng(seed).normal(size=(64, 64)).astype(np.float32)
    return Photograph(Path("a.jpg"), size, told, size, False, sharp, thumbnail)


def test_cameras_are_told_apart() -> None:
    phone, other = Exif(1, 0.6, ("Phone",)), Exif(1, None, ("Other",))
    photographs = [photograph(told=phone)] * 10 + [photograph((120, 160), phone), photograph(told=other)]
    groups = make_groups(photographs, [f"{index:02d}" for index in range(12)], ImportConfig())
    assert [(len(group.names), group.size, group.lens, group.told) for group in groups] == [
        (10, (160, 120), "OPENCV", True),
        (1, (120, 160), "SIMPLE_RADIAL", True),
        (1, (160, 120), "SIMPLE_RADIAL", False),
    ]
    assert [group.focal for group in groups] == pytest.approx([120, 120, 192])
    assert groups[0].names[9] == "09"
    asked = make_groups(photographs, [str(index) for index in range(12)], ImportConfig(lens="RADIAL"))
    assert {group.lens for group in asked} == {"RADIAL"}


# Which are left out


def test_blurred_and_equal_photographs_are_left_out() -> None:
    photographs = [photograph(sharp=0.7 + 0.01 * index, seed=index) for index in range(6)]
    photographs[2] = photograph(sharp=0.4, seed=2)
    photographs[4] = photograph(sharp=0.6, seed=1)
    used, left_out = select(photographs, list("abcdef"))
    assert used == [0, 1, 3, 5]
    assert [(item.name, item.reason) for item in left_out] == [
        ("c", "blurred (sharpness 57% of the usual)"),
        ("e", "the same as b"),
    ]


def test_blur_lowers_sharpness_whatever_is_shown(picture: np.ndarray) -> None:
    import cv2

    grey = cv2.resize(np.asarray(Image.fromarray(picture).convert("L"), np.float32), (640, 480))
    values = [sharpness(grey)]
    for length in (5, 9, 15):
        smear = np.full((1, length), 1 / length, np.float32)  # to the side only
        values.append(sharpness(cv2.filter2D(grey, -1, smear)))
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.75 * values[0]
    assert sharpness(0.2 * grey + 100) == pytest.approx(values[0], abs=1e-4)
    assert sharpness(np.full((48, 64), 7.0, np.float32)) == 1.0


def test_names_of_views() -> None:
    files = [Path(name) for name in ("a.jpg", "a.PNG", "b.v2.jpg", "c.heic", "c.jpg", "a_2.jpg")]
    assert plain_names(files) == ["a", "a_2", "b.v2", "c", "c_2", "a_2_2"]
    with pytest.raises(SceneError, match="cannot be a file name: it holds a control character"):
        plain_names([Path("a\nb.jpg")])


@pytest.mark.parametrize("folder", ["", "images", "input"])
def test_where_photographs_are_looked_for(tmp_path: Path, picture: np.ndarray, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    save(tmp_path / folder / "b.JPG", picture, format="JPEG")
    save(tmp_path / folder / ".hidden.png", picture)
    (tmp_path / folder / "notes.txt").touch()
    assert find_photographs(tmp_path) == [tmp_path / folder / "b.JPG"]
