"""3D segmentation by the published rules, against slow and plain versions of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ultrafield.errors import RunError
from ultrafield.io import write_json, write_npy
from ultrafield.models import read_vertices
from ultrafield.pipeline.console import Report
from ultrafield.published import segment as published_segment
from ultrafield.published.segment import (
    NUM_SEGMENTS,
    THRESHOLDS,
    PixelLabeller,
    find_results,
    first_per_voxel,
    main,
    segment_points,
    training_points,
    without_loners,
    write_cloud,
)
from ultrafield.published.stored import PublishedView
from ultrafield.reading import read_image


def slow_labels(points: np.ndarray, numbers: np.ndarray, query: np.ndarray, k: int, threshold: float) -> int:
    """The published rule for one pixel at one threshold."""
    known = np.flatnonzero(numbers != NUM_SEGMENTS)
    if len(known) < k:
        return NUM_SEGMENTS
    squared = ((points[known] - query) ** 2).sum(axis=1)
    nearest = np.argsort(squared, kind="stable")[:k]
    if squared[nearest].max() > threshold:
        return NUM_SEGMENTS
    votes = Counter(numbers[known[nearest]].tolist())
    return min(number for number, count in votes.items() if count == max(votes.values()))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.0, 1.0), k=st.integers(1, 7))
def test_pixels_take_the_majority_of_the_nearest_known_points(seed: int, share: float, k: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((60, 3))
    segments = rng.integers(0, 4, (3, 60))
    segments[rng.random((3, 60)) < share] = NUM_SEGMENTS
    queries = rng.random((12, 3)) * 1.4 - 0.2
    view = PublishedView(np.ones(12), queries, None, (3, 4))
    found = PixelLabeller(points, segments, k_query=k, threshold=0.1)(view)
    assert found.shape == (3, 3, 4)
    for level in range(3):
        expected = [slow_labels(points, segments[level], query, k, 0.1) for query in queries]
        np.testing.assert_array_equal(found[level].ravel(), expected)


def test_pixels_that_see_nothing_have_no_segment() -> None:
    points = np.zeros((8, 3))
    view = PublishedView(np.array([0.0, 1.0]), np.zeros((2, 3)), None, (1, 2))
    found = PixelLabeller(points, np.zeros((1, 8), int), k_query=5, threshold=5e-3)(view)
    assert found.tolist() == [[[NUM_SEGMENTS, 0]]]


def test_the_threshold_is_compared_with_squared_distances() -> None:
    points = np.zeros((5, 3))
    queries = np.array([[0.0707, 0, 0], [0.0708, 0, 0]])
    view = PublishedView(np.ones(2), queries, None, (1, 2))
    found = PixelLabeller(points, np.zeros((1, 5), int), k_query=5, threshold=5e-3)(view)
    assert found.ravel().tolist() == [0, NUM_SEGMENTS]


def test_segments_are_the_components_of_the_neighbour_graph() -> None:
    rng = np.random.default_rng(3)
    points = rng.random((300, 3)).astype(np.float32)
    features = rng.normal(size=(300, 4)) * 0.15 + np.eye(4)[rng.integers(0, 4, 300)]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found = segment_points(points, features)
    _, nearest = cKDTree(points).query(points, 17)
    rows, columns = np.repeat(np.arange(300), 16), nearest[:, 1:].ravel()
    distance = np.linalg.norm(features[rows] - features[columns], axis=1)
    for level in (5, 20, 49):
        near = distance < THRESHOLDS[level]
        graph = coo_array((np.ones(near.sum()), (rows[near], columns[near])), shape=(300, 300))
        _, components = connected_components(graph, directed=False)
        sizes = np.sort(np.bincount(components))[::-1]
        kept = np.bincount(found[level], minlength=NUM_SEGMENTS + 1)
        np.testing.assert_array_equal(kept[: min(len(sizes), NUM_SEGMENTS)], sizes[:NUM_SEGMENTS])
        for number in range(min(3, len(sizes))):
            assert len(np.unique(components[found[level] == number])) == 1


def test_all_sixteen_neighbours_are_joined_however_far() -> None:
    """Two dense groups of 9 points far apart need each other to make up 16."""
    rng = np.random.default_rng(0)
    points = (rng.random((18, 3)) * 0.01 + np.repeat([[0.0], [1.0]], 9, axis=0)).astype(np.float32)
    assert (segment_points(points, np.ones((18, 2), np.float32)) == 0).all()


def test_the_first_point_of_each_voxel_stays() -> None:
    points = np.array([[0.1, 0, 0], [0.4, 0, 0], [0.6, 0, 0], [-0.1, 0, 0], [0.9, 0, 0]])
    assert first_per_voxel(points, 0.5).tolist() == [0, 2, 3]
    assert first_per_voxel(points[:0], 0.5).tolist() == []


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), edge=st.floats(0.05, 0.6))
def test_voxels_against_a_dictionary(seed: int, edge: float) -> None:
    points = np.random.default_rng(seed).normal(size=(50, 3))
    first: dict[tuple[int, ...], int] = {}
    for index, point in enumerate(points):
        first.setdefault(tuple(np.floor(point / edge).astype(int)), index)
    assert first_per_voxel(points, edge).tolist() == sorted(first.values())


def test_points_without_company_are_dropped() -> None:
    points = np.array([[0.0, 0, 0], [0.003, 0, 0], [0.006, 0, 0], [1.0, 0, 0]])
    assert without_loners(points, 4e-3, 2).tolist() == [True, True, True, False]
    assert without_loners(points, 4e-3, 3).tolist() == [False, True, False, False]
    assert without_loners(points, 4e-3, 1).all()


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What train.py would have written of two parallel patches with opposite features, seen by 2 + 1 views."""
    import torch

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "nerf" / "E" / "3"
    (tmp_path / "results" / "nerf" / "E" / "2").mkdir(parents=True)
    rows, columns = np.meshgrid(np.arange(20), np.arange(20), indexing="ij")
    surface = np.stack([0.003 * rows, 0.003 * columns + 0.2 * (columns >= 10), 0.0 * rows], axis=-1).astype(np.float32)
    features = np.where(columns[..., None] < 10, [1.0, 0.0], [0.0, 1.0]).reshape(-1, 2)
    depth = np.ones((20, 20), np.float32)
    depth[0] = 0.0
    for stem in ("train_000", "train_001", "000"):
        write_npy(folder / f"{stem}_surface.npy", surface)
        write_npy(folder / f"{stem}_d.npy", depth.ravel())
        torch.save(torch.from_numpy(features.astype(np.float16)), folder / f"{stem}_f.pth")
    write_npy(folder / "to_user.npy", np.diag([2.0, 2.0, 2.0, 1.0]))
    write_json(folder / "views.json", {"training": ["train_000", "train_001"], "test": ["000"]})
    return folder


