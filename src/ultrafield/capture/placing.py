"""Cameras for photographs: look at them, map them in a process of their own, and write the pictures that have one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..cameras import Similarity
from ..errors import SceneError
from ..parallel import cpu_count, in_threads, workers_for
from ..progress import track
from ..scene.colmap import model_frames
from ..scene.frames import Frame, poses
from .formats import prepare_heif
from .mapping import Child, Group, Job, Mapped, map_pictures
from .photographs import Photograph, look_at
from .pictures import plain_names, write_like, write_photograph
from .selection import LeftOut, select
from .settings import ImportConfig
from .target import ADVICE, IMAGES, Outcome, Picture
from .transforms import Shot, box_scale
from .undistort import Straight, is_straight, straighten, straightened
from .upright import upright

_FEWEST = 3  # photographs
_MANY = 10  # of one camera, from which its lens may have more parameters
_FOCAL = 1.2  # longer edges of the picture: a usual focal length
_BYTES_PER_PIXEL = 16  # while a photograph is looked at
_TYPICAL_PIXELS = 24_000_000
_CAPTURED = "the photographs"  # in messages


@dataclass(frozen=True, eq=False)
class Placed:
    """Pictures with cameras.

    Attributes:
        shots: The pictures.
        moved: From the cameras' own frame to that of the scene folder.
        box: instant-ngp's `aabb_scale`, None if nothing tells it.
        outcome: What is to be said about them.
    """

    shots: list[Shot]
    moved: Similarity
    box: float | None
    outcome: Outcome


def place_photographs(
    kind: str,
    source: Path,
    files: Sequence[Path],
    folder: Path,
    work: Path,
    config: ImportConfig,
    child: Child,
    *,
    progress: bool,
    say: Callable[[str], None],
) -> Placed:
    """Find the cameras of photographs, and write those that have one into a scene folder.

    Args:
        kind: What the source is, for the record.
        source: It, for messages.
        files: The photographs, in the order in which they were taken.
        folder: The scene folder.
        work: A folder for what is only needed on the way.
        config: Settings.
        child: The process to map in.
        progress: Whether to show progress bars (on a terminal only).
        say: Told how many photographs are used.

    Raises:
        SceneError: Photographs that cannot be read, too few of them, or some that do not overlap.
    """
    names = plain_names(list(files))
    photographs = _look(files, work / "grey", config, progress=progress)
    used, left_out = (list(range(len(files))), []) if config.keep_all else select(photographs, names)
    if len(used) < _FEWEST:
        reasons = f" ({_reasons(left_out)}; --keep-all keeps them)" if left_out else ""
        raise SceneError(f"{source}: {len(used)} photographs to use{reasons}; at least {_FEWEST} are needed")
    say(f"{len(files)} {'frames' if kind == 'video' else 'photographs'}, {len(used)} used")
    groups = make_groups([photographs[index] for index in used], [_copy(index) for index in used], config)
    job = Job(str(work / "grey"), str(work), groups, config.matching, config.threads or cpu_count(), config.seed)
    mapped = map_pictures(job, child, progress=progress, say=say)
    if mapped.model is None or mapped.registered < _FEWEST:
        raise SceneError(
            f"{source}: cameras were found for {mapped.registered} of {len(used)} photographs, which do not overlap "
            f"enough; {ADVICE}"
        )
    frames = model_frames(mapped.model)
    moved = upright(poses(frames), _CAPTURED)
    by_name = {_copy(index): index for index in used}
    chosen = sorted(((by_name[frame.listed], frame) for frame in frames), key=lambda item: item[0])
    shots = _write(photographs, names, chosen, moved, folder, config, progress=progress)
    pictures = tuple(
        Picture(files[index].name, shot.path, error=_scaled(mapped.errors[frame.listed], photographs[index]))
        for (index, frame), shot in zip(chosen, shots, strict=True)
    )
    placed = {index for index, _ in chosen}
    outcome = Outcome(
        kind,
        str(source),
        pictures,
        tuple(left_out),
        tuple(names[index] for index in used if index not in placed),
        _error(mapped, [photographs[index] for index in placed]),
        len(mapped.points),
        config,
    )
    return Placed(shots, moved, box_scale(moved.apply(mapped.points), mapped.tracks), outcome)


def make_groups(photographs: Sequence[Photograph], names: Sequence[str], config: ImportConfig) -> list[Group]:
    """The photographs by camera: pictures of one size whose EXIF data tell of the same camera and focal length."""
    members: dict[object, list[int]] = defaultdict(list)
    for index, photograph in enumerate(photographs):
        members[photograph.exif.camera, photograph.size, photograph.reduced].append(index)
    groups = []
    for indices in members.values():
        size = photographs[indices[0]].reduced
        told = [focal for index in indices if (focal := photographs[index].exif.focal) is not None]
        focal = float(np.median(told)) * float(np.hypot(*size)) if told else _FOCAL * max(size)
        lens = config.lens if config.lens != "auto" else "OPENCV" if len(indices) >= _MANY else "SIMPLE_RADIAL"
        masked = [names[index] for index in indices if photographs[index].masked]
        groups.append(Group([names[index] for index in indices], masked, size, lens, focal, bool(told)))
    return groups


def _copy(index: int) -> str:
    """The grey copy of a photograph: COLMAP's lists of pictures hold no spaces, photographs' names may."""
    return f"{index:06d}.png"


def _look(files: Sequence[Path], grey: Path, config: ImportConfig, *, progress: bool) -> list[Photograph]:
    """Look at all photographs."""
    prepare_heif(list(files))
    (grey / "masks").mkdir(parents=True)
    workers = workers_for(_BYTES_PER_PIXEL * _TYPICAL_PIXELS)
    jobs = [(file, _copy(index)) for index, file in enumerate(files)]
    looked = in_threads(lambda job: look_at(*job, grey, config.feature_size), jobs, workers=workers)
    return list(track(looked, "Looking at photographs", len(files), show=progress))


def _write(
    photographs: Sequence[Photograph],
    names: Sequence[str],
    chosen: Sequence[tuple[int, Frame]],
    moved: Similarity,
    folder: Path,
    config: ImportConfig,
    *,
    progress: bool,
) -> list[Shot]:
    """Write the pictures that have cameras."""
    straight: dict[object, Straight] = {}
    for index, frame in chosen:
        key = (frame.optics, photographs[index].size)
        if config.undistort and key not in straight and not is_straight(frame.optics):
            straight[key] = straighten(*key)
    write = partial(_write_one, photographs, names, moved=moved, folder=folder, straight=straight)
    workers = workers_for(_BYTES_PER_PIXEL * _TYPICAL_PIXELS, most=4)
    return list(track(in_threads(write, chosen, workers=workers), "Writing pictures", len(chosen), show=progress))


def _write_one(
    photographs: Sequence[Photograph],
    names: Sequence[str],
    item: tuple[int, Frame],
    *,
    moved: Similarity,
    folder: Path,
    straight: dict[object, Straight],
) -> Shot:
    index, frame = item
    photograph, optics = photographs[index], frame.optics
    pose = moved.apply_poses(frame.c2w[None])[0]
    file = write_photograph(photograph, names[index], folder / IMAGES)
    lens = straight.get((optics, photograph.size))
    if lens is None:
        return Shot(f"{IMAGES}/{file.name}", photograph.size, pose, optics)
    from ..scene.images import read_picture

    picture = straightened(read_picture(file), lens)
    file.unlink()
    file = write_like(file, picture, folder / IMAGES / names[index])
    return Shot(f"{IMAGES}/{file.name}", lens.size, pose, lens.optics)


def _scaled(error: float, photograph: Photograph) -> float:
    """An error in pixels of a photograph's copy, in those of the photograph itself."""
    return error * photograph.size[0] / photograph.reduced[0]


def _error(mapped: Mapped, photographs: Sequence[Photograph]) -> float:
    """The mean reprojection error in pixels of the photographs."""
    factors = [photograph.size[0] / photograph.reduced[0] for photograph in photographs]
    return mapped.error * float(np.mean(factors))


def _reasons(left_out: Sequence[LeftOut]) -> str:
    blurred = sum(item.reason.startswith("blurred") for item in left_out)
    parts = [(blurred, "blurred"), (len(left_out) - blurred, "the same as others")]
    return ", ".join(f"{count} {what}" for count, what in parts if count)
