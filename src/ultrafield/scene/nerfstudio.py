"""nerfstudio / instant-ngp: transforms.json with shared or per-frame lenses; also the parser of Blender's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cameras import Lens
from ..errors import SceneError
from ..reading import read_json
from .capture import list_capture
from .frames import Frame, Listing, ListingOptions, Warn, parse_pose, warn_about_axes
from .listed import reduced_folders, with_pictures
from .optics import Optics, parse_optics
from .pictures import PictureFinder, pure_path, view_names
from .values import positive, shown

# What nerfstudio and instant-ngp read from these keys has no counterpart here. Others that we do not read, such as
# ply_file_path or applied_transform, change nothing: they only say where the file comes from.
_IGNORED = (
    "depth_file_path",
    "orientation_override",
    "auto_scale_poses_override",
    "crop",
    "rolling_shutter",
)


def list_nerfstudio(root: Path, options: ListingOptions) -> Listing:
    """List the frames of `transforms.json` (`list_capture`).

    `aabb_scale` decides how much of the surroundings is modelled. The file's lists of names, where it has them, say
    what is held out.

    Args:
        root: The scene folder.
        options: How it is listed; told about missing pictures, repaired poses, outlying cameras, keys that are not
            read.

    Raises:
        SceneError: Broken JSON, a bad frame, pictures missing.
    """
    source = root / "transforms.json"
    values = read_transforms(source)
    box = positive(values, "aabb_scale", str(source), least=1e-3, most=1e6)
    position_scale = positive(values, "scale", str(source), least=1e-6, most=1e6)
    frames = parse_frames(source, values, warn=options.warn, images=options.images)
    _warn_about_ignored(source, values, options.warn)
    return list_capture(
        "nerfstudio", root, source, frames, options, lists=values, aabb_scale=box, position_scale=position_scale
    )


def read_transforms(file: Path) -> dict[str, Any]:
    """Read a transforms file; `SceneError` unless it is an object with a list of frames, each an object."""
    values = read_json(file)
    frames = values.get("frames") if isinstance(values, dict) else None
    if not isinstance(frames, list):
        raise SceneError(f"{file}: expected an object with a list 'frames'")
    if not frames:
        raise SceneError(f"{file}: lists no frames")
    for index, frame in enumerate(frames):
        for key, kind, expected in (("file_path", str, "a file name"), ("transform_matrix", list, "4x4 numbers")):
            if not isinstance(frame, dict) or not isinstance(frame.get(key), kind) or not frame[key]:
                raise SceneError(f"{file}: frame {index}: {key!r} must be {expected}")
    return values


def parse_frames(file: Path, values: dict[str, Any], *, warn: Warn, images: Path | None = None) -> list[Frame]:
    """Frames of a transforms file in its order, with pictures looked up beside it, or in the folder `images`.

    What a frame says about its lens goes before what the file says for all.

    Raises:
        SceneError: A pose or lens that cannot be used, a picture listed twice, one that cannot be looked up.
    """
    shared = {key: value for key, value in values.items() if key != "frames"}
    frames, deviations = [], []
    for index, (item, name) in enumerate(zip(values["frames"], frame_names(file, values), strict=True)):
        where = f"{file}: frame {index}"
        c2w, deviation = parse_pose(item["transform_matrix"], where)
        optics = parse_optics(shared | item, where)
        circle = _circle(shared | item, optics, where)
        frames.append(Frame(name, _listed(item), None, where, c2w, optics, circle=circle))
        deviations.append(deviation)
    warn_about_axes(file, deviations, warn)
    frames = with_pictures(frames, file.parent, images, usual=False)
    return _with_valid_files(frames, file.parent, values)


def frame_names(file: Path, values: dict[str, Any]) -> list[str]:
    """View names of a transforms file's frames in its order; `SceneError` if two frames list one picture."""
    return view_names([_listed(item) for item in values["frames"]], file)


def _listed(item: dict[str, Any]) -> str:
    """The picture that a frame lists."""
    return item["file_path"].removeprefix("./")


def _with_valid_files(frames: Sequence[Frame], root: Path, values: dict[str, Any]) -> list[Frame]:
    """The frames with pictures of the pixels to use."""
    finder = PictureFinder(root, ())
    return [
        frame if frame.file is None else replace(frame, valid_file=_valid_file(finder, root, item, frame.where))
        for item, frame in zip(values["frames"], frames, strict=True)
    ]


def _valid_file(masks: PictureFinder, root: Path, item: dict[str, Any], where: str) -> Path | None:
    """The picture of the pixels to use that a frame names as `mask_path`, or a reduced one; None if it names none."""
    listed = item.get("mask_path")
    if listed is None:
        return None
    if not isinstance(listed, str) or not listed:
        raise SceneError(f"{where}: 'mask_path' must be a file name, got {shown(listed)}")
    file = masks.find(listed, where)
    path = pure_path(listed)
    if file is None and len(path.parts) > 1:
        rest = "/".join(path.parts[1:])
        reduced = (PictureFinder(folder, ()).find(rest, where) for folder in reduced_folders(root / path.parts[0]))
        file = next((found for found in reduced if found is not None), None)
    if file is None:
        raise SceneError(f"{where}: 'mask_path' names {shown(listed)}, but there is no such file")
    return file


def _circle(values: dict[str, Any], optics: Optics, where: str) -> float | None:
    """Radius of the circle of a fisheye's picture that shows anything, pixels; other lenses have none."""
    radius = positive(values, "fisheye_crop_radius", where)
    return radius if optics.lens in (Lens.FISHEYE, Lens.FISHEYE624) else None


def _warn_about_ignored(file: Path, values: dict[str, Any], warn: Warn) -> None:
    """Say in one line which keys that could matter are not read."""
    keys = set(values).union(*values["frames"])
    ignored = [key for key in _IGNORED if key in keys]
    if ignored:
        warn(f"{file}: {', '.join(ignored)}: not used")
