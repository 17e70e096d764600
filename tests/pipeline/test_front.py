"""The front door: from a surface to a segmentation, to label maps, to a folder and back; a whole run from arrays."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_scene import Toy

import ultrafield as uf
from ultrafield.config import SegmentConfig
from ultrafield.errors import BackendError, RunError
from ultrafield.pipeline.console import Report
from ultrafield.pipeline.folder import RunFolder
from ultrafield.pipeline.job import reopen_job


@pytest.fixture(scope="module")
def segmentation(toy: Toy) -> uf.Segmentation:
    depths = [view.depth * toy.scene.to_user.scale for view in toy.views]
    surface = uf.surface_from_depth(depths, toy.scene.train.cameras)
    return uf.segment(surface, toy.scene, SegmentConfig(superpoints=200))


def most_frequent(ids: np.ndarray) -> tuple[int, float]:
    values, counts = np.unique(ids, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / counts.sum())


def agreement(labels: np.ndarray, things: np.ndarray) -> tuple[int, float]:
    """How many different labels the things of a view have, and the smallest share of one in a thing."""
    labels_of = [most_frequent(labels[things == number]) for number in (1, 2, 3) if (things == number).any()]
    return len({node for node, _ in labels_of}), min(share for _, share in labels_of)


def test_a_cut_into_three_is_the_three_boxes(toy: Toy, segmentation: uf.Segmentation) -> None:
    assert len(np.unique(segmentation.cut_into(3))) == 3
    heights = [float(segmentation.tree.heights[-3])]  # the highest cut with three segments
    depths = [view.depth * toy.scene.to_user.scale for view in toy.views]
    views = segmentation.label(toy.scene.train.cameras, depths=depths, heights=heights)
    for labels, things in zip(views, toy.ids, strict=True):
        assert labels.dtype == np.int32
        assert labels.shape == (1, *things.shape)
        different, share = agreement(labels[0], things)
        assert different == len(np.unique(things[things > 0]))
        assert share > 0.9


def test_without_depth_the_points_themselves_tell_what_pixels_show(toy: Toy, segmentation: uf.Segmentation) -> None:
    heights = [float(segmentation.tree.heights[-3])]
    labels = next(segmentation.label(toy.scene.train.cameras[[0]], heights=heights))
    different, share = agreement(labels[0], toy.ids[0])
    assert different == 3
    assert share > 0.8
    assert (labels[0][toy.ids[0] == 0] == -1).mean() > 0.9


def test_levels_are_the_default_heights(toy: Toy, segmentation: uf.Segmentation) -> None:
    labels = next(segmentation.label(toy.scene.train.cameras[[0]]))
    assert len(labels) == len(segmentation.levels)
    assert set(np.unique(labels[-1])) == {-1, len(segmentation.tree.parents) - 1}


def test_what_is_saved_opens_again(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    folder = segmentation.save(tmp_path / "saved")
    assert {path.name for path in folder.iterdir()} == {"surface.npz", "tree.npz", "tree.json", "points.ply"}
    again = uf.open_run(folder)
    np.testing.assert_array_equal(again.tree.parents, segmentation.tree.parents)
    np.testing.assert_array_equal(again.surface.points_user, segmentation.surface.points_user)
    np.testing.assert_array_equal(again.levels, segmentation.levels)
    segmentation.save(folder)  # an earlier one is replaced


def test_a_folder_with_other_files_is_not_saved_into(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"neither empty nor a saved segmentation \(it holds notes\.txt\)"):
        segmentation.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_files_that_are_only_called_alike_are_not_replaced(segmentation: uf.Segmentation, tmp_path: Path) -> None:
    for name in ("points.ply", "tree.json", "surface.npz"):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(RunError, match=rf"neither empty nor a saved segmentation \(it holds {name}\)"):
            segmentation.save(folder)
        assert (folder / name).read_text() == "mine"
        (folder / name).rename(folder / f".{name}.0123abcd.tmp")  # what a killed save leaves is no obstacle
        segmentation.save(folder)


def test_what_is_no_run_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none: no such folder"):
        uf.open_run(tmp_path / "none")
    with pytest.raises(RunError, match=r"tree\.npz: missing"):
        uf.open_run(tmp_path)


def test_a_run_that_is_not_segmented_does_not_open(tmp_path: Path) -> None:
    from ultrafield.scene.options import SceneOptions

    RunFolder(tmp_path / "run").write_config(tmp_path / "scene", SceneOptions(), uf.Config())
    with pytest.raises(RunError, match=r"not segmented yet; next: ultrafield segment"):
        uf.open_run(tmp_path / "run")


def test_one_line_and_a_picture(segmentation: uf.Segmentation) -> None:
    assert len(repr(segmentation).splitlines()) == 1
    assert f"{len(segmentation.surface)} points" in repr(segmentation)
    assert segmentation._repr_html_().startswith("<figure><img alt=")


def test_features_alone_make_a_tree(segmentation: uf.Segmentation) -> None:
    surface = segmentation.surface
    features = np.eye(2, dtype=np.float32)[(surface.points[:, 0] > 0).astype(int)]
    halves = uf.segment(surface, features=features).cut_into(2)
    assert len({(int(node), bool(side)) for node, side in zip(halves, surface.points[:, 0] > 0, strict=True)}) == 2


def test_features_may_be_lists_and_tensors(segmentation: uf.Segmentation) -> None:
    import torch

    surface, rng = segmentation.surface, np.random.default_rng(0)
    features = np.repeat(np.eye(2), [len(surface) // 2, len(surface) - len(surface) // 2], axis=0)
    features = features[rng.permutation(len(surface))].astype(np.float32)
    expected = uf.segment(surface, features=features).cut_into(5)
    wide = np.zeros((2 * len(surface), 2), np.float32)
    wide[::2] = features
    for given in (
        features.tolist(),
        torch.tensor(features, requires_grad=True),
        torch.tensor(features, dtype=torch.bfloat16),
        features.astype(np.uint8),
        features.astype(">f8"),
        np.asfortranarray(features),
        wide[::2],
        features[::-1].copy()[::-1],
    ):
        array = given.detach().float().numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
        before = array.copy()
        np.testing.assert_array_equal(uf.segment(surface, features=given).cut_into(5), expected)
        np.testing.assert_array_equal(array, before)
    for given in (features.astype(complex), features.astype(str), features.astype(object)):
        with pytest.raises(TypeError, match="features: expected numbers, got"):
            uf.segment(surface, features=given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"surface": "scan.ply"}, "surface: expected Surface, got str"),
        ({"scene": "folder"}, "scene: expected Scene or None, got str; load_scene reads a folder"),
        (
            {"config": "draft"},
            r"config: expected Config or SegmentConfig or None, got str; preset\(.draft.\) makes one",
        ),
        ({"features": "a.npy"}, "features: expected ndarray or Tensor or FeatureField, got str"),
        ({"device": 0}, "device: expected auto, cpu, cuda, .*, got int"),
    ],
)
def test_arguments_of_another_type_are_named(
    segmentation: uf.Segmentation, given: dict[str, Any], expected: str
) -> None:
    arguments = {"surface": segmentation.surface, "features": np.eye(len(segmentation.surface), 3)} | given
    with pytest.raises(TypeError, match=expected):
        uf.segment(**arguments)


def test_runs_and_trainings_name_arguments_of_another_type(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"config: expected Config or None, got str; preset\(\"draft\"\) makes one"):
        uf.run(toy.scene, tmp_path / "run", "draft")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="scene: expected str or Path or Scene, got int"):
        uf.run(3, tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data: expected SceneOptions or None, got dict"):
        uf.run(toy.scene, tmp_path / "run", data={"width": 3})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="scene: expected Scene, got str; load_scene reads a folder"):
        uf.fit("folder")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_device_that_cannot_run_is_refused_by_every_engine(segmentation: uf.Segmentation, toy: Toy) -> None:
    import torch

    surface, features = segmentation.surface, np.eye(len(segmentation.surface), 3)
    with pytest.raises(ValueError, match="device: expected auto, cpu, cuda"):
        uf.segment(surface, features=features, device="gpu")
    graph = uf.feature_graph(surface, features)
    for linkage in ("single", "average"):
        with pytest.raises(ValueError, match="device: expected auto, cpu, cuda"):
            uf.build_tree(graph, linkage=linkage, device="gpu")  # type: ignore[arg-type]
    if not torch.cuda.is_available():
        for call in (
            lambda: uf.segment(surface, features=features, device="cuda"),
            lambda: uf.build_graph(surface, engine="field", features=features, device="cuda"),
            lambda: uf.build_tree(graph, device="cuda"),
        ):
            with pytest.raises(BackendError, match="this PyTorch sees no CUDA device"):
                call()


def test_every_name_of_the_cpu_will_do(segmentation: uf.Segmentation, toy: Toy) -> None:
    surface, features = segmentation.surface, np.eye(len(segmentation.surface), 3)
    graph = uf.feature_graph(surface, features)
    trees = [uf.build_tree(graph, linkage="single", device=device) for device in ("cpu", "cpu:0")]
    np.testing.assert_array_equal(trees[0].parents, trees[1].parents)
    votes = [uf.lift_graph(surface, toy.scene, device=device) for device in ("cpu", "cpu:0")]
    np.testing.assert_array_equal(votes[0].dissimilarity, votes[1].dissimilarity)
    found = uf.segment(surface, toy.scene, SegmentConfig(linkage="single"), features, device="auto")
    assert found.tree.num_leaves == len(surface)


def test_missing_evidence_is_named(segmentation: uf.Segmentation) -> None:
    with pytest.raises(ValueError, match="scene: engine 'lift' needs it"):
        uf.segment(segmentation.surface)


def test_a_tree_of_other_points_is_refused(segmentation: uf.Segmentation) -> None:
    other = uf.Tree([2, 2, 2], [0, 0, 0.5], [1, 1, 2])
    with pytest.raises(ValueError, match=r"tree: expected \d+ leaves, one per surface point, got 2"):
        replace(segmentation, tree=other)


def test_no_torch_is_asked_for(tmp_path: Path) -> None:
    program = """
