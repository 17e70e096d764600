"""The stage that renders every view once, and pictures and videos of what was rendered."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras, RenderedView
from ..cameras.orbit import orbit
from ..cameras.projection import back_project
from ..errors import RunError
from ..export.renderings import FeatureColors, color_picture, depth_picture, normal_picture
from ..io import write_image
from ..lazy import OnDemand
from ..parallel import in_threads, workers_for
from ..scene import Scene
from ..surface.samples import normal_map
from .job import Job
from .train import made_from_geometry

if TYPE_CHECKING:
    from ..field import FeatureField, RadianceField
    from ..training import Fields

_FRAMES_PER_SECOND = 30
_FITTED_VIEWS = 4
_BYTES_PER_PIXEL = 100  # of a view that is written and of those that wait for the same thread


def render_views(job: Job, fields: Fields) -> None:
    """Render every view of every split and store the result; views that were rendered before by the same field stay."""
    run, report, settings = job.run, job.report, job.stages.geometry
    made_from = made_from_geometry(job)
    if is_rendered(job):
        if "render" not in report.seconds:
            report.note("render: done before, kept")
        return
    _prepare(job, made_from)
    views = [(split, index) for split, views in job.scene.splits.items() for index in range(len(views))]
    whole = list(in_threads(partial(_is_rendered, job), views))
    lacking = [view for view, kept in zip(views, whole, strict=True) if not kept]
    with report.stage("render"):
        workers = workers_for(_BYTES_PER_PIXEL * job.scene.most_pixels, most=8)
        rendered = _rendered(job.scene, fields, lacking)
        written = in_threads(lambda view: run.write_render(*view), rendered, workers=workers)
        for _ in report.track(written, len(lacking), "render"):
            pass
    run.finish("render", settings, report.seconds["render"], made_from)


def is_rendered(job: Job) -> bool:
    """Whether the folder holds renderings of all views by geometry of the job's settings."""
    try:
        return job.run.records.finished("render", job.stages.geometry, made_from_geometry(job))
    except RunError:  # no geometry
        return False


def _prepare(job: Job, made_from: dict[str, str]) -> None:
    """Remove renderings of another field, and damaged ones; those that a killed process had finished stay."""
    run, settings = job.run, job.stages.geometry
    if not run.records.matches("render", settings, made_from):
        run.records.forget("render")
        run.clear("renders")
    elif run.records.ended("render"):
        job.report.note(f"render: {run.records.damage('render')}; made again")
        for name in run.records.damaged("render"):
            (run.root / name).unlink(missing_ok=True)
    run.records.begin("render", settings, made_from)


def _is_rendered(job: Job, view: tuple[str, int]) -> bool:
    """Whether the folder holds a whole rendering of a view."""
    split, index = view
    views = job.scene.splits[split]
    width, height = views.normalised_cameras.sizes[index]
    try:
        return job.run.read_depth(split, views.views[index].name).shape == (height, width)
    except RunError:
        return False


def _rendered(
    scene: Scene, fields: Fields, views: Sequence[tuple[str, int]]
) -> Iterator[tuple[str, str, RenderedView]]:
    """Split, name and rendering of some views."""
    from ..field.render import render_views

    for split, members in scene.splits.items():
        chosen = [index for name, index in views if name == split]
        pictures = render_views(fields.geometry, members.normalised_cameras, chosen)
        for index, picture in zip(chosen, pictures, strict=True):
            view, color = members.views[index], picture.color
            if split != "train" and view.photograph is not None:  # compared with a photograph that was reduced
                size = view.photograph.size
                color = _reduced_color(fields.geometry, members.normalised_cameras[[index]], size, color.shape)
            yield split, view.name, replace(picture, color=color)


