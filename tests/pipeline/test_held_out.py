"""Held-out views as they are compared with ground truth, which may be smaller than the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ultrafield import scene as scenes
from ultrafield.field import render_view
from ultrafield.labels import label_views
from ultrafield.pipeline.console import Report
from ultrafield.pipeline.evaluate import evaluate
from ultrafield.pipeline.folder import RunFolder
from ultrafield.pipeline.held_out import HeldOutViews
from ultrafield.pipeline.job import Job, reopen_job
from ultrafield.scene import GroundTruth, Scene, load_ground_truth


@pytest.fixture
def job(tiny_run: Path) -> Job:
    """The tiny run, opened again: its held-out views have 32 x 32 pixels."""
    return reopen_job(RunFolder(tiny_run), device="cpu", report=Report.silent())


def test_views_are_made_at_the_pixels_of_a_smaller_ground_truth(job: Job) -> None:
    size = (16, 20)
    views, fields = HeldOutViews(job, {"val": size}), job.load_fields()
    cameras = job.scene.splits["val"].normalised_cameras.resized([size[::-1]] * 2)
    least = job.config.segment.min_opacity
    expected = [render_view(fields.geometry, cameras, view).opaque_depth(least) for view in range(2)]
    np.testing.assert_array_equal(np.stack(list(views.depths("val"))), expected)
    surface, scale = job.run.read_surface(), job.scene.to_user.scale
    labelled = label_views(
        job.run.read_tree(),
        surface,
        cameras.moved(surface.to_user),
        depths=[depth * scale for depth in expected],
        heights=job.run.read_labels("val", "r_0").heights,
        config=job.config.segment,
    )
    for made, wanted in zip(views.labels("val"), labelled, strict=True):
        assert made.shape == (6, *size)
        assert (made.expand() == wanted).mean() > 0.999  # depth went to the user's units and back


@pytest.mark.parametrize("sizes", [{}, {"val": (32, 32)}, {"val": (64, 64)}, {"val_rotate": (16, 16)}])
def test_otherwise_they_are_those_in_the_run_folder(job: Job, sizes: dict[str, tuple[int, int]]) -> None:
    views, rendered = HeldOutViews(job, sizes), job.run.read_render("val", "r_1")
    np.testing.assert_array_equal(views.depths("val")[1], rendered.opaque_depth(job.config.segment.min_opacity))
    expected = job.run.read_labels("val", "r_1").labels.expand()
    np.testing.assert_array_equal(views.labels("val")[1].expand(), expected)


def test_every_pixel_of_a_smaller_ground_truth_is_compared(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def halved(scene: Scene, split: str) -> GroundTruth | None:
        truth = load_ground_truth(scene, split)
        assert truth is not None
        small = {
            name: getattr(truth, name)[:, ::2, ::2]
            for name in ("parts", "objects", "depth", "visible")
            if getattr(truth, name) is not None
        }
        return replace(truth, **small)

    monkeypatch.setattr(scenes, "load_ground_truth", halved)
    monkeypatch.setattr(RunFolder, "finish", lambda *_: None)  # the tiny run stays as it is
    monkeypatch.setattr("ultrafield.pipeline.evaluate.write_json", lambda *_: None)
    monkeypatch.setattr(type(job.run.records), "forget", lambda *_: None)
    metrics, truth = evaluate(job), halved(job.scene, "val")
    assert truth is not None
    assert truth.depth is not None
    assert metrics["depth"]["pixels"] == (truth.depth > 0).sum()
    assert 0.0 < metrics["nc"]["mean"] <= 1.0
    assert 0.0 < metrics["vc"]["mean"] <= 1.0
