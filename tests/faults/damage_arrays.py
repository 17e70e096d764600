"""Arrays, archives and weights with headers and members that no reader expects."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import struct
import zipfile
import zlib

import numpy as np

SHAPES = (
    *("()", "(0,)", "(0, 0)", "(1,)", "(-1, 4)", "(2, 2)", "(99999, 99999)", "(4294967296, 4294967296)", "(1, 1, 1)"),
    *("(24, 24)", "(1000000, 24, 24)", "(24, 24, 1, 1, 1)", "(9223372036854775807,)", "[24]", "24", "None", "(1.5,)"),
    "(" + "9" * 5000 + ",)",
    "(" + "1, " * 70 + ")",
)
KINDS = (
    *("|O", "|b1", "|u1", "<i8", ">i8", "<f2", "<f4", ">f8", "<c16", "<U4", "|S3", "<M8[ns]", "|V8", "<f16", "<i4"),
    *("<u8", "|V0", "<U0", "nonsense", "<f9999999999"),
)
FILLS = (float("nan"), float("inf"), -float("inf"), -1, 0, 1, 2, 0.5, 1e308, 1e30, 2**31, 2**62, -(2**63), 255, 65535)
BOMB = 3 << 30  # bytes of zeros, 3 MB when packed


class Bait:
    """Unpickled, it leaves a folder behind."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def npy(array: np.ndarray) -> bytes:
    """An array as a file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def damaged_npy(content: bytes, rng: random.Random) -> bytes:
    """An array with another header, other values, another shape, or something else under its name."""
    draw = rng.random()
    if draw < 0.4:
        return _header(content, rng)
    if draw < 0.9:
        try:
            return npy(_array(np.load(io.BytesIO(content), allow_pickle=False), rng))
        except (ValueError, OverflowError, TypeError, EOFError):
            return content[: rng.randrange(len(content) + 1)]
    objects = np.empty((24, 24), object)
    objects[...] = Bait()
    stream = io.BytesIO()
    np.save(stream, objects, allow_pickle=True)
    archive = io.BytesIO()
    np.savez(archive, a=np.zeros((24, 24)))
    return rng.choice((stream.getvalue(), pickle.dumps(Bait()), archive.getvalue(), b"", b"\x93NUMPY", content[:60]))


def _header(content: bytes, rng: random.Random) -> bytes:
    """Another header of the same length, if it fits; lengths are right, or not."""
    length = struct.unpack_from("<H", content, 8)[0] if len(content) > 10 else 0
    header = content[10 : 10 + length].decode("latin-1")
    draw = rng.random()
    if draw < 0.45:
        header = re.sub(r"'shape': \([^)]*\)", lambda _: f"'shape': {rng.choice(SHAPES)}", header)
    elif draw < 0.8:
        header = re.sub(r"'descr': '[^']*'", lambda _: f"'descr': '{rng.choice(KINDS)}'", header)
    else:
        header = rng.choice(
            (
                header.replace("False", "True"),
                header.replace("False", "None"),
                "{" * 3000,
                "__import__('os').mkdir('executed')",
                "{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (3,)}",
                header.replace("'shape'", "'s'"),
                "(" * 900 + ")" * 900,
                "",
                "\xff" * 50,
                header * 20,
            )
        )
    text = header.rstrip().encode("latin-1", "replace")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    size = len(text) if rng.random() < 0.9 else rng.choice((0, 1, 65535))
    version = rng.choice((b"\x01\x00", b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x01"))
    if len(text) > 65535 or version[0] != 1:
        return content[:6] + version + struct.pack("<I", size) + text + content[10 + length :]
    return content[:6] + version + struct.pack("<H", min(size, 65535)) + text + content[10 + length :]


def _array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """Another array: some values, all values, the kind or the shape changed."""
    draw = rng.random()
    with np.errstate(all="ignore"):
        if draw < 0.35 and array.size:
            array = array.copy()
            if array.dtype.kind in "iub" and rng.random() < 0.3:
                array = array.astype(np.float32)
            flat = array.reshape(-1)
            for _ in range(rng.choice((1, 3, 50))):
                flat[rng.randrange(flat.size)] = np.array(rng.choice(FILLS)).astype(array.dtype)
            return array
        if draw < 0.5:
            return np.full_like(array, np.array(rng.choice(FILLS)).astype(array.dtype))
        if draw < 0.65:
            return array.astype(
                rng.choice(("f2", "f4", "f8", ">f8", "i1", "u1", "i8", "u8", "c8", "?", "U3", ">i4", "f16"))
            )
        if draw < 0.9:
            choices = [array[None], array[..., None], array.reshape(-1), array.T]
            choices += [array[:0], array[:1], array[..., :1]] if array.ndim else []
            return rng.choice([*choices, np.concatenate([array, array])] if array.ndim else choices[:2])
        noise = np.random.default_rng(rng.getrandbits(32)).integers(0, 1 << 31, array.shape)
        return noise.astype(array.dtype)


def damaged_archive(content: bytes, rng: random.Random) -> bytes:
    """An archive of which a member is changed, missing, doubled, of another name, a bomb, or a pickle."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {item.filename: archive.read(item) for item in archive.infolist()}
    except (zipfile.BadZipFile, OSError, NotImplementedError, zlib.error, EOFError, ValueError):
        return content[: rng.randrange(len(content) + 1)]
    names = list(members)
    if not names:
        return b""
    name, draw = rng.choice(names), rng.random()
    packed = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    if draw < 0.55:
        members[name] = _member(name, members[name], rng)
    elif draw < 0.65:
        del members[name]
    elif draw < 0.72:
        members[rng.choice(("../executed", "/executed", ".npy", name.upper(), "x" * 300, "a\\b", "a.npy"))] = (
            members.pop(name)
        )
    elif draw < 0.8:
        return _bomb(members, name)
    elif draw < 0.9:
        members[name] = pickle.dumps(Bait(), protocol=2)
    else:
        return _directory(_zipped(members, packed), rng)
    return _zipped(members, packed)


