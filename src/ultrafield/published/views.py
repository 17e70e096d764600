"""Files that the published validation writes for every view and `3dseg.py` reads.

Training views are `train_<i>`, test views `<i>` with three digits; rotated views are counted on after the validation
views.

    <i>.png  <i>_d.png  <i>_f.png           colour, depth, the three main directions of the features
    <i>_d.npy  [H·W]  float32               z-depth, normalised units, 0 where nothing is seen
    <i>_surface.npy  [H, W, 3]  float32     the point seen, normalised frame; the camera's centre where nothing is seen
    <i>_f.pth  [H·W, D]  float16            features; those of the background where nothing is seen
    <i>_p.npy  [3, 4]  float32              camera-to-world pose, normalised frame
    <i>_s/<t>.png                           2D parsing of the view by itself at feature distance t
    intrinsic.npy  [3, 3]  float32          of the last view written
    to_user.npy  [4, 4]  float64            from the normalised to the user's frame
    views.json                              stems of the training and of the test views, written last

The last two files are ours, the others are as published. A folder of another run may hold more views than `views.json`
lists; only listed ones are read.
"""

from __future__ import annotations

import copy
import io as bytes_io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras, RenderedView
from ..cameras.projection import back_project
from ..export.renderings import FeatureColors, color_picture, depth_picture
from ..io import atomic_write, write_image, write_json, write_npy
from ..parallel import in_threads, workers_for
from ..pipeline.console import Report
from ..scene import Scene, View
from .options import PublishedOptions
from .parsing import parse_view
from .segment_ids import segment_palette
from .stored import similarity_matrix

if TYPE_CHECKING:
    from torch import Tensor

    from ..field import RadianceField
    from ..training import Fields

PARTNET_DENSITY = 5.0  # factor on the density when PartNet is rendered, as published
# Bytes of a view that exist at once, per pixel and per channel: comparing and parsing, and the features, their half and
# differences of neighbours, of the view that is written and of those that wait.
_PER_PIXEL, _PER_CHANNEL = 450, 4 * 8


@dataclass(frozen=True)
class Job:
    """One view to render: the stem of its files, the view, its split's cameras and its index there."""

    stem: str
    view: View
    cameras: Cameras
    index: int
    test: bool


@dataclass(frozen=True)
class Quality:
    """Mean quality of the test views.

    Attributes:
        psnr: Decibels, over the views that are not rendered exactly; infinite if all are.
        ssim: Over all views.
        views: Number of views with a picture.
        exact: How many of them are rendered exactly.
    """

    psnr: float
    ssim: float
    views: int
    exact: int

    @classmethod
    def of(cls, psnr: Sequence[float], ssim: Sequence[float]) -> Quality:
        """The means of at least one view's figures."""
        finite = [value for value in psnr if math.isfinite(value)]
        mean = float(np.mean(finite)) if finite else math.inf
        return cls(mean, float(np.mean(ssim)), len(psnr), len(psnr) - len(finite))

    def __str__(self) -> str:
        psnr = f"{self.psnr:.2f}" if math.isfinite(self.psnr) else "exact"
        some = f" ({self.exact} of {self.views} views exact, left out)" if 0 < self.exact < self.views else ""
        return f"test/psnr {psnr}{some}  test/ssim {self.ssim:.4f}"


def jobs_of(scene: Scene, options: PublishedOptions) -> list[Job]:
    """The views to render, in published order: training, validation and rotated ones, as far as asked for."""
    jobs = []
    if options.render_train:
        for number, index in enumerate(range(0, len(scene.train), options.render_train_subsample)):
            jobs.append(
                Job(f"train_{number:03d}", scene.train.views[index], scene.train.normalised_cameras, index, False)
            )
    splits = ["val", "val_rotate"] if options.rotate_test else ["val"]
    chosen = [scene.splits[name] for name in splits if name in scene.splits]
    for number, (split, index) in enumerate((views, index) for views in chosen for index in range(len(views))):
        jobs.append(Job(f"{number:03d}", split.views[index], split.normalised_cameras, index, True))
    return jobs


def write_views(
    folder: Path | None, scene: Scene, fields: Fields, options: PublishedOptions, report: Report
) -> Quality | None:
    """Render the views that `options` asks for; write their files into `folder` unless it is None.

    Returns:
        Quality of the test views that have a picture; None if there is none.
    """
    from ..field import render_view
    from ..metrics import psnr, ssim
    from ..training import posed

    writer = None if folder is None else _Writer(folder, fields, options)
    if folder is not None:
        write_npy(folder / "to_user.npy", similarity_matrix(scene.to_user))
    geometry = denser(fields.geometry, PARTNET_DENSITY if options.dataset_name == "partnet" else 1.0)
    jobs = jobs_of(posed(scene, fields.geometry), options)

    def rendered() -> Iterator[tuple[Job, RenderedView, ViewContent | None]]:
        for job in jobs:
            view = render_view(geometry, job.cameras, job.index)
            yield job, view, None if writer is None else writer.content(job, view)

    def finish(item: tuple[Job, RenderedView, ViewContent | None]) -> tuple[float, float] | None:
        job, view, content = item
        if writer is not None and content is not None:
            writer.write(job, view, content)
        image = job.view.image if job.test else None
        return None if image is None else (psnr(view.color, image), ssim(view.color, image))

    finished = in_threads(finish, rendered(), workers=_workers(jobs, fields))
    quality = [scores for scores in report.track(finished, len(jobs), "validation") if scores is not None]
    if folder is not None:
        if jobs:
            write_npy(folder / "intrinsic.npy", _intrinsic_matrix(jobs[-1].cameras, jobs[-1].index))
        names = {"training": [job.stem for job in jobs if not job.test], "test": [job.stem for job in jobs if job.test]}
        write_json(folder / "views.json", names)
    return Quality.of(*zip(*quality, strict=True)) if quality else None


