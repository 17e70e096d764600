"""Where a film goes: a file, or a folder of pictures, which appears whole or not at all and replaces only films."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from ..errors import SceneError
from ..export.video import ENDINGS, Film, film_picture, is_film
from ..interruption import nothing_kept
from ..io import atomic_write, fresh_folder
from ..names import check_name
from ..owner import owned
from ..removal import files_below, find_stranger, kinds
from .folder import RunFolder

_FRAMES = kinds(r"\d+\.png")


class Pictures(Protocol):
    """What takes the pictures of a film, one after the other."""

    def add(self, picture: np.ndarray) -> None:
        """Take a picture [H, W, 3] or, where they may be transparent, [H, W, 4], uint8."""


@dataclass(frozen=True)
class FilmTarget:
    """A place that a film may be written to.

    Attributes:
        path: A file, or a folder for PNG pictures.
        is_folder: Which of them.
    """

    path: Path
    is_folder: bool

    @property
    def has_alpha(self) -> bool:
        """Whether pictures there may be transparent."""
        return self.is_folder or self.path.suffix.lower() == ".webm"

    @classmethod
    def of(cls, path: Path, *, overwrite: bool) -> Self:
        """The place that a path names.

        Raises:
            SceneError: It exists and may not be replaced, or is no place for a film.
        """
        ending = path.suffix.lower()
        if ending and ending not in ENDINGS:
            raise SceneError(
                f"{path}: expected a name that ends in {' or '.join(ENDINGS)}, or a folder of PNG pictures"
            )
        if path.is_symlink():
            raise SceneError(f"{path}: is a link, through which nothing is written")
        around = next((place for place in path.absolute().parents if os.path.lexists(place)), path)
        if not around.is_dir():
            raise SceneError(f"{path}: {around} is not a folder")
        target = cls(path, not ending)
        if os.path.lexists(path):
            target._check_replaced(overwrite)
        return target

    def _check_replaced(self, overwrite: bool) -> None:
        if self.path.is_dir() != self.is_folder:
            raise SceneError(f"{self.path}: exists and is {'no' if self.is_folder else 'a'} folder")
        if self.is_folder and not any(self.path.iterdir()):
            return
        pictures = files_below(self.path) if self.is_folder else iter([self.path])
        stranger = find_stranger(self.path, _FRAMES) if self.is_folder else None
        stranger = stranger or next((file for file in pictures if not is_film(file)), None)
        if stranger is not None:
            raise SceneError(f"{stranger}: was not written by ultrafield render, so it is not replaced")
        if not overwrite:
            raise SceneError(f"{self.path}: exists; choose another place, or replace it with --overwrite")


def film_file(run: RunFolder, name: str) -> Path:
    """File in a run folder of a film that has no other place."""
    check_name(name, f"{run.root}: film")
    return run.root / "renders" / "films" / name


@contextmanager
def fresh_film(target: FilmTarget, size: tuple[int, int], fps: float, *, alpha: bool) -> Iterator[Pictures]:
    """Take the pictures of a film, which has its name when the block ends without an error.

    Args:
        target: Where it goes.
        size: Width and height of its pictures.
        fps: Pictures per second.
        alpha: Whether they are transparent where they show nothing.
    """
    out = Path(os.path.abspath(target.path))
    out.parent.mkdir(parents=True, exist_ok=True)
    with nothing_kept(), owned(out, lock=out.parent / f".{out.name}.lock"):
        if target.is_folder:
            with fresh_folder(out, _FRAMES) as folder:
                yield _Folder(folder)
        else:
            with Film(out, size, fps, alpha=alpha) as film:
                yield film


class _Folder:
    """Numbered PNG pictures."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def add(self, picture: np.ndarray) -> None:
        """Write the next picture."""
        with atomic_write(self._folder / f"{self._count:05d}.png") as file:
            file.write(film_picture(picture))
        self._count += 1
