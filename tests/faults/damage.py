"""Files damaged at random, by what they are: structure first, bytes now and then, and odd things in their place."""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from damage_arrays import damaged_archive, damaged_npy, damaged_safetensors
from damage_json import damaged_json
from damage_models import damaged_glb, damaged_ply, damaged_table, damaged_text
from damage_pictures import damaged_picture
from mutations import mutated
from odd_files import put_odd

BYTES = 0.25  # part of the inputs of which only bytes are changed
PLACES = 0.08  # part of the inputs that are something else than a file
BY_ENDING = {
    **dict.fromkeys((".json", ".gltf"), damaged_json),
    ".npy": damaged_npy,
    **dict.fromkeys((".npz", ".pth", ".pt", ".ckpt"), damaged_archive),
    ".safetensors": damaged_safetensors,
    ".glb": damaged_glb,
    ".ply": damaged_ply,
    ".csv": damaged_table,
    **dict.fromkeys((".obj", ".off", ".txt", ".mtl", ".stl"), damaged_text),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"), damaged_picture),
}


def damage(file: Path, rng: random.Random) -> None:
    """Damage a file in place, or put something else there."""
    draw = rng.random()
    if draw < PLACES:
        replace(file, rng)
        return
    content = file.read_bytes()
    change = BY_ENDING.get(file.suffix.lower())
    if change is None or draw < PLACES + BYTES:
        content = mutated(content, np.random.default_rng(rng.getrandbits(64)))
    else:
        content = change(content, rng)
    file.write_bytes(content)


def replace(file: Path, rng: random.Random) -> None:
    """Put something else in a file's place: nothing, a folder, a FIFO, a link, or the content of a file nearby."""
    kind = rng.choice(("missing", "folder", "fifo", "link", "loop", "empty", "device", "other", "longer"))
    if kind == "missing":
        file.unlink()
    elif kind == "device":
        file.unlink()
        file.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/proc/self/maps")))
    elif kind == "other":
        others = [path for path in file.parent.iterdir() if path.is_file() and path != file]
        shutil.copyfile(rng.choice(others) if others else __file__, file)
    elif kind == "longer":  # a file with a hole, which takes no room
        os.truncate(file, rng.choice((1 << 24, 1 << 32, 1 << 40)))
    else:
        put_odd(file, kind)
