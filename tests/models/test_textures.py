"""Decoded textures against Pillow and trimesh, in every mode, and what is refused."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image
from trimesh.visual.color import uv_to_interpolated_color

from ultrafield.models import TexturePool, sample_texture

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RGB[..., 0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "YCbCr", "HSV"])
def test_modes_that_pillow_converts(mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    expected = np.asarray(image.convert("RGBA"))[..., :3]
    np.testing.assert_array_equal(TexturePool().decode(image), expected)


def test_palettes_with_transparency() -> None:
    image = Image.fromarray(RGB).convert("P")
    image.info["transparency"] = 3
    np.testing.assert_array_equal(TexturePool().decode(image), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY.astype(np.uint16) * 257),
        Image.fromarray(GREY.astype(np.int32) * 257),
        Image.fromarray(GREY.astype(np.int32)),
        Image.fromarray(GREY.astype(np.float32) / 255),
    ],
    ids=["16 bits", "16 bits in 32", "8 bits in 32", "floats"],
)
def test_deep_greys(image: Image.Image) -> None:
    np.testing.assert_array_equal(TexturePool().decode(image), np.repeat(GREY[..., None], 3, axis=2))


def test_floats_that_are_not_finite() -> None:
    image = Image.fromarray(np.array([[np.nan, np.inf, -np.inf, 1e30]], np.float32))
    assert TexturePool().decode(image)[0, :, 0].tolist() == [0, 255, 0, 255]


def test_equal_textures_are_kept_once() -> None:
    pool = TexturePool()
    assert pool.decode(Image.fromarray(RGB)) is pool.decode(Image.fromarray(RGB.copy()))
    assert pool.decode(Image.fromarray(RGB)) is not pool.decode(Image.fromarray(RGB[::-1].copy()))


def test_samples_are_those_of_trimesh() -> None:
    coordinates = np.concatenate([RNG.uniform(-3, 3, (500, 2)), [[0, 0], [1, 1], [0.5, 0.5], [-1, 2]]])
    coordinates = coordinates.astype(np.float32)
    expected = uv_to_interpolated_color(coordinates, Image.fromarray(RGB))[:, :3]
    np.testing.assert_array_equal(sample_texture(RGB, coordinates), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -2e6])
def test_senseless_coordinates_count_as_zero(value: float) -> None:
    coordinates = np.array([[value, 0.5], [0.5, value]], np.float32)
    np.testing.assert_array_equal(
        sample_texture(RGB, coordinates), sample_texture(RGB, np.float32([[0, 0.5], [0.5, 0]]))
    )


def encoded(kind: str, **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(np.tile(RGB, (20, 20, 1))).save(stream, kind, **options)
    stream.seek(0)
    return stream


@pytest.mark.usefixtures("little_memory")
def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(ValueError, match=r"^8000x8000 pixels, more than 22 million; a larger --memory raises"):
        TexturePool().decode(Image.open(io.BytesIO(header_of(8000))))


def header_of(size: int) -> bytes:
    """A PNG that declares size × size pixels and holds fewer."""
    data = bytearray(encoded("PNG").getvalue())
    data[16:24] = size.to_bytes(4, "big") * 2
    checksum = zlib.crc32(bytes(data[12:29]))
    data[29:33] = checksum.to_bytes(4, "big")
    return bytes(data)


def test_all_textures_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultrafield.models.textures.memory", lambda: 400_000)
    pool, large = TexturePool(), np.zeros((120, 120, 3), np.uint8)
    pool.decode(Image.fromarray(large))
    pool.decode(Image.fromarray(large))  # the same one
    large[0, 0] = 1
    pool.decode(Image.fromarray(large))
    large[0, 0] = 2
    with pytest.raises(ValueError, match="all textures together take too much memory"):
        pool.decode(Image.fromarray(large))


def test_a_cut_picture_is_refused() -> None:
    cut = io.BytesIO(encoded("PNG").getvalue()[:-300])
    with pytest.raises(ValueError, match="it cannot be decoded: "):
        TexturePool().decode(Image.open(cut))


def test_formats_that_need_other_programs_are_refused() -> None:
    with pytest.raises(ValueError, match="of the format EPS, which is not decoded"):
        TexturePool().decode(Image.open(encoded("EPS")))
