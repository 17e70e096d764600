"""cameras.npz of a run folder: the cameras of its views, so that it can be looked at where the scene is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ..cameras import Cameras
from ..cameras.model import CAMERA_ARRAYS
from ..errors import RunError, in_shell
from ..io import write_npz
from ..names import check_name
from ..reading import read_npz
from ..scene import Scene, Split
from .folder import RunFolder


@dataclass(frozen=True, eq=False)
class StoredViews:
    """The views of a split.

    Attributes:
        names: Their names [V].
        files: File names of their pictures [V].
        cameras: Their cameras, normalised frame.
    """

    names: tuple[str, ...]
    files: tuple[str, ...]
    cameras: Cameras

    @classmethod
    def of(cls, split: Split) -> Self:
        """The views of a split of a scene."""
        files = tuple(f"{view.name}.png" if view.file is None else view.file.name for view in split)
        return cls(tuple(view.name for view in split), files, split.normalised_cameras)


def camera_file(run: RunFolder) -> Path:
    """Where the cameras lie."""
    return run.root / "cameras.npz"


def write_cameras(run: RunFolder, scene: Scene) -> None:
    """Write cameras.npz: of each split names and files of the views and the arrays of `Cameras`, normalised frame."""
    arrays: dict[str, np.ndarray] = {}
    for split, members in scene.splits.items():
        views = StoredViews.of(members)
        arrays |= {f"{split}/{name}": np.array(getattr(views, name), np.str_) for name in ("names", "files")}
        arrays |= {f"{split}/{name}": getattr(views.cameras, name) for name in CAMERA_ARRAYS}
    write_npz(camera_file(run), **arrays)


def read_cameras(run: RunFolder) -> dict[str, StoredViews]:
    """The views of each split.

    Raises:
        RunError: The file is missing, as in folders of version 0.2 and before, or broken.
    """
    file = camera_file(run)
    if not file.is_file():
        raise RunError(f"{file}: missing; make it with: ultrafield segment {in_shell(run.root)}")
    arrays, found = read_npz(file), {}
    try:
        for split in dict.fromkeys(key.rpartition("/")[0] for key in arrays):
            check_name(split, f"{file}: split", RunError)
            names, files = (tuple(map(str, arrays[f"{split}/{key}"])) for key in ("names", "files"))
            cameras = Cameras(*(arrays[f"{split}/{name}"] for name in CAMERA_ARRAYS))
            if not len(names) == len(files) == len(cameras):
                raise ValueError(f"{len(names)} names and {len(files)} files of {len(cameras)} cameras")
            for name in (*names, *files):
                check_name(name, f"{file}: view", RunError)
            found[split] = StoredViews(names, files, cameras)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{file}: cannot be used ({error}); make it anew with: ultrafield segment {in_shell(run.root)}"
        ) from None
    return found