def _member(name: str, content: bytes, rng: random.Random) -> bytes:
    if content.startswith(b"\x93NUMPY"):
        return damaged_npy(content, rng)
    if name.endswith("data.pkl"):
        return _pickle(content, rng)
    values = bytearray(content)
    for _ in range(rng.choice((1, 4, 40))):
        if values:
            values[rng.randrange(len(values))] = rng.choice((0, 0xFF, 0x7F, 0x80))
    return bytes(values[: rng.randrange(len(values) + 1)] if rng.random() < 0.3 else values)


def _pickle(content: bytes, rng: random.Random) -> bytes:
    """The pickle of weights, with numbers and names changed."""
    choices = (
        lambda text: text.replace(b"FloatStorage", b"HalfStorage", 1),
        lambda text: text.replace(b"FloatStorage", b"LongStorage"),
        lambda text: text.replace(b"geometry", b"geometrY", 1),
        lambda text: text.replace(b"features", b"featureS", 1),
        lambda text: text.replace(b"epoch", b"epocH", 1),
        lambda text: re.sub(
            rb"K.", lambda found: b"K" + bytes([rng.randrange(256)]), text, count=rng.choice((1, 3, 0))
        ),
        lambda text: re.sub(
            rb"M..", lambda found: b"M" + rng.randbytes(2), text, count=rng.choice((1, 3, 0)), flags=re.S
        ),
        lambda text: re.sub(rb"M..", b"J\xff\xff\xff\x7f", text, count=rng.choice((1, 2, 0)), flags=re.S),
        lambda text: re.sub(rb"G.{8}", lambda found: b"G" + struct.pack(">d", rng.choice(FILLS[:4])), text, flags=re.S),
        lambda text: text.replace(b"\x89", b"\x88", 1),
        lambda text: pickle.dumps(Bait(), protocol=2),
        lambda text: pickle.dumps(rng.choice(([], {}, None, 1, "x", {"epoch": 1}, {"digest": "x"})), protocol=2),
    )
    return rng.choice(choices)(content)


def _zipped(members: dict[str, bytes], packed: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packed) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _bomb(members: dict[str, bytes], name: str) -> bytes:
    """The archive with a member of 3 GB of zeros after an honest header."""
    stream = io.BytesIO()
    header = npy(np.zeros(0)).replace(b"(0,), }" + b" " * 9, f"({BOMB // 8},), }}".encode().ljust(16))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other, content in members.items():
            if other != name:
                archive.writestr(other, content)
        with archive.open(name, "w", force_zip64=True) as member:
            member.write(header)
            block = bytes(1 << 24)
            for _ in range((BOMB >> 24) // 8):
                member.write(block)
    return stream.getvalue()


def _directory(content: bytes, rng: random.Random) -> bytes:
    """Sizes, offsets, methods or flags of the archive's directory changed."""
    values = bytearray(content)
    places = [found.start() for found in re.finditer(b"PK\x01\x02|PK\x03\x04|PK\x05\x06", content)]
    for _ in range(rng.choice((1, 2, 5))):
        place = rng.choice(places) + rng.randrange(4, 30)
        if place < len(values):
            values[place] = rng.choice((0, 0xFF, 0x7F, rng.randrange(256)))
    return bytes(values)


def damaged_safetensors(content: bytes, rng: random.Random) -> bytes:
    """Weights whose header is changed, or its length."""
    from damage_json import damaged_json

    length = struct.unpack_from("<Q", content)[0]
    header, data = content[8 : 8 + length], bytearray(content[8 + length :])
    draw = rng.random()
    if draw < 0.3:
        header = damaged_json(header, rng)
    elif draw < 0.6:  # the settings in it
        tree = json.loads(header)
        for key, value in tree.get("__metadata__", {}).items():
            tree["__metadata__"][key] = damaged_json(value.encode(), rng).decode("utf-8", "replace")
        header = json.dumps(tree).encode()
    elif draw < 0.8:
        for _ in range(rng.choice((1, 100))):
            place = rng.randrange(max(1, len(data) - 4))
            data[place : place + 4] = struct.pack("<f", rng.choice(FILLS[:4]))
    else:
        length = rng.choice((0, 1, 1 << 20, 1 << 40, (1 << 64) - 1))
        return struct.pack("<Q", length) + header + bytes(data)
    return struct.pack("<Q", len(header)) + header + bytes(data)