def test_the_command_writes_what_the_published_one_does(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["E", "OUT"]) == 0
    out = results.parents[3] / "vis"
    names = {f"{t:.3f}.{ending}" for t in THRESHOLDS for ending in ("npy", "png")}
    assert {path.name for path in (out / "OUT" / "0").iterdir()} == names
    assert "0.010.npy" in names
    assert "0.500.png" in names
    labels = np.load(out / "OUT" / "0" / "0.500.npy")
    assert np.issubdtype(labels.dtype, np.integer)
    assert labels.shape == (20, 20)
    assert (labels[0] == NUM_SEGMENTS).all()
    assert len(np.unique(labels[1:, :10])) == len(np.unique(labels[1:, 10:])) == 1
    assert sorted(np.unique(labels[1:])) == [0, 1]
    picture = read_image(out / "OUT" / "0" / "0.500.png")
    assert (picture[0] == 255).all()
    assert (picture[5, 5] != picture[5, 15]).any()
    vertices = read_vertices(out / "OUT.ply").rows
    assert sorted(np.unique(vertices["segment"])) == [0, 1]
    assert np.abs(vertices["y"]).max() == pytest.approx(2 * (0.003 * 19 + 0.2), rel=1e-5)
    colors = np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1)
    assert len(np.unique(colors[vertices["segment"] == 0], axis=0)) == 1
    assert "vis/OUT.ply" in capsys.readouterr().out


