"""Files of any origin are read with checks first; errors name the file."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import cv2
import numpy as np
import pytest

from ultrafield import budget
from ultrafield.errors import ConfigError, RunError, SceneError
from ultrafield.io import write_image, write_npy, write_npz
from ultrafield.reading import (
    _read_whole,
    npy_header,
    picture_size,
    read_bytes,
    read_head,
    read_image,
    read_json,
    read_npy,
    read_npz,
)


def png_file(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of chunks, given as kind and data, with their checksums."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in chunks)


def png(file: Path, width: int, height: int) -> Path:
    """A PNG file that declares a size and holds hardly any data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    file.write_bytes(png_file((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")))
    return file


def test_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"\xef\xbb\xbf[1, 2]")
    assert read_json(file) == [1, 2]


def test_the_head_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123")
    assert read_head(tmp_path / "a", 2) == b"01"
    assert read_head(tmp_path / "a", 9) == b"0123"
    os.mkfifo(tmp_path / "fifo")
    for name, reason in (("none", "no such file"), ("fifo", "expected a file"), (".", "it is a folder")):
        with pytest.raises(SceneError, match=reason):
            read_head(tmp_path / name, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"[1" + b"0" * 5000 + b"]", "integer string conversion"),
        (b"{", "Expecting property name"),
        (b"\xff\xfe[\x00", "codec can't decode"),
        (b"", "Expecting value"),
    ],
)
def test_json_that_cannot_be_read(tmp_path: Path, text: bytes, reason: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(text)
    with pytest.raises(SceneError, match=rf"a\.json: not valid JSON \(.*{reason}"):
        read_json(file)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, reason in (
        ("fifo", "neither a file nor a folder"),
        ("", "it is a folder"),
        ("loop", "symbolic links"),
        ("a" * 300, "too long"),
        ("none", "no such file"),
        ("nul\0l", "null"),
    ):
        with pytest.raises(RunError, match=reason):
            read_bytes(tmp_path / name, error=RunError)


def test_a_file_larger_than_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    with pytest.raises(SceneError, match=r"a: takes 0 MB, more than 0; a larger --memory raises the limit"):
        read_bytes(file, most=4)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (2, 3, 4)])
def test_arrays_come_back(tmp_path: Path, order: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 99, shape), np.int16, order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy")
    assert found.dtype == array.dtype
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_arrays_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    write_npz(tmp_path / "a.npz", a=np.zeros(3))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    write_npy(tmp_path / "whole.npy", np.zeros(100))
    whole = (tmp_path / "whole.npy").read_bytes()
    huge = whole.replace(b"(100,), }            ", b"(100000000000000,), }")
    large = whole.replace(b"(100,), }            ", b"(10000000,), }       ")
    for content, reason in (
        ((tmp_path / "a.npz").read_bytes(), "an .npz archive, expected a single array"),
        ((tmp_path / "objects.npy").read_bytes(), "Python objects"),
        (whole[:-1], "more than the file holds|cut short"),
        (whole[:9], "unexpected end|EOF|reading"),
        (huge, "more than 1,074; a larger --memory"),
        (large, "more than the file holds"),
        (b"\x93NUMPY\x09\x00" + whole[8:], "format version 9.0"),
        (b"", "does not begin"),
    ):
        file.write_bytes(content)
        with pytest.raises(SceneError, match=rf"a\.npy: not a readable array \(.*({reason})"):
            read_npy(file)


def test_the_header_of_an_array_is_read_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.zeros((3, 5, 7), np.uint8))
    file.write_bytes(file.read_bytes()[:128])
    assert npy_header(file) == ((3, 5, 7), np.dtype(np.uint8))
    with pytest.raises(SceneError, match=r"none\.npy: no such file"):
        npy_header(tmp_path / "none.npy")


