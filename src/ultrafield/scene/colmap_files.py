"""COLMAP's model files, text and binary: cameras, images, and the rigs and frames of newer models.

Read without COLMAP itself; points and their tracks are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SceneError
from ..reading import read_bytes, read_head
from .lens_models import COLMAP_NAMES, MODELS, PANORAMA
from .values import as_float, shown

Numbers = tuple[float, ...]

_ENDINGS = (".bin", ".txt")  # COLMAP itself prefers binary files
_POINT = 24  # bytes of a keypoint: two doubles and the number of its 3D point
_LONGEST_NAME = 1 << 12
_CAMERA = "CAMERA"


@dataclass(frozen=True)
class ColmapCamera:
    """A camera: COLMAP's name of its model, width and height, and all parameters."""

    model: str
    size: tuple[int, int]
    parameters: Numbers


@dataclass(frozen=True)
class ColmapImage:
    """A registered image.

    Attributes:
        name: Its picture.
        camera: Number of its camera.
        pose: From the world to the camera: qw qx qy qz tx ty tz.
    """

    name: str
    camera: int
    pose: Numbers


@dataclass(frozen=True)
class ColmapFrame:
    """What a rig saw at one moment.

    Attributes:
        rig: Number of the rig.
        pose: From the world to the rig, as `ColmapImage.pose`.
        data: Kind and number of the sensor, and number of the image, of each datum.
    """

    rig: int
    pose: Numbers
    data: tuple[tuple[str, int, int], ...]


Rig = dict[tuple[str, int], Numbers | None]  # sensors by kind and number: from the rig to the sensor, None if unknown
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def model_file(model: Path, stem: str) -> Path | None:
    """A model's file of cameras, images, rigs or frames, binary before text; None if there is none."""
    return next((file for ending in _ENDINGS if (file := model / f"{stem}{ending}").is_file()), None)


def count_images(file: Path) -> int:
    """Number of images that a file of images lists, without reading all of a binary one."""
    if file.suffix == ".bin":
        try:
            head = read_head(file, 8)
        except SceneError:
            return 0
        return int.from_bytes(head, "little") if len(head) == 8 else 0
    return len(read_images(file))


def read_cameras(file: Path) -> dict[int, ColmapCamera]:
    """The cameras of a file by their numbers; `SceneError` if it cannot be used."""
    return dict(_read(file, _binary_cameras, _text_cameras))


def read_images(file: Path) -> dict[int, ColmapImage]:
    """The images of a file by their numbers; `SceneError` if it cannot be used."""
    return dict(_read(file, _binary_images, _text_images))


def read_rigs(file: Path) -> dict[int, Rig]:
    """The rigs of a file by their numbers; `SceneError` if it cannot be used."""
    return dict(_read(file, _binary_rigs, _text_rigs))


def read_frames(file: Path) -> dict[int, ColmapFrame]:
    """The frames of a file by their numbers; `SceneError` if it cannot be used."""
    return dict(_read(file, _binary_frames, _text_frames))


def _read(file: Path, binary: Callable[..., Iterator[Any]], text: Callable[..., Iterator[Any]]) -> list[Any]:
    data = read_bytes(file)
    try:
        if file.suffix == ".bin":
            return list(binary(_Bytes(data)))
        return list(text(data.decode("utf-8", "replace").splitlines()))
    except (ValueError, IndexError, OverflowError) as failure:
        raise SceneError(f"{file}: not a file of COLMAP's: {failure}") from None


# Binary: little-endian, without gaps.