def _workers(jobs: Sequence[Job], fields: Fields) -> int:
    """Threads that write views; features take the most memory, several times over while a view is parsed."""
    channels = 0 if fields.features is None else fields.features.dim
    pixels = max((int(job.cameras.sizes[job.index].prod()) for job in jobs), default=0)
    return workers_for(pixels * (_PER_PIXEL + _PER_CHANNEL * channels))


def denser(field: RadianceField, factor: float) -> RadianceField:
    """A field that shares everything with `field` but whose density is `factor` times as high."""
    if factor == 1.0:
        return field

    def decode(encoded: Tensor, live: Tensor | None = None) -> tuple[Tensor, Tensor]:
        density, vector = field.decode(encoded, live)
        return factor * density, vector

    denser = copy.copy(field)
    denser.decode = decode  # type: ignore[method-assign]
    return denser


@dataclass(frozen=True)
class ViewContent:
    """The content of one rendered view, as the published files hold it.

    Attributes:
        points: Surface points [H, W, 3], normalised frame; NaN where nothing is seen.
        seen: Where something is [H, W], bool.
        features: [H, W, D], float32; those of the background where nothing is seen. None without a feature field.
        colors: Colours of features; None before the first view with a surface.
    """

    points: np.ndarray
    seen: np.ndarray
    features: np.ndarray | None = None
    colors: FeatureColors | None = None


class _Writer:
    """Writes the files of each view; the feature colours are those of the first view with a surface."""

    def __init__(self, folder: Path, fields: Fields, options: PublishedOptions) -> None:
        self._folder, self._fields, self._options = folder, fields, options
        self._colors: FeatureColors | None = None

    def content(self, job: Job, view: RenderedView) -> ViewContent:
        """Points, features and colours of a rendered view; called for one view after the other."""
        from ..field import point_features

        points = back_project(job.cameras, job.index, view.depth)  # [H, W, 3]
        seen, field = np.isfinite(points).all(axis=-1), self._fields.features
        if field is None:
            return ViewContent(points, seen)
        features = np.full((*seen.shape, field.dim), field.dim**-0.5, np.float32)
        features[seen] = point_features(field, points[seen])
        if self._colors is None and seen.any():
            self._colors = FeatureColors.fitted([features[seen]])
        return ViewContent(points, seen, features, self._colors)

    def write(self, job: Job, view: RenderedView, content: ViewContent) -> None:
        """Write all files of a view; several threads may, each of another view."""
        pose = job.cameras.c2w[job.index].astype(np.float32)
        path = self._folder / job.stem
        write_image(path.with_suffix(".png"), color_picture(view))
        write_image(self._path(job, "_d.png"), depth_picture(view.depth))
        write_npy(self._path(job, "_d.npy"), np.where(content.seen, view.depth, 0.0).astype(np.float32).ravel())
        write_npy(self._path(job, "_surface.npy"), np.where(content.seen[..., None], content.points, pose[:, 3]))
        write_npy(self._path(job, "_p.npy"), pose)
        if content.features is not None:
            self._write_features(job, content.features, content)

    def _write_features(self, job: Job, features: np.ndarray, content: ViewContent) -> None:
        _save_tensor(self._path(job, "_f.pth"), features.reshape(-1, features.shape[2]).astype(np.float16))
        if content.colors is not None:
            write_image(self._path(job, "_f.png"), content.colors.picture(features[content.seen], content.seen))
        if job.test and self._options.run_seg_inference:
            palette = segment_palette(self._options.num_seg_test)
            for threshold, labels in parse_view(features, self._options.num_seg_test):
                write_image(self._folder / f"{job.stem}_s" / f"{threshold:.3f}.png", palette[labels])

    def _path(self, job: Job, ending: str) -> Path:
        return self._folder / f"{job.stem}{ending}"


def _intrinsic_matrix(cameras: Cameras, index: int) -> np.ndarray:
    fx, fy, cx, cy = cameras.intrinsics[index]
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float32)


def _save_tensor(path: Path, array: np.ndarray) -> None:
    import torch

    buffer = bytes_io.BytesIO()
    torch.save(torch.from_numpy(array), buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())
