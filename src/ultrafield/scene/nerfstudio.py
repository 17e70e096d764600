"""nerfstudio / instant-ngp: transforms.json with shared or per-frame lenses; also the parser of Blender's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import SceneError
from ..reading import read_json
from .frames import Frame, Listing, Warn, parse_pose, poses, warn_about_axes
from .normalize import CAPTURE_NEAR, LARGEST_HALF_EXTENT, capture_half_extent, capture_similarity
from .optics import parse_optics
from .outliers import usual_views
from .pictures import PictureFinder, mask_names, pure_path, view_names
from .splits import drop_missing, hold_out_views, listed_splits
from .values import positive, shown

# What nerfstudio and instant-ngp read from these keys has no counterpart here. Others that we do not read, such as
# ply_file_path or applied_transform, change nothing: they only say where the file comes from.
_IGNORED = (
    "depth_file_path",
    "orientation_override",
    "auto_scale_poses_override",
    "fisheye_crop_radius",
    "crop",
    "rolling_shutter",
)


def list_nerfstudio(root: Path, *, hold_out: int | None, allow_missing: bool | None, warn: Warn) -> Listing:
    """List the frames of `transforms.json`, sorted by the names of their pictures.

    The scene is normalised from its cameras (`capture_similarity`) but for those far beyond the others; `aabb_scale`
    decides how much of the surroundings is modelled. The file's lists of names, where it has them, say what is held
    out.

    Args:
        root: The scene folder.
        hold_out: Every `hold_out`-th view is a validation view; None for none.
        allow_missing: As for `load_scene`.
        warn: Told about missing pictures, repaired poses, outlying cameras and keys that are not read.

    Raises:
        SceneError: Broken JSON, a bad frame, pictures missing.
    """
    source = root / "transforms.json"
    values = read_transforms(source)
    box = positive(values, "aabb_scale", str(source), least=1e-3, most=1e6)
    position_scale = positive(values, "scale", str(source), least=1e-6, most=1e6)
    frames = sorted(parse_frames(source, values, warn=warn), key=lambda frame: frame.listed)
    _warn_about_ignored(source, values, warn)
    present = drop_missing(root, source.name, frames, allow_missing=allow_missing, warn=warn)
    splits = listed_splits(present, values, source, warn, all_listed=frames) or hold_out_views(present, hold_out)
    c2w = poses(usual_views(present, source, warn))
    to_normalised = capture_similarity(c2w, str(source))
    half_extent = capture_half_extent(to_normalised, c2w, aabb_scale=box, position_scale=position_scale)
    if half_extent > LARGEST_HALF_EXTENT:
        raise SceneError(f"{source}: 'aabb_scale' makes a box {half_extent:g} times as large as the cameras' distance")
    return Listing("nerfstudio", splits, to_normalised, None, half_extent, CAPTURE_NEAR)


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


def parse_frames(file: Path, values: dict[str, Any], *, warn: Warn) -> list[Frame]:
    """Frames of a transforms file in its order, with pictures looked up beside it.

    What a frame says about its lens goes before what the file says for all.

    Raises:
        SceneError: A pose or lens that cannot be used, a picture listed twice, one that cannot be looked up.
    """
    shared = {key: value for key, value in values.items() if key != "frames"}
    frames, deviations = [], []
    for index, (item, name) in enumerate(zip(values["frames"], frame_names(file, values), strict=True)):
        where = f"{file}: frame {index}"
        c2w, deviation = parse_pose(item["transform_matrix"], where)
        frames.append(Frame(name, _listed(item), None, where, c2w, parse_optics(shared | item, where)))
        deviations.append(deviation)
    warn_about_axes(file, deviations, warn)
    return _with_files(file, frames, values)


def frame_names(file: Path, values: dict[str, Any]) -> list[str]:
    """View names of a transforms file's frames in its order; `SceneError` if two frames list one picture."""
    return view_names([_listed(item) for item in values["frames"]], file)


def _listed(item: dict[str, Any]) -> str:
    """The picture that a frame lists."""
    return item["file_path"].removeprefix("./")


def _with_files(file: Path, frames: Sequence[Frame], values: dict[str, Any]) -> list[Frame]:
    """The frames with the files on disk that belong to them, now that all names are known to be names."""
    pictures = PictureFinder(file.parent, (frame.listed for frame in frames))
    files = [pictures.find(frame.listed, frame.where) for frame in frames]
    masks = PictureFinder(file.parent, ())
    valid = [
        None if path is None else _valid_file(masks, item, frame.where)
        for item, frame, path in zip(values["frames"], frames, files, strict=True)
    ]
    on_disk = [
        frame.listed if path is None else str(pure_path(frame.listed).with_name(path.name))
        for frame, path in zip(frames, files, strict=True)
    ]
    others = mask_names(on_disk, [frame.name for frame in frames])
    return [
        replace(frame, file=path, valid_file=valid_file, other_names=names)
        for frame, path, valid_file, names in zip(frames, files, valid, others, strict=True)
    ]


def _valid_file(masks: PictureFinder, item: dict[str, Any], where: str) -> Path | None:
    """The picture of the pixels to use that a frame names as `mask_path`; None if it names none."""
    listed = item.get("mask_path")
    if listed is None:
        return None
    if not isinstance(listed, str) or not listed:
        raise SceneError(f"{where}: 'mask_path' must be a file name, got {shown(listed)}")
    file = masks.find(listed, where)
    if file is None:
        raise SceneError(f"{where}: 'mask_path' names {shown(listed)}, but there is no such file")
    return file


def _warn_about_ignored(file: Path, values: dict[str, Any], warn: Warn) -> None:
    """Say in one line which keys that could matter are not read."""
    keys = set(values).union(*values["frames"])
    ignored = [key for key in _IGNORED if key in keys]
    if ignored:
        warn(f"{file}: {', '.join(ignored)}: not used")