def test_training_views_are_thinned_and_far_enough(results: Path) -> None:
    points, features = training_points(results, ["train_000", "train_001"], 2, Report())
    assert len(points) == len(features) == 19 * 20  # the first row has no depth, the second view adds nothing
    assert points.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["F", "OUT"], "results/nerf/F: no results; run train.py with --exp_name F --render_train first"),
        (["E", "OUT", "-t", "-1"], "--threshold: expected a number from 0 to 1000000, got -1.0"),
        (["E", "OUT", "--k_query", "0"], "--k_query: expected a whole number from 1 to 1000, got 0"),
        (["E", "OUT", "-o", "0"], "--n_outliers: expected a whole number from 1 to 1000000, got 0"),
        (["E", "OUT", "-t", "nan"], "--threshold: expected a number from 0 to 1000000, got nan"),
    ],
)
def test_bad_arguments(results: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"3dseg.py: error: {text}\n"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("train_001_f.pth", "train_001_f.pth: no features; train with --ultrametric_weight and --euclidean_weight"),
        ("train_001_surface.npy", "train_001_surface.npy: no such file"),
        ("000_surface.npy", "000_surface.npy: no such file"),
        ("views.json", "views.json: missing, so the views in this folder cannot be trusted; run train.py again"),
    ],
)
def test_missing_results(results: Path, pattern: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path in results.glob(pattern):
        path.unlink()
    assert main(["E", "OUT"]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"training": [], "test": ["000"]}, "holds no training views; train.py needs --render_train"),
        ({"training": ["train_000"], "test": []}, "holds no test views"),
        ({"training": ["train_000"]}, "views.json: cannot be used"),
    ],
)
def test_the_list_of_views_decides(
    results: Path, content: dict[str, list[str]], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(results / "views.json", content)
    assert main(["E", "OUT"]) == 2
    assert text in capsys.readouterr().err


def test_files_of_earlier_trainings_are_not_read(results: Path) -> None:
    write_npy(results / "train_002_d.npy", np.ones(7, np.float32))
    write_npy(results / "001_d.npy", np.ones(7, np.float32))
    out = results.parents[3] / "vis"
    write_npy(out / "OUT" / "1" / "0.010.npy", np.zeros((2, 2)))
    write_npy(out / "OUT" / "notes.npy", np.zeros(1))
    assert main(["E", "OUT"]) == 0
    assert sorted(path.name for path in (out / "OUT").iterdir()) == ["0", "notes.npy"]


@pytest.mark.parametrize("name", ["..", ".", "", "../elsewhere", "/tmp"])
def test_results_and_output_stay_where_they_belong(
    results: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, what in ((["E", name], "OUTPUT"), ([name, "OUT"], "EXP")):
        assert main(arguments) == 2
        assert f"3dseg.py: error: {what}: {name!r} cannot be a file name" in capsys.readouterr().err


def test_other_files_among_earlier_output_are_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vis = results.parents[3] / "vis"
    write_npy(vis / "OUT" / "1" / "0.010.npy", np.zeros((2, 2)))
    (vis / "OUT.ply").touch()
    (vis / "OUT" / "1" / "notes.txt").touch()
    assert main(["E", "OUT"]) == 2
    assert "OUT/1/notes.txt: not a file that is written here" in capsys.readouterr().err
    assert (vis / "OUT.ply").exists()
    assert len(list((vis / "OUT" / "1").iterdir())) == 2
    (vis / "LINK").symlink_to(vis / "OUT")
    assert main(["E", "LINK"]) == 2
    assert "is a link" in capsys.readouterr().err


def test_broken_results(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npy(results / "train_000_d.npy", np.ones(7, np.float32))
    assert main(["E", "OUT"]) == 2
    assert "train_000_d.npy: expected 400 values, got 7" in capsys.readouterr().err
    write_npy(results / "train_000_surface.npy", np.ones((4, 4), np.float32))
    assert main(["E", "OUT"]) == 2
    assert "train_000_surface.npy: expected shape [H, W, 3], got [4, 4]" in capsys.readouterr().err


def test_too_few_points(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(published_segment, "OUTLIER_RADIUS", 1e-6)
    assert main(["E", "OUT"]) == 2
    assert "only 0 surface points" in capsys.readouterr().err


def test_the_last_epoch_counts(results: Path) -> None:
    assert find_results("E").name == "3"
    with pytest.raises(RunError, match="no results"):
        find_results("nothing")


def test_a_cloud_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as failure:
        write_cloud(tmp_path / "a.ply", np.zeros((3, 3), np.float32), np.zeros((50, 3), np.int16), spacing=0.1)
    assert failure.value.filename == str(tmp_path / "a.ply")
    assert list(tmp_path.iterdir()) == []
