"""cameras.npz of a run folder: the cameras of its views, so that it can be looked at where the scene is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..cameras import Cameras
from ..errors import RunError
from ..io import write_npz
from ..names import check_name
from ..reading import read_npz
from ..scene import Scene
from .folder import RunFolder

_ARRAYS = ("c2w", "intrinsics", "sizes", "lenses", "distortion")


def camera_file(run: RunFolder) -> Path:
    """Where the cameras lie."""
    return run.root / "cameras.npz"


def write_cameras(run: RunFolder, scene: Scene) -> None:
    """Write cameras.npz: of each split the names of the views and the arrays of `Cameras`, normalised frame."""
    arrays: dict[str, np.ndarray] = {}
    for split, views in scene.splits.items():
        arrays[f"{split}/names"] = np.array([view.name for view in views], np.str_)
        arrays |= {f"{split}/{name}": getattr(views.normalised_cameras, name) for name in _ARRAYS}
    write_npz(camera_file(run), **arrays)


def read_cameras(run: RunFolder) -> dict[str, tuple[tuple[str, ...], Cameras]]:
    """Names of the views and their cameras, normalised frame, of each split.

    Raises:
        RunError: The file is missing, as in folders of version 0.2 and before, or broken.
    """
    file = camera_file(run)
    if not file.is_file():
        raise RunError(f"{file}: missing; make it with: ultrafield segment {run.root}")
    arrays, found = read_npz(file), {}
    try:
        for split in dict.fromkeys(key.rpartition("/")[0] for key in arrays):
            check_name(split, f"{file}: split", RunError)
            names = tuple(str(name) for name in arrays[f"{split}/names"])
            cameras = Cameras(*(arrays[f"{split}/{name}"] for name in _ARRAYS))
            if len(names) != len(cameras):
                raise ValueError(f"{len(names)} names of {len(cameras)} cameras")
            for name in names:
                check_name(name, f"{file}: view", RunError)
            found[split] = (names, cameras)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: cannot be used ({error}); make it anew with: ultrafield segment {run.root}") from None
    return found
