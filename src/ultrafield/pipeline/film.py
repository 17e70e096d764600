"""Films of a segmentation: colours and segments side by side, a sweep through the heights, a node alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..budget import pixel_fault
from ..cameras import Cameras
from ..cameras.orbit import orbit
from ..config.ranges import Range, Ranges, check_number
from ..errors import ConfigError
from ..export.levels import choose_levels
from ..export.sheet import text_line
from ..export.video import find_ffmpeg
from ..scene.camera_path import read_camera_path, read_path_frame
from ..ultrametric.kernels.tree_cpu import below
from ..ultrametric.sweep import sweep
from .console import Report
from .export_views import run_cameras
from .film_target import FilmTarget, fresh_film
from .film_views import FilmPanels, film_views, over_white, side_by_side
from .folder import RunFolder
from .segmentation import Segmentation

LIMITS: Ranges = {
    "frames": Range(1, 10_000),
    "fps": Range(0.1, 1000.0),
    "width": Range(16, 16384),
    "node": Range(0, 1 << 40),
}
_GAP = 4  # pixels between pictures
_FPS = 30.0
_MOST_LEVELS = 4
_NOTHING = (
    "warning: the film shows nothing of the surface; cameras are camera-to-world in your frame, and those of a path "
    "from nerfstudio's viewer need --path-frame dataparser_transforms.json"
)
_NEAR = 0.98  # part of a node's points that the camera takes in


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """What a film shows.

    Attributes:
        path: File with the cameras; None for an orbit around the scene, or around the node that is shown alone.
        path_frame: nerfstudio's dataparser_transforms.json, for a path from its viewer.
        frames: Pictures of an orbit, and of a path of a single camera.
        level: Levels by number, name or height, a picture for each; the middle one if empty.
        sweep: Whether the height goes from the coarsest cut to the finest level and back instead.
        node: Id of the node that is shown alone, in its colours; with levels or a sweep its segments beside it.
        fps: Pictures per second; what the path says, or 30, if None.
        width: Width of one picture in pixels; that of the path, or of the first training view, if None.
    """

    path: Path | None = None
    path_frame: Path | None = None
    frames: int = 90
    level: tuple[str, ...] = ()
    sweep: bool = False
    node: int | None = None
    fps: float | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        for name, kind in (("frames", int), ("fps", float), ("width", int), ("node", int)):
            check_number(name, getattr(self, name), kind, LIMITS[name], optional=name != "frames")
        if self.path_frame is not None and self.path is None:
            raise ConfigError("is for --path", setting="path_frame")
        if self.sweep and self.level:
            raise ConfigError("a sweep goes through all heights; give either", setting="level")


def write_film(
    segmentation: Segmentation,
    out: Path,
    options: FilmOptions,
    *,
    report: Report,
    device: str = "auto",
    overwrite: bool = False,
) -> int:
    """Write a film of a segmentation.

    Args:
        segmentation: What is shown; of a run folder with a radiance field, or of points alone.
        out: File that ends in .mp4 or .webm, or folder of PNG pictures.
        options: What the film shows.
        report: Where progress is printed.
        device: Where to compute.
        overwrite: Whether an earlier film may be replaced.

    Returns:
        The number of pictures.

    Raises:
        UltrafieldError: Options that name nothing, a path that cannot be used, a place that cannot be written to, or an
            optional package that is not installed.
    """
    target = FilmTarget.of(out, overwrite=overwrite)
    if not target.is_folder:
        find_ffmpeg()  # before anything is rendered
    points = None if options.node is None else node_points(segmentation, options.node)
    cameras, fps = _cameras(segmentation, options, points)
    heights, captions = _cuts(segmentation, options, len(cameras))
    alpha = points is not None and target.has_alpha
    pictures = _pictures(segmentation, cameras, points, heights, captions, device, report)
    first = next(pictures)
    size = (first.shape[1], first.shape[0])
    with fresh_film(target, size, options.fps or fps, alpha=alpha) as film:
        for picture in report.track(_after(first, pictures), len(cameras), "film"):
            film.add(picture if alpha or picture.shape[2] == 3 else over_white(picture))
    return len(cameras)


def node_points(segmentation: Segmentation, node: int) -> np.ndarray:
    """Which points of the surface a node holds [N] bool.

    Raises:
        ConfigError: There is no such node.
    """
    from .naming import check_node

    check_node(segmentation, node, "--node")
    place = int(np.flatnonzero(segmentation.ids == node)[0])
    leaves = segmentation.tree.num_leaves
    inside = np.zeros(max(leaves, place + 1), bool)
    inside[: place + 1] = below(segmentation.tree.parents, place)
    return inside[:leaves]


def _cameras(segmentation: Segmentation, options: FilmOptions, points: np.ndarray | None) -> tuple[Cameras, float]:
    """The film's cameras, the surface's frame, and its pictures per second."""
    surface, fps = segmentation.surface, _FPS
    known = _training_cameras(segmentation)
    if options.path is None:
        if known is None:
            raise ConfigError("an orbit needs the cameras of a run folder; give a path", setting="path")
        focus, reach = (None, None) if points is None else _ball(surface.points[points])
        path = orbit(known, options.frames, focus=focus, reach=reach)
    else:
        like = None if known is None else known.moved(surface.to_user)
        given = read_camera_path(options.path, like)
        path, fps = given.cameras, given.fps or _FPS
        if options.path_frame is not None:
            path = path.moved(read_path_frame(options.path_frame, _transforms(segmentation)).inverse())
        path = path.moved(surface.to_user.inverse())
        if len(path) == 1:
            path = path[[0] * options.frames]
    return _even(path, options.width), fps


def _training_cameras(segmentation: Segmentation) -> Cameras | None:
    if segmentation.folder is None or not (segmentation.folder / "config.json").is_file():
        return None
    return run_cameras(RunFolder(segmentation.folder))["train"].cameras


def _transforms(segmentation: Segmentation) -> Path | None:
    """transforms.json of the scene that a run folder names, if it is there."""
    if segmentation.folder is None or not (segmentation.folder / "config.json").is_file():
        return None
    scene = RunFolder(segmentation.folder).read_config().scene
    file = None if scene is None else scene / "transforms.json"
    return file if file is not None and file.is_file() else None


def _ball(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle [3] and reach of a node, for `orbit`."""
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0)).astype(np.float64)
    return middle, float(np.quantile(np.linalg.norm(points - middle, axis=1), _NEAR))