class _Bytes:
    """The bytes of a file, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        """The next numbers, of the types that `struct` calls so."""
        form = f"<{form}"
        if self._place + struct.calcsize(form) > len(self._data):
            raise ValueError("it is cut short")
        numbers = struct.unpack_from(form, self._data, self._place)
        self._place += struct.calcsize(form)
        return numbers

    def one(self, form: str) -> Any:
        """The next number."""
        return self.take(form)[0]

    def skip(self, size: int) -> None:
        """Go on behind the next bytes."""
        if size > len(self._data) - self._place:
            raise ValueError("it is cut short")
        self._place += size

    def text(self) -> str:
        """The next text, which ends with a null."""
        end = self._data.find(b"\0", self._place, self._place + _LONGEST_NAME)
        if end < 0:
            raise ValueError("a name does not end")
        text = self._data[self._place : end].decode("utf-8", "surrogateescape")
        self._place = end + 1
        return text


def _binary_cameras(data: _Bytes) -> Iterator[tuple[int, ColmapCamera]]:
    for _ in range(data.one("Q")):
        number, model, width, height = data.take("IiQQ")
        if not 0 <= model < len(COLMAP_NAMES):
            raise ValueError(f"camera {number} is of the unknown model {model}")
        name = COLMAP_NAMES[model]
        yield number, ColmapCamera(name, (width, height), data.take(f"{_parameter_count(name)}d"))


def _binary_images(data: _Bytes) -> Iterator[tuple[int, ColmapImage]]:
    for _ in range(data.one("Q")):
        number, pose = data.one("I"), data.take("7d")
        camera, name = data.one("I"), data.text()
        data.skip(_POINT * data.one("Q"))
        yield number, ColmapImage(name, camera, pose)


def _binary_rigs(data: _Bytes) -> Iterator[tuple[int, Rig]]:
    for _ in range(data.one("Q")):
        number, sensors = data.take("II")
        rig: Rig = {}
        for index in range(sensors):
            sensor = _sensor(*data.take("iI"))
            known = index == 0 or bool(data.one("B"))
            rig[sensor] = _IDENTITY if index == 0 else data.take("7d") if known else None
        yield number, rig


def _binary_frames(data: _Bytes) -> Iterator[tuple[int, ColmapFrame]]:
    for _ in range(data.one("Q")):
        number, rig = data.take("II")
        pose, count = data.take("7d"), data.one("I")
        items = [data.take("iIQ") for _ in range(count)]
        yield number, ColmapFrame(rig, pose, tuple((*_sensor(kind, sensor), item) for kind, sensor, item in items))


def _sensor(kind: int, number: int) -> tuple[str, int]:
    return (_CAMERA if kind == 0 else str(kind)), number


# Text: one line an item, two for an image, whose keypoints may be many or none; "#" begins a comment.


def _text_cameras(lines: list[str]) -> Iterator[tuple[int, ColmapCamera]]:
    for words in _items(lines):
        number, name, width, height = int(words[0]), words[1], int(words[2]), int(words[3])
        if name not in COLMAP_NAMES:
            raise ValueError(f"camera {number} is of the unknown model {shown(name)}")
        parameters = _numbers(words[4:])
        if len(parameters) != _parameter_count(name):
            raise ValueError(f"camera {number}: {name} has {_parameter_count(name)} parameters, got {len(parameters)}")
        yield number, ColmapCamera(name, (width, height), parameters)


def _text_images(lines: list[str]) -> Iterator[tuple[int, ColmapImage]]:
    place = 0
    while place < len(lines):
        words = lines[place].strip().split(maxsplit=9)
        place += 1
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 10:
            raise ValueError(f"line {place} must hold a number, a pose, a camera and a name")
        yield int(words[0]), ColmapImage(words[9], int(words[8]), _numbers(words[1:8]))
        # The next line holds keypoints, three numbers each; some programs leave it out where there are none.
        following = lines[place].split(maxsplit=10) if place < len(lines) else []
        if len(following) < 10 or as_float(following[9]) is not None:
            place += 1


def _text_rigs(lines: list[str]) -> Iterator[tuple[int, Rig]]:
    for words in _items(lines):
        number, sensors = int(words[0]), int(words[1])
        rig: Rig = {}
        place = 2
        for index in range(sensors):
            sensor = (words[place], int(words[place + 1]))
            known = index > 0 and int(words[place + 2]) == 1
            place += 2 if index == 0 else 3
            rig[sensor] = _IDENTITY if index == 0 else _numbers(words[place : place + 7], 7) if known else None
            place += 7 if known else 0
        yield number, rig


def _text_frames(lines: list[str]) -> Iterator[tuple[int, ColmapFrame]]:
    for words in _items(lines):
        data = [words[place : place + 3] for place in range(10, 10 + 3 * int(words[9]), 3)]
        items = tuple((kind, int(sensor), int(item)) for kind, sensor, item in data)
        yield int(words[0]), ColmapFrame(int(words[1]), _numbers(words[2:9], 7), items)


def _items(lines: list[str]) -> Iterator[list[str]]:
    """The words of all lines that are no comments."""
    for line in lines:
        words = line.split()
        if words and not words[0].startswith("#"):
            yield words


def _numbers(words: list[str], count: int | None = None) -> Numbers:
    numbers = [as_float(word) for word in words]
    if count is not None and len(numbers) != count:
        raise ValueError(f"expected {count} numbers, got {len(numbers)}")
    if any(number is None for number in numbers):
        raise ValueError(f"expected numbers, got {shown(' '.join(words))}")
    return tuple(number for number in numbers if number is not None)


def _parameter_count(name: str) -> int:
    """Number of parameters of a camera model: focal lengths, principal point, distortion."""
    if name == PANORAMA:
        return 2
    return MODELS[name].focals + 2 + MODELS[name].listed
