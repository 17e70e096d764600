"""`ultrafield render`: pictures of colour, depth, normals and features of every view, and films."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..config.ranges import Range, check_number
from ..errors import ConfigError
from ..pipeline.console import Report
from ..pipeline.folder import RunFolder
from ..pipeline.job import Job, reopen_job
from ..pipeline.render import render_views, write_orbit, write_pictures
from ..pipeline.train import check_trained
from .options import MEMORY, Device, MemoryLimit, RunArgument, Switch, check_place

_LIMITS = MEMORY | {"frames": Range(0, 10_000)}
_OF_FILMS = ("path_frame", "fps", "width", "out", "overwrite")  # options that say how, not what

if TYPE_CHECKING:
    from ..pipeline.film import FilmOptions
    from ..pipeline.segmentation import Segmentation
    from ..training import Fields


@dataclass(frozen=True)
class Render(MemoryLimit):
    """Write colour, depth, normal and feature pictures of every view and a video around the scene; or make a film.

    With --orbit, --path, --level, --sweep or --node, only that film is made: colours and segments side by side, a sweep
    through the heights of the tree, or one node alone. See docs/film.md.

    Attributes:
        run: Run folder that `ultrafield train` wrote; for films, one that `ultrafield segment` wrote.
        frames: Frames of the video or orbit; 0 for no video.
        device: Where to compute; auto takes CUDA if there is one.
        orbit: Film with a camera that turns around the scene, or around the node.
        path: Film along a camera path: nerfstudio's JSON, or cameras as in transforms.json.
        path_frame: dataparser_transforms.json of nerfstudio's results, if the path is from its viewer.
        level: Segments beside the colours: levels by number (0 is the coarsest), name, or height (with a point).
        sweep: Let the height go from the coarsest cut to the finest level and back.
        node: Show one node alone, by id or name; transparent around it, but in .mp4 files.
        fps: Frames per second; 30 if neither this nor the path says.
        width: Width of one picture of a film, pixels; that of the path or of the training views if not given.
        out: Film to write (.mp4 or .webm), or a folder for PNG pictures; in RUN/renders/films if not given.
        overwrite: Replace an earlier film there.
    """

    run: RunArgument
    frames: int = 90
    device: Device = "auto"
    orbit: Switch = False
    path: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    path_frame: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    level: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LEVEL…")] = ()
    sweep: Switch = False
    node: Annotated[str | None, tyro.conf.arg(metavar="ID|NAME")] = None
    fps: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    width: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="PATH", aliases=("-o",))] = None
    overwrite: Switch = False

    def __post_init__(self) -> None:
        for place in (self.run, self.path, self.path_frame, self.out):
            if place is not None:
                check_place(place)
        check_number("memory", self.memory, float, _LIMITS["memory"], optional=True)
        check_number("frames", self.frames, int, _LIMITS["frames"])
        if self.orbit and self.path is not None:
            raise ConfigError("give either an orbit or a path", setting="path")
        if self._is_film and self.frames == 0:
            raise ConfigError("a film has at least 1", setting="frames")
        for name in _OF_FILMS if not self._is_film else ():
            if getattr(self, name) not in (None, False):
                raise ConfigError("is for films: --orbit, --path, --level, --sweep or --node", setting=name)

    @property
    def _is_film(self) -> bool:
        return self.orbit or self.path is not None or bool(self.level) or self.sweep or self.node is not None

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Write RUN/renders, or a film."""
        if self._is_film:
            self._film()
            return
        from ..training import posed

        report = Report()
        job = reopen_job(RunFolder(self.run), device=self.device, report=report)
        check_trained(job)
        fields = job.load_fields()
        job = replace(job, scene=posed(job.scene, fields.geometry))
        with job.run.owned():
            self._render(job, fields)

    def _render(self, job: Job, fields: Fields) -> None:
        report = job.report
        render_views(job, fields)
        with report.stage("pictures"):
            write_pictures(job, fields)
        report.result(f"{job.run.root / 'renders'}: pictures of {', '.join(job.scene.splits)}")
        if self.frames > 0:
            with report.stage("orbit"):
                video = write_orbit(job, fields.geometry, self.frames)
            report.result(f"{video}: {self.frames} frames")

    def _film(self) -> None:
        from ..pipeline.film import write_film
        from ..pipeline.film_target import film_file
        from ..pipeline.segmentation import open_run

        report, segmentation, run = Report(), open_run(self.run), RunFolder(self.run)
        options = self._options(segmentation)
        out = self.out or film_file(run, self._title(options))
        with report.stage("film"), nullcontext() if self.out else run.owned():
            ours = self.out is None
            count = write_film(
                segmentation, out, options, report=report, device=self.device, overwrite=ours or self.overwrite
            )
        report.result(f"{out}: {count} frames")

    def _options(self, segmentation: Segmentation) -> FilmOptions:
        from ..pipeline.film import FilmOptions
        from ..pipeline.naming import node_named

        return FilmOptions(
            path=self.path,
            path_frame=self.path_frame,
            frames=self.frames,
            level=self.level,
            sweep=self.sweep,
            node=None if self.node is None else node_named(segmentation, self.node),
            fps=self.fps,
            width=self.width,
        )

    def _title(self, options: FilmOptions) -> str:
        """Name of the film's file where the user gave none."""
        from ..export.point_files import plain_name

        base = "orbit" if options.path is None else plain_name(options.path.stem, 60) or "path"
        parts = [base, *(["sweep"] if options.sweep else []), *([f"node_{options.node}"] if self.node else [])]
        return "_".join(parts) + (".mp4" if self.node is None else ".webm")