def _even(cameras: Cameras, width: int | None) -> Cameras:
    """The cameras with pictures of another width, if asked for, and of even sizes, as encoders want them."""
    size = cameras.sizes[0].astype(np.float64)
    scaled = np.maximum(1, np.rint(size * (1.0 if width is None else width / size[0]))).astype(np.int64)
    even = np.maximum(2, scaled - scaled % 2)
    fault = pixel_fault(int(even[0]), int(even[1]))
    if fault is not None:
        raise ConfigError(f"a picture would have {fault}", setting="width")
    return cameras.resized(even)


def _cuts(segmentation: Segmentation, options: FilmOptions, frames: int) -> tuple[list[tuple[float, ...]], list[str]]:
    """Heights of the segments that each picture shows, and what to write below it; no texts without a sweep."""
    if options.sweep:
        steps = 0.5 * (1.0 - np.cos(2.0 * np.pi * np.arange(frames) / frames))
        cuts, counts = sweep(segmentation.tree, float(segmentation.levels.min()), steps)
        return [(height,) for height in cuts.tolist()], [
            f"height {height:.3f}: {count} segment{'s' if count > 1 else ''}"
            for height, count in zip(cuts.tolist(), counts.tolist(), strict=True)
        ]
    if options.node is not None and not options.level:
        return [()] * frames, []
    levels = choose_levels(options.level, segmentation.levels)
    if not options.level:
        levels = levels[len(levels) // 2 :][:1]
    if len(levels) > _MOST_LEVELS:
        raise ConfigError(f"a film shows at most {_MOST_LEVELS}, got {len(levels)}", setting="level")
    return [tuple(level.height for level in levels)] * frames, []


def _pictures(
    segmentation: Segmentation,
    cameras: Cameras,
    points: np.ndarray | None,
    heights: list[tuple[float, ...]],
    captions: list[str],
    device: str,
    report: Report,
) -> Iterator[np.ndarray]:
    """The film's pictures [H, W, 3], or [H, W, 4] of a node alone, one after the other."""
    panels = FilmPanels(segmentation, alone=points is not None)
    seen = False
    for index, view in enumerate(film_views(segmentation, cameras, points, device)):
        picture = side_by_side(panels.pictures(view, cameras, index, heights[index]), _GAP)
        seen = seen or panels.labelled > 0 or (not heights[index] and bool((view.opacity > 0.5).any()))
        yield np.concatenate([picture, _caption(captions[index], picture)]) if captions else picture
    if not seen:
        report.note(_NOTHING)


def _caption(text: str, picture: np.ndarray) -> np.ndarray:
    """A line of text as wide as a picture, with as many channels."""
    line = text_line(text, picture.shape[1])
    return np.pad(line, ((0, 0), (0, 0), (0, picture.shape[2] - 3)), constant_values=255)


def _after(first: np.ndarray, others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from others
