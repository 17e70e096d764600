"""Which folder a scene is, and which layout the folder has."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import SceneError, reason_of
from .blender import is_hierarchical
from .partnet import is_partnet

LAYOUTS = ("auto", "blender-hs", "nerf-synthetic", "nerfstudio", "partnet")

_BLENDER_FILE, _CAPTURE_FILE = "transforms_train.json", "transforms.json"
_TRANSFORMS = re.compile(r"transforms(_\w+)?\.json")


def scene_root(path: str | Path, layout: str = "auto") -> Path:
    """The scene folder that a user means: a folder, or the transforms file in it.

    Args:
        path: What the user gave.
        layout: As for `load_scene`.

    Raises:
        SceneError: There is no such folder, the file is no transforms file, or the folder has another one, which would
            be read instead.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return path
        exists = path.exists()
    except (OSError, ValueError) as failure:
        raise SceneError(f"{str(path)!r}: {reason_of(failure)}") from None
    if not exists:
        raise SceneError(f"{path}: no such folder")
    if not path.is_file() or not _TRANSFORMS.fullmatch(path.name):
        raise SceneError(f"{path}: expected the folder of a scene or its {_CAPTURE_FILE} or {_BLENDER_FILE}")
    if path.name == _CAPTURE_FILE and layout == "auto" and (path.parent / _BLENDER_FILE).is_file():
        raise SceneError(
            f"{path}: the folder holds {_BLENDER_FILE} as well, which would be read instead; {{setting}} nerfstudio "
            "reads this file",
            setting="layout",
        )
    return path.parent


def detect_layout(root: Path) -> str:
    """Recognise the layout of a scene folder by its files.

    Raises:
        SceneError: None of the layouts.
    """
    if (root / _BLENDER_FILE).is_file():
        return "blender-hs" if is_hierarchical(root) else "nerf-synthetic"
    if (root / _CAPTURE_FILE).is_file():
        return "nerfstudio"
    if is_partnet(root):
        return "partnet"
    raise SceneError(
        f"{root}: no camera poses found; expected transforms_train.json (Blender-HS, NeRF-synthetic), transforms.json "
        "(nerfstudio, instant-ngp) or view-XX/meta.txt (PartNet)"
    )
