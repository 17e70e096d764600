"""Depth and label maps of held-out views as they are compared with ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RunError, in_shell
from ..labels.stack import LabelStack
from ..lazy import OnDemand
from .edits import read_edits
from .job import Job

if TYPE_CHECKING:
    from ..cameras import Cameras
    from ..field import RadianceField
    from ..labels import ViewLabeller


class HeldOutViews:
    """Depth and label maps of a run's held-out views.

    They are those that the run folder holds, unless the ground truth is smaller: then they are made at its pixels.
    The centre of such a pixel lies between those of larger maps, so that the nearest of these shows what is up to half
    of its pixels away: exact labels of twice the width, sampled so, reach an NC of 0.93 instead of 1.

    Args:
        job: The run, which is rendered and segmented.
        sizes: Height and width of the ground truth of each split.
    """

    def __init__(self, job: Job, sizes: Mapping[str, tuple[int, ...]]) -> None:
        self._job, self._opaque = job, job.config.segment.min_opacity
        self._cameras = {
            split: job.scene.splits[split].normalised_cameras.resized(size[::-1])
            for split, size in sizes.items()
            if np.prod(size) < min(job.scene.splits[split].normalised_cameras.sizes.prod(axis=1), default=0)
        }
        self._depths: dict[str, list[np.ndarray]] = {}  # of those, as they are asked for

    def depths(self, split: str) -> Sequence[np.ndarray]:
        """z-depth of each view [H, W], float32, normalised units; 0 where it is not opaque."""
        if split not in self._cameras:
            run, names = self._job.run, self._names(split)
            return OnDemand(lambda name: run.read_rendered_depth(split, name).opaque_depth(self._opaque), names)
        if split not in self._depths:
            self._depths[split] = list(self._rendered(self._cameras[split]))
        return self._depths[split]

    def labels(self, split: str) -> Sequence[LabelStack]:
        """Node ids of each view at all cuts.

        Raises:
            RunError: The run folder has no label maps of the split.
        """
        run, names = self._job.run, self._names(split)
        if not (run.root / "labels" / split).is_dir():
            raise RunError(
                f"{run.root}: no label maps of {split}; make them with: ultrafield segment {in_shell(run.root)}"
            )
        if split not in self._cameras:
            return OnDemand(lambda name: run.read_labels(split, name).labels, names)
        from ..labels import view_points

        cameras, depths, labeller = self._cameras[split], self.depths(split), self._labeller
        return OnDemand(lambda view: labeller.stack(view_points(depths[view], cameras, view)), range(len(names)))

    @cached_property
    def _field(self) -> RadianceField:
        return self._job.load_fields().geometry

    @cached_property
    def _labeller(self) -> ViewLabeller:
        from ..labels import ViewLabeller

        run, config = self._job.run, self._job.config.segment
        heights = run.read_labels("val", self._names("val")[0]).heights  # those of all views
        return ViewLabeller(run.read_surface(), read_edits(run, run.read_tree()).tree, heights, config, workers=1)

    def _names(self, split: str) -> tuple[str, ...]:
        return tuple(view.name for view in self._job.scene.splits[split])

    def _rendered(self, cameras: Cameras) -> Iterator[np.ndarray]:
        from ..field.render import render_views

        for view in render_views(self._field, cameras, range(len(cameras))):
            yield view.opaque_depth(self._opaque)