@pytest.mark.parametrize(
    "header",
    [b"", b"((((", b"{'descr': '<f8', 'fortran_order': False, 'shape': ('a',)}", b"[" * 117, b"\xff" * 9],
    ids=["empty", "open", "text", "nested", "binary"],
)
def test_headers_that_cannot_be_read(tmp_path: Path, header: bytes) -> None:
    file = tmp_path / "a.npy"
    file.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n")
    for read in (read_npy, npy_header):
        with pytest.raises(SceneError, match=r"a\.npy: not a readable array \(its header cannot be read[^\n]*\)$"):
            read(file)


def test_a_negative_shape(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5)}"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n")
    with pytest.raises(SceneError, match=r"a\.npy: not a readable array \(its header announces the shape \[-1, 5\]\)"):
        npy_header(tmp_path / "a.npy")


def test_an_archive_of_zeros_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_MOST_BYTES", 10_000_000)
    file = tmp_path / "bomb.npz"
    with (
        ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(12):
            member.write(b"\0" * 1_000_000)
    with pytest.raises(RunError, match=r"bomb\.npz: cannot be read \(takes 12 MB, more than 10; .*--memory"):
        read_npz(file)


def test_archives_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    write_npz(file, a=np.arange(1000))
    whole = file.read_bytes()
    for content in (whole[:-30], whole[:100], b"x", whole.replace(whole[200:260], bytes(60)), b""):
        file.write_bytes(content)
        with pytest.raises(RunError, match=r"a\.npz: cannot be read"):
            read_npz(file)
    with pytest.raises(RunError, match=r"none\.npz: no such file"):
        read_npz(tmp_path / "none.npz")


def test_the_size_of_a_picture_is_read_from_its_header(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((3, 5, 3), np.uint8))
    assert picture_size(tmp_path / "a.png") == (5, 3)
    assert picture_size(png(tmp_path / "b.png", 7000, 6000)) == (7000, 6000)


@pytest.mark.parametrize(
    ("size", "kind", "after"),
    [((5, 3), (8, 2), b"IDAT"), ((5, 3), (8, 2), b"tEXt"), ((5, 3), (8, 3), b"PLTE"), ((0, 3), (8, 2), b"IDAT"),
     ((5, 3), (3, 2), b"IDAT"), ((5, 3), (8, 7), b"IDAT")],
)  # fmt: skip
@pytest.mark.parametrize("damage", [None, 8, 17, 30])
def test_sizes_of_png_files_are_those_that_pillow_says(
    tmp_path: Path, size: tuple[int, int], kind: tuple[int, int], after: bytes, damage: int | None
) -> None:
    from ultrafield.decoding import declared_size

    header = struct.pack(">IIBBBBB", *size, *kind, 0, 0, 0)
    data = bytearray(png_file((b"IHDR", header), (after, b"\0" * 9), (b"IDAT", b""), (b"IEND", b"")))
    if damage is not None:
        data[damage] ^= 1
    for content in (bytes(data), *(bytes(data[:length]) for length in (8, 24, 33, 37, 40))):
        (tmp_path / "a.png").write_bytes(content)
        answers = []
        for read in (lambda: picture_size(tmp_path / "a.png"), lambda content=content: declared_size(content)):
            try:
                answers.append(str(read()))
            except (SceneError, ValueError) as failure:
                answers.append(str(failure).removeprefix(f"{tmp_path / 'a.png'}: "))
        assert answers[0] == answers[1]


def test_a_file_that_gives_few_bytes_at_a_time() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size or 0))

    assert _read_whole(Slow(b"0123456789"), 8) == b"01234567"
    assert _read_whole(Slow(b"0123456789"), 20) == b"0123456789"
    assert _read_whole(Slow(b""), 8) == b""


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    for width, height in ((60_000, 60_000), (9000, 9000)):
        for read in (read_image, picture_size):
            with pytest.raises(
                SceneError,
                match=r"a\.png: (\d+x\d+ pixels, more than 64 million|more than 64 million pixels); .*--memory",
            ):
                read(png(tmp_path / "a.png", width, height))
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(SceneError, match=r"b\.png: not a readable picture"):
        read_image(tmp_path / "b.png")
    with pytest.raises(SceneError, match=r"a\.png: not a readable picture"):
        read_image(png(tmp_path / "a.png", 100, 100))