def _reduced_color(field: RadianceField, camera: Cameras, size: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """The colours that one camera sees at a photograph's width and height, averaged down to rows and columns."""
    import cv2

    from ..field import render_view

    color = render_view(field, camera.resized(size), 0).color
    return cv2.resize(color, shape[1::-1], interpolation=cv2.INTER_AREA)


def write_pictures(job: Job, fields: Fields) -> None:
    """Write `<image>_color.png`, `…_depth.png`, `…_normal.png` and, with features, `…_feature.png` of every view."""
    scene, run = job.scene, job.run
    colors = None if fields.features is None else _feature_colors(job, fields.features)
    views = [(split, index) for split in scene.splits for index in range(len(scene.splits[split]))]
    for split, index in job.report.track(views, len(views), "pictures"):
        name = scene.splits[split].views[index].name
        view = run.read_render(split, name)
        folder = run.root / "renders" / split
        write_image(folder / f"{name}_color.png", color_picture(view))
        write_image(folder / f"{name}_depth.png", depth_picture(view.depth))
        write_image(folder / f"{name}_normal.png", _normals(job, split, index, view))
        if colors is not None and fields.features is not None:
            seen, features = view_features(fields.features, scene, split, index, view)
            write_image(folder / f"{name}_feature.png", colors.picture(features, seen))


def _normals(job: Job, split: str, index: int, view: RenderedView) -> np.ndarray:
    """Normals of a rendered view as a picture; those of pixels that are opaque."""
    opaque = view.opacity >= job.config.segment.min_opacity
    depth = np.where(opaque, view.depth, np.float32(0))
    camera = job.scene.splits[split].normalised_cameras[[index]].resized(np.array(depth.shape[::-1]))
    return normal_picture(normal_map(depth, camera, 0))


def view_features(
    field: FeatureField, scene: Scene, split: str, index: int, view: RenderedView
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that show a surface [H, W] bool, and the features [P, D] at the points that these P pixels show."""
    from ..field import point_features

    points = back_project(scene.splits[split].normalised_cameras, index, view.depth)
    seen = np.isfinite(points).all(axis=-1)
    return seen, point_features(field, points[seen])


def _feature_colors(job: Job, field: FeatureField) -> FeatureColors | None:
    """Colours fitted to a few training views; None if these show nothing."""
    views = OnDemand(partial(job.run.read_render, "train"), tuple(view.name for view in job.scene.train))
    chosen = np.unique(np.linspace(0, len(views) - 1, _FITTED_VIEWS).astype(int))
    features = [view_features(field, job.scene, "train", index, views[index])[1] for index in chosen]
    return FeatureColors.fitted(features) if sum(map(len, features)) > 0 else None


def write_orbit(job: Job, field: RadianceField, frames: int) -> Path:
    """Write RUN/renders/orbit.mp4, or RUN/renders/orbit/*.png where OpenCV has no encoder; returns the path."""
    from ..field import render_view

    cameras = orbit(job.scene.train.normalised_cameras, frames)
    numbers = job.report.track(range(frames), frames, "orbit")
    pictures = (color_picture(render_view(field, cameras, index)) for index in numbers)
    width, height = (int(size) for size in cameras.sizes[0])
    folder = job.run.root / "renders"
    video = _Video(folder / "orbit.mp4", width, height)
    if not video.opened:
        for index, picture in enumerate(pictures):
            write_image(folder / "orbit" / f"{index:04d}.png", picture)
        return folder / "orbit"
    with video:
        for picture in pictures:
            video.add(picture)
    return video.path


class _Video:
    """An mp4 file that appears under its name only when it is complete."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        import cv2

        self.path = path
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
        # Encoders want even sizes.
        self._width, self._height = width - width % 2, height - height % 2
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._temporary), codec, _FRAMES_PER_SECOND, (self._width, self._height))
        self._frames = 0
        self.opened = self._writer.isOpened()

    def add(self, picture: np.ndarray) -> None:
        """Append a frame [H, W, 3] uint8."""
        self._frames += 1
        self._writer.write(np.ascontiguousarray(picture[: self._height, : self._width, ::-1]))

    def __enter__(self) -> _Video:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.release()
        try:
            if kind is None:
                self._check_frames()
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _check_frames(self) -> None:
        """OpenCV says nothing of frames that a full disk swallowed, so count them."""
        import cv2

        written = int(cv2.VideoCapture(str(self._temporary)).get(cv2.CAP_PROP_FRAME_COUNT))
        if written != self._frames:
            reason = f"only {written} of {self._frames} frames could be written; is the disk full?"
            raise OSError(errno.EIO, reason, str(self.path))