import sys
import numpy as np, ultrafield as uf
points = np.random.default_rng(0).random((60, 3)) + [-0.5, -0.5, 2]
poses = np.stack([np.eye(4)[:3]] * 2)
poses[1, 0, 3] = 0.1
cameras = uf.Cameras.pinhole(poses, [40.0, 40.0, 32.0, 32.0], [64, 64])
masks = [np.arange(64 * 64).reshape(1, 64, 64) % 64 < 32] * 2
scene = uf.Scene.from_arrays(np.zeros((2, 64, 64, 3), np.uint8), cameras, masks, background=(1, 1, 1))
seg = uf.segment(uf.surface_from_points(points, cameras), scene)
next(seg.label(cameras))
seg.save(sys.argv[1])
print("torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "saved")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_a_scene_in_memory_runs_like_a_folder(toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"hidden": 16, "occupancy_resolution": 32, "grid": {"levels": 4, "log2_entries": 12}}
    short = {"steps": 40, "lr": 0.03, "rays": 256, "samples": 4096, "max_samples_per_ray": 128}
    config = uf.preset("draft", geometry=small | short, segment={"cuts": 5})
    seg = uf.run(toy.scene, tmp_path / "run", config, device="cpu", progress=False)
    assert capsys.readouterr() == ("", "")
    assert len(next(seg.label(toy.scene.train.cameras[[0]]))) == len(seg.levels)
    kept = uf.run(toy.scene, tmp_path / "run", config, device="cpu")
    assert "segment: done before, kept" in capsys.readouterr().err
    np.testing.assert_array_equal(kept.tree.parents, seg.tree.parents)
    with pytest.raises(RunError, match="a run on a scene in memory, which only Python can go on with"):
        reopen_job(RunFolder(tmp_path / "run"), device="cpu", report=Report.silent())