@pytest.mark.usefixtures("default_memory")
def test_more_memory_allows_larger_pictures(tmp_path: Path) -> None:
    file = png(tmp_path / "a.png", 9000, 9000)
    budget.limit_memory(4)
    assert picture_size(file) == (9000, 9000)
    budget.limit_memory(1)
    with pytest.raises(SceneError, match="more than 45 million"):
        picture_size(file)
    assert budget.memory() == 1 << 30


@pytest.mark.usefixtures("default_memory")
@pytest.mark.parametrize("gibibytes", [0.4, -1.0, float("nan"), float("inf"), 1e12])
def test_memory_that_cannot_be_chosen(gibibytes: float) -> None:
    with pytest.raises(ConfigError, match=r"^memory: expected from 0.5"):
        budget.limit_memory(gibibytes)


def test_a_large_limit_allocates_no_more_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    budget.limit_memory(1 << 20)  # a pebibyte
    try:
        assert read_json(tmp_path / "a.json") == [1, 2]
    finally:
        budget.limit_memory(None)


def test_png_files_are_checked_before_opencv_complains(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (1100, 1000, 3), np.uint8)
    for size in (20, 1100):  # small ones are decoded by Pillow
        file = tmp_path / f"{size}.png"
        write_image(file, values[:size])
        content = file.read_bytes()
        np.testing.assert_array_equal(read_image(file), values[:size])
        place = content.index(b"IDAT") + 50
        for broken in (content[:-30], content[:place] + b"\0\0\0" + content[place + 3 :], content[:33]):
            file.write_bytes(broken)
            with pytest.raises(SceneError, match=rf"{size}\.png: not a readable picture"):
                read_image(file)
    assert capfd.readouterr().err == ""


def test_chunks_that_say_nothing_about_pixels_do_not_count(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
    file = tmp_path / "a.png"
    for picture in (values, values.astype(np.uint16) * 257):
        write_image(file, picture)
        content, chunk = file.read_bytes(), b"gAMA" + bytes(4)
        odd = struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        file.write_bytes(content[:33] + odd + content[33:])
        np.testing.assert_array_equal(read_image(file), picture)
    assert capfd.readouterr().err == ""


def test_other_pictures_that_are_cut_short_are_refused_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for kind in ("jpg", "tif", "bmp", "webp", "gif"):
        file = tmp_path / f"a.{kind}"
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(SceneError, match=rf"a\.{kind}: not a readable picture"):
            read_image(file)
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("default_memory")
def test_pillow_does_not_limit_what_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back afterwards
    file = png(tmp_path / "a.png", 15_000, 13_000)  # 195 million, more than Pillow reads by itself
    with pytest.raises(SceneError, match=r"a\.png: more than 64 million pixels; a larger --memory raises the limit"):
        picture_size(file)
    budget.limit_memory(16)
    assert picture_size(file) == (15_000, 13_000)


def test_items_without_content(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.zeros((3,), "<U0"))
    content = file.read_bytes().replace(b"<U1", b"<U0")
    file.write_bytes(content)
    with pytest.raises(SceneError, match=r"a\.npy: not a readable array \(its header announces items without content"):
        read_npy(file)


@pytest.mark.parametrize("size", [4, 1100])
def test_png_files_whose_chunks_do_not_fit_each_other(
    tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def parts(color: int, channels: int) -> dict[str, bytes]:
        header = struct.pack(">IIBBBBB", size, size, 8, color, 0, 0, 0)
        rows = (b"\0" + bytes(size * channels)) * size
        return {"h": chunk(b"IHDR", header), "d": chunk(b"IDAT", zlib.compress(rows)), "e": chunk(b"IEND", b"")}

    file = tmp_path / "a.png"
    odd = {"p": chunk(b"PLTE", bytes(6)), "t": chunk(b"tRNS", b"\0"), "u": chunk(b"tRNS", bytes(9))}
    grey, indexed = parts(0, 1) | odd, parts(3, 1) | odd
    for chunks, order, channels in (
        (grey, "hpude", 1),
        (grey, "hude", 1),
        (indexed, "hpude", 3),
        (indexed, "hptde", 4),
    ):
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks[name] for name in order))
        assert read_image(file).shape == ((size, size, channels) if channels > 1 else (size, size))
    grey["x"] = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 1, 0, 0))
    grey["y"] = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 2, 6, 0, 0, 0))
    grey["z"] = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 9))
    for order in ("xde", "yde", "zde"):
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(grey[name] for name in order))
        with pytest.raises(SceneError, match=r"a\.png: not a readable picture"):
            read_image(file)
    for chunks, order in ((indexed, "hde"), (indexed, "hdpe"), (grey, "hhde"), (indexed, "hppde"), (grey, "dhe")):
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks[name] for name in order))
        with pytest.raises(SceneError, match=r"a\.png: not a readable picture"):
            read_image(file)
    assert capfd.readouterr().err == ""


