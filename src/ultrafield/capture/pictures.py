"""Photographs as a scene folder holds them: copied where readers can use them, else turned upright and converted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SceneError
from ..io import atomic_write, copy_file, write_image
from ..names import check_name
from ..reading import read_bytes
from ..scene.pictures import has_ending, without_ending
from .formats import HEIF_ENDINGS
from .photographs import Photograph, opened, upright

_QUALITY = 97  # of JPEG files
_PLAIN = ("1", "L", "LA", "RGB", "RGBA", "P", "I;16")  # Pillow's modes of pictures that readers take as they are


def plain_names(files: list[Path]) -> list[str]:
    """Names of views for photographs: their names without ending, made different where they are not.

    Raises:
        SceneError: A name that cannot be that of a file of ours.
    """
    names: list[str] = []
    for file in files:
        stem = file.stem if file.name.lower().endswith(HEIF_ENDINGS) else without_ending(file.name)
        name, count = stem, 1
        while name in names:
            count += 1
            name = f"{stem}_{count}"
        check_name(name, str(file))
        names.append(name)
    return names


def write_photograph(photograph: Photograph, name: str, folder: Path) -> Path:
    """Write a photograph for a scene; its file has its own ending if it is copied, else `.jpg`, or `.png` with alpha.

    Raises:
        SceneError: It can no longer be read.
    """
    file = photograph.file
    data = read_bytes(file)
    try:
        picture = opened(data)
        mode = picture.mode
    except Exception:  # Pillow's plugins raise many kinds
        raise SceneError(f"{file}: changed while it was read") from None
    if photograph.exif.turn == 1 and has_ending(file.name) and mode in _PLAIN:
        target = folder / f"{name}{file.suffix.lower()}"
        copy_file(file, target)
        return target
    return _write(upright(_converted(picture), photograph.exif.turn), folder / name)


def write_like(source: Path, image: np.ndarray, target: Path) -> Path:
    """Write a picture [H, W, C] that was made of another, in that one's format: JPEG stays JPEG, all else is PNG.

    Args:
        source: The picture that it was made of.
        image: uint8 or uint16.
        target: Where to, without ending.

    Returns:
        The file.
    """
    jpeg = source.suffix.lower() in (".jpg", ".jpeg") and image.ndim == 3 and image.shape[2] == 3
    file = target.with_name(f"{target.name}{'.jpg' if jpeg else '.png'}")
    write_image(file, image, quality=_QUALITY)
    return file


def _converted(picture: Any) -> Any:
    """A picture in 8 bits of grey, RGB or RGBA."""
    if "A" in picture.getbands() or "transparency" in picture.info:
        return picture.convert("RGBA")
    if picture.mode.startswith("I;16"):
        from PIL import Image

        return Image.fromarray((np.asarray(picture).astype(np.float32) / 257.0 + 0.5).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def _write(picture: Any, target: Path) -> Path:
    transparent = picture.mode == "RGBA"
    file = target.with_name(f"{target.name}{'.png' if transparent else '.jpg'}")
    stream = io.BytesIO()
    options: dict[str, Any] = {} if transparent else {"quality": _QUALITY, "subsampling": 0}
    picture.save(stream, "PNG" if transparent else "JPEG", **options)
    with atomic_write(file) as out:
        out.write(stream.getbuffer())
    return file
