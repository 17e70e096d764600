"""Kinds of sources: folders of photographs, videos, and what Pillow needs to read HEIC."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..errors import SceneError
from ..scene.pictures import PICTURE_ENDINGS

HEIF_ENDINGS = (".heic", ".heif")
VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".3gp", ".mpg", ".mpeg", ".wmv")
_FOLDERS = ("images", "input", "photos", "rgb")  # below a source, where the source itself has no pictures


def is_video(path: Path) -> bool:
    """Whether a file's name ends as that of a video."""
    return path.is_file() and path.name.lower().endswith(VIDEO_ENDINGS)


def find_photographs(source: Path) -> list[Path]:
    """Photographs of a folder, or of its folder of pictures, in the order of their names; empty if there are none."""
    for folder in (source, *(source / name for name in _FOLDERS)):
        files = sorted(_photographs(folder)) if folder.is_dir() else []
        if files:
            return files
    return []


def prepare_heif(files: list[Path]) -> None:
    """Let Pillow read HEIC pictures if there are any; `SceneError` without the package that does."""
    first = next((file for file in files if file.name.lower().endswith(HEIF_ENDINGS)), None)
    if first is None:
        return
    if find_spec("pillow_heif") is None:
        raise SceneError(f"{first}: HEIC pictures need another package: pip install pillow-heif")
    from pillow_heif import register_heif_opener

    register_heif_opener()


def _photographs(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.lower().endswith((*PICTURE_ENDINGS, *HEIF_ENDINGS)) and not entry.name.startswith("."):
            yield entry