def test_small_png_files_of_any_kind_are_read_as_opencv_reads_them() -> None:
    from PIL import Image

    from ultrafield.decoding import _by_opencv, decode

    def content(picture: Image.Image, **options: object) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, "PNG", **options)
        return stream.getvalue()

    rng = np.random.default_rng(0)
    colors = Image.fromarray(rng.integers(0, 256, (9, 7, 4), np.uint8))
    few, indexed = (
        Image.fromarray(rng.integers(0, 4, (9, 7), np.uint8)).convert("P"),
        colors.convert("RGB").convert("P"),
    )
    files = [content(colors.convert(mode)) for mode in ("1", "L", "LA", "RGB", "RGBA", "P")]
    files += [content(few, bits=bits) for bits in (2, 4, 8)]
    files += [content(indexed, transparency=value) for value in (3, bytes(range(100)))]
    files += [content(colors.convert("L"), transparency=5), content(colors.convert("RGB"), transparency=(1, 2, 3))]
    files += [content(Image.fromarray(rng.integers(0, 65536, (9, 7)).astype(np.uint16)))]
    for shape in ((9, 7, 3), (9, 7, 4)):
        files.append(cv2.imencode(".png", rng.integers(0, 65536, shape).astype(np.uint16))[1].tobytes())
    for file in files:
        expected, found = _by_opencv(file), decode(file)
        assert expected is not None
        assert found is not None
        assert found.dtype == expected.dtype
        assert found.flags.writeable
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("width", [1, 7, 8, 9, 33])
def test_every_filter_of_black_and_white_png_files_is_undone(width: int) -> None:
    from ultrafield.decoding import _by_opencv, _plain_pixels, decode

    rows = np.random.default_rng(0).integers(0, 256, (10, 1 + -(-width // 8)), np.uint8)
    header = struct.pack(">IIBBBBB", width, 10, 1, 0, 0, 0, 0)
    for first in range(5):
        rows[:, 0] = (np.arange(10) * 2 + first) % 5
        data = png_file((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
        assert _plain_pixels(data, header) is not None
        np.testing.assert_array_equal(decode(data), _by_opencv(data))
    rows[4, 0] = 5
    assert decode(png_file((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))) is None


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_filter_of_png_files_is_undone(channels: int) -> None:
    from ultrafield.decoding import _by_opencv, _plain_pixels, decode

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rng, width = np.random.default_rng(0), 6
    header = struct.pack(">IIBBBBB", width, 10, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)

    def file(filters: np.ndarray) -> bytes:
        rows = rng.integers(0, 256, (10, 1 + width * channels), np.uint8)
        rows[:, 0] = filters
        parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes())), chunk(b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

    for first in range(5):  # whatever filter the first row has, which has no row above it
        data = file((np.arange(10) * 2 + first) % 5)
        assert _plain_pixels(data, header) is not None
        np.testing.assert_array_equal(decode(data), _by_opencv(data))
    assert decode(file(np.full(10, 5))) is None
