"""Which folder a scene is, which layout it has, and its frames as the reader of that layout lists them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, SceneError, reason_of
from . import gaussians, llff
from .blender import is_hierarchical, list_blender
from .colmap import choose_model, find_models, is_model, list_colmap, scene_of_model
from .frames import Listing, ListingOptions
from .gaussians import list_gaussians
from .llff import list_llff
from .metashape import is_metashape, list_metashape
from .nerfstudio import list_nerfstudio
from .partnet import is_partnet, list_partnet
from .polycam import find_polycam, list_polycam
from .realitycapture import is_realitycapture, list_realitycapture
from .record3d import find_record3d, list_record3d

_BLENDER = ("blender-hs", "nerf-synthetic")
_BLENDER_FILE, _CAPTURE_FILE = "transforms_train.json", "transforms.json"
_TRANSFORMS = re.compile(r"transforms(_\w+)?\.json")


@dataclass(frozen=True)
class Place:
    """A scene on disk.

    Attributes:
        root: The scene folder.
        layout: Its layout.
        model: The file or folder that lists its cameras.
    """

    root: Path
    layout: str
    model: Path


def _finder(name: str) -> Callable[[Path, ListingOptions], Path | None]:
    return lambda root, _: root / name if (root / name).is_file() else None


def _exports(ending: str, check: Callable[[Path], bool]) -> Callable[[Path, ListingOptions], Path | None]:
    """Finds the only file of a program's export in a folder."""

    def find(root: Path, _: ListingOptions) -> Path | None:
        files = sorted(entry for entry in root.iterdir() if entry.suffix.lower() == ending and entry.is_file())
        files = [file for file in files if check(file)]
        if len(files) > 1:
            names = ", ".join(file.name for file in files[:5])
            raise SceneError(f"{root}: holds {len(files)} files that list cameras ({names}); name the one to read")
        return files[0] if files else None

    return find


def _colmap(root: Path, options: ListingOptions) -> Path | None:
    models = find_models(root)
    return choose_model(models, options.warn) if models else None


# What lists the cameras in a folder of each layout, in the order in which layouts are tried.
_FINDERS: dict[str, Callable[[Path, ListingOptions], Path | None]] = {
    "nerfstudio": _finder(_CAPTURE_FILE),
    "partnet": lambda root, _: root if is_partnet(root) else None,
    "colmap": _colmap,
    "llff": _finder(llff.FILE),
    "3dgs": _finder(gaussians.FILE),
    "metashape": _exports(".xml", is_metashape),
    "realitycapture": _exports(".csv", is_realitycapture),
    "polycam": lambda root, _: find_polycam(root),
    "record3d": lambda root, _: find_record3d(root),
}
_LISTERS: dict[str, Callable[[Path, Path, ListingOptions], Listing]] = {
    "nerfstudio": lambda root, _, options: list_nerfstudio(root, options),
    "partnet": lambda root, _, options: list_partnet(root, options),
    "colmap": list_colmap,
    "llff": list_llff,
    "3dgs": list_gaussians,
    "metashape": list_metashape,
    "realitycapture": list_realitycapture,
    "polycam": list_polycam,
    "record3d": list_record3d,
}
LAYOUTS = ("auto", *_BLENDER, *_FINDERS)


def scene_root(path: str | Path, layout: str = "auto") -> Path:
    """What stands for a scene: its folder, or the file or folder in it that lists the cameras, where others may too.

    Args:
        path: What the user gave.
        layout: As for `load_scene`.

    Raises:
        SceneError: There is no such folder, the file lists no cameras, or the folder has another one, which would be
            read instead.
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
    if path.is_file() and _layout_of_file(path) is not None:
        return path
    if not path.is_file() or not _TRANSFORMS.fullmatch(path.name):
        raise SceneError(
            f"{path}: expected the folder of a scene or its {_CAPTURE_FILE} or {_BLENDER_FILE}, or another program's "
            f"file of cameras ({llff.FILE}, {gaussians.FILE}, Metashape's .xml, RealityCapture's .csv)"
        )
    if path.name == _CAPTURE_FILE and layout == "auto" and (path.parent / _BLENDER_FILE).is_file():
        raise SceneError(
            f"{path}: the folder holds {_BLENDER_FILE} as well, which would be read instead; {{setting}} nerfstudio "
            "reads this file",
            setting="layout",
        )
    return path.parent


def find_scene(path: Path, layout: str, options: ListingOptions) -> Place:
    """The scene that a path leads to.

    Args:
        path: As `scene_root` gives it.
        layout: A layout, or "auto" to recognise it.
        options: Told if a folder holds several models.

    Raises:
        SceneError: It has none of the layouts, or not the one asked for.
    """
    place = recognise(path, layout, options)
    if place is not None:
        return place
    if layout != "auto":
        raise SceneError(f"{path}: holds nothing that lists cameras in the layout {layout}")
    raise SceneError(
        f"{path}: no camera poses found; expected {_BLENDER_FILE} (Blender-HS, NeRF-synthetic), {_CAPTURE_FILE} "
        "(nerfstudio, instant-ngp), view-XX/meta.txt (PartNet), or a model of COLMAP, LLFF, 3D Gaussian splatting, "
        "Metashape, RealityCapture, Polycam or Record3D; photographs alone need cameras first: ultrafield import"
    )


def recognise(path: Path, layout: str, options: ListingOptions) -> Place | None:
    """As `find_scene`, but None if nothing is found that lists cameras."""
    if path.is_file():
        return Place(path.parent, _layout_of_file(path) or layout, path)
    if layout == "auto" and (path / _BLENDER_FILE).is_file():
        layout = "blender-hs" if is_hierarchical(path) else "nerf-synthetic"
    if layout in (*_BLENDER, "nerfstudio", "partnet"):  # the readers say what is missing
        return Place(path, layout, path)
    if layout in ("auto", "colmap") and is_model(path):
        return Place(scene_of_model(path), "colmap", path)
    for name, find in _FINDERS.items():
        model = find(path, options) if layout in ("auto", name) else None
        if model is not None:
            inner = name == "colmap" and path.name in ("sparse", "colmap")
            return Place(scene_of_model(model) if inner else path, name, model)
    return None


def check_pictures_option(layout: str, options: ListingOptions) -> None:
    """Raise `ConfigError` if a folder of pictures is given for a layout whose files alone say where these lie."""
    if options.images is not None and layout in (*_BLENDER, "partnet"):
        raise ConfigError(f"is not for the layout {layout}, whose files say where its pictures lie", setting="images")


def list_scene(place: Place, options: ListingOptions, *, recentre: bool) -> Listing:
    """The frames of a scene with the reader of its layout; arguments and errors otherwise as for `load_scene`."""
    if place.layout in _BLENDER:
        return list_blender(
            place.root,
            layout=place.layout,
            recentre=recentre,
            allow_missing=options.allow_missing,
            warn=options.warn,
        )
    return _LISTERS[place.layout](place.root, place.model, options)


def _layout_of_file(file: Path) -> str | None:
    """The layout whose cameras a file lists, where that does not depend on its folder; None for other files."""
    if file.name in (llff.FILE, gaussians.FILE):
        return "llff" if file.name == llff.FILE else "3dgs"
    for ending, check, layout in ((".xml", is_metashape, "metashape"), (".csv", is_realitycapture, "realitycapture")):
        if file.suffix.lower() == ending and check(file):
            return layout
    return None
