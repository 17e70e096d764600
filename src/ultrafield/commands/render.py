"""`ultrafield render`: pictures of colour, depth and features, and an orbit video."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import RenderedView
from ..cameras.orbit import orbit
from ..cameras.projection import back_project
from ..errors import ConfigError
from ..export.renderings import FeatureColors, color_picture, depth_picture
from ..io import write_image
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder, Stored
from ..scene import Scene
from .options import Device, RunArgument
from .segment import render_views
from .train import check_trained, open_scene

if TYPE_CHECKING:
    from ..field import FeatureField, RadianceField
    from ..training import Fields

_FRAMES_PER_SECOND = 30
_FITTED_VIEWS = 4


@dataclass(frozen=True)
class Render:
    """Write colour, depth and feature pictures of every view, and a video around the scene.

    Attributes:
        run: Run folder that `ultrafield train` wrote.
        frames: Frames of the video; 0 for no video.
        device: Where to compute; auto takes CUDA if there is one.
    """

    run: RunArgument
    frames: int = 90
    device: Device = "auto"

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise ConfigError(f"--frames: expected 0 or more, got {self.frames}")

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def execute(self) -> None:
        """Write RUN/renders."""
        from ..training import load_fields, posed, resolve_device

        report, run = Report(), RunFolder(self.run)
        stored = run.read_config()
        run.claim(stored.scene)
        check_trained(run)
        fields = load_fields(run.root, device=resolve_device(self.device))
        scene = posed(open_scene(stored.scene, stored.data, report), fields.geometry)
        render_views(run, scene, fields, report)
        with report.stage("pictures"):
            write_pictures(run, scene, fields, report)
        report.result(f"{run.root / 'renders'}: pictures of {', '.join(scene.splits)}")
        if self.frames > 0:
            with report.stage("orbit"):
                video = write_orbit(run, scene, fields.geometry, self.frames, report)
            report.result(f"{video}: {self.frames} frames")


def write_pictures(run: RunFolder, scene: Scene, fields: Fields, report: Report) -> None:
    """Write `<image>_color.png`, `<image>_depth.png` and, with features, `<image>_feature.png` of every view."""
    colors = None if fields.features is None else _feature_colors(run, scene, fields.features)
    jobs = [(split, index) for split in scene.splits for index in range(len(scene.splits[split]))]
    for split, index in report.track(jobs, len(jobs), "pictures"):
        views = scene.splits[split]
        name = views.views[index].name
        view = run.read_render(split, name)
        folder = run.root / "renders" / split
        write_image(folder / f"{name}_color.png", color_picture(view))
        write_image(folder / f"{name}_depth.png", depth_picture(view.depth))
        if colors is not None and fields.features is not None:
            seen, features = view_features(fields.features, scene, split, index, view)
            write_image(folder / f"{name}_feature.png", colors.picture(features, seen))


def view_features(
    field: FeatureField, scene: Scene, split: str, index: int, view: RenderedView
) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels show a surface [H, W] bool, and the features [P, D] at the points that these P pixels show."""
    from ..field import point_features

    points = back_project(scene.splits[split].cameras, index, view.depth)
    seen = np.isfinite(points).all(axis=-1)
    return seen, point_features(field, points[seen])


def _feature_colors(run: RunFolder, scene: Scene, field: FeatureField) -> FeatureColors | None:
    """Colours fitted to a few training views; None if these show nothing."""
    views = Stored(run.read_render, "train", tuple(view.name for view in scene.train))
    chosen = np.unique(np.linspace(0, len(views) - 1, _FITTED_VIEWS).astype(int))
    features = [view_features(field, scene, "train", index, views[index])[1] for index in chosen]
    return FeatureColors.fitted(features) if sum(map(len, features)) > 0 else None


def write_orbit(run: RunFolder, scene: Scene, field: RadianceField, frames: int, report: Report) -> Path:
    """Write RUN/renders/orbit.mp4, or RUN/renders/orbit/*.png where OpenCV has no encoder; returns the path."""
    from ..field import render_view

    cameras = orbit(scene.train.cameras, frames)
    shown = report.track(range(frames), frames, "orbit")
    pictures = (color_picture(render_view(field, cameras, index)) for index in shown)
    width, height = (int(size) for size in cameras.sizes[0])
    video = _Video(run.root / "renders" / "orbit.mp4", width, height)
    if not video.opened:
        folder = run.root / "renders" / "orbit"
        for index, picture in enumerate(pictures):
            write_image(folder / f"{index:04d}.png", picture)
        return folder
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
        codec = cv2.VideoWriter_fourcc(*"mp4v")
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

        found = int(cv2.VideoCapture(str(self._temporary)).get(cv2.CAP_PROP_FRAME_COUNT))
        if found != self._frames:
            reason = f"only {found} of {self._frames} frames could be written; is the disk full?"
            raise OSError(errno.EIO, reason, str(self.path))
