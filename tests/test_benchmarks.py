"""The benchmarks, on small inputs."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from ultrafield.cameras import Similarity
from ultrafield.config import FeatureConfig
from ultrafield.reading import read_json
from ultrafield.scene import load_scene
from ultrafield.synth.scene_graph import read_model

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = (
    *(
        "batch",
        "borders",
        "both",
        "captures",
        "curves",
        "exports",
        "features",
        "large",
        "lift",
        "ops",
        "pipeline",
        "poses",
        "sam",
        "seconds",
        "steps",
        "trees",
        "votes",
    ),
    "viewer",
    "weightless",
)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of the folder; all of its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.fixture
def ops(load: Callable[[str], ModuleType]) -> ModuleType:
    """The module that checks and times every operation."""
    return load("ops")


def run(ops: ModuleType, *names: str) -> int:
    return ops.main(["--quick", "--device", "cpu", "--samples", "500", "--repeats", "2", "--only", *names])


def test_operations_are_checked_and_timed(ops, capsys):
    assert run(ops, "encode", "accumulate", "minimax", "cut") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "medians of 2" in lines[0]
    assert "memory: " in lines[1]
    assert "fp32 products: " in lines[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert rows[0] == list(ops._COLUMNS)
    assert [row[0] for row in rows[1:]] == [
        "encode",
        "encode, gradient of the table",
        "encode, gradient of the positions",
        *["accumulate", "accumulate, backward"] * 3,
        "minimax",
        "cut",
    ]
    for row in rows[1:]:
        assert len(row) == len(rows[0])
        assert float(row[5].replace(",", "")) >= 0
        assert row[7].endswith("% memory")


def test_an_operation_that_differs_is_reported_and_not_timed(ops, capsys, monkeypatch):
    exact = ops.cases_field.encode_torch
    monkeypatch.setattr(ops.cases_field, "encode_torch", lambda x, table, layout: 1.001 * exact(x, table, layout))
    assert run(ops, "encode", "cut") == 1
    out = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("| ")][1:] == ["cut"]
    assert "\nencode (500 samples, 4 × 4 channels): not timed, check 1 differs by " in out


def test_an_operation_that_cannot_run_does_not_hide_the_others(ops, capsys, monkeypatch):
    def broken(*_):
        raise RuntimeError("no memory left")

    monkeypatch.setattr(ops.cases_field, "encode_torch", broken)
    assert run(ops, "encode", "cut") == 1
    captured = capsys.readouterr()
    assert "\nencode (500 samples, 4 × 4 channels): not timed, RuntimeError: no memory left" in captured.out
    assert "| cut |" in captured.out
    assert "Traceback" in captured.err


@pytest.mark.parametrize(
    ("found", "error"),
    [([1.0, 2.0], 0.0), ([1.0, float("nan")], float("inf")), ([1.0], float("inf")), ([1.0, 2.5], 0.5 / (2 + 2.5**0.5))],
)
def test_errors_are_relative_and_nothing_passes_for_nan(ops, found, error):
    check = ops.cases_field.compare(lambda: (torch.tensor([1.0, 2.0], dtype=torch.float64),), 0.0)
    assert check((torch.tensor(found),))[0].error() == pytest.approx(error)


def test_memory_that_an_operation_leaves_unwritten_is_found(ops):
    op = ops.Op(lambda: (torch.empty(3),), ops.cases_field.compare(lambda: (torch.zeros(3),), 1.0), bytes=12)
    assert ops.checked(op)[1] == "check 1 differs by inf, allowed is 1"
    assert not torch.are_deterministic_algorithms_enabled()


def test_repeats_of_none_are_refused(ops, capsys):
    with pytest.raises(SystemExit, match="2"):
        ops.main(["--repeats", "0"])
    assert "argument --repeats: expected at least 1, got 0" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused(ops):
    with pytest.raises(SystemExit, match="--device cuda: PyTorch finds no CUDA device"):
        ops.main(["--device", "cuda"])


def test_results_are_written_as_json(ops, tmp_path, monkeypatch):
    exact = ops.cases_field.encode_torch
    monkeypatch.setattr(ops.cases_field, "encode_torch", lambda x, table, layout: 1.001 * exact(x, table, layout))
    assert run(ops, "encode", "cut", "--json", str(tmp_path / "new" / "ops.json")) == 1
    content = read_json(tmp_path / "new" / "ops.json")
    assert content["benchmark"] == "ops"
    assert content["options"]["only"] == ["encode", "cut"]
    assert content["machine"]["packages"]["numba"] == version("numba")
    assert content["facts"]["bandwidths"]["memory"] > 0
    assert content["facts"]["not timed"][0].startswith("encode (500 samples, ")
    (row,) = content["rows"]
    assert row["operation"] == "cut"
    assert row["repeats"] == 2
    assert 0 < row["fastest"] <= row["median"] <= row["slowest"]


def test_json_holds_no_numbers_that_json_lacks(load, tmp_path):
    results = load("lib.results").Results("of_a_test", Namespace(json=tmp_path / "a.json", scene=Path("scene")))
    results.add(nc=np.array([0.5, np.nan]), losses=[float("inf")], steps=np.int64(3))
    results.save()
    content = read_json(tmp_path / "a.json")
    assert content["rows"] == [{"nc": [0.5, None], "losses": [None], "steps": 3}]
    assert content["options"] == {"scene": "scene"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_writes_json(load, capsys, monkeypatch, name):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        load(name).main()
    assert "--json FILE" in capsys.readouterr().out


def test_cameras_are_brought_onto_known_ones(load):
    align = load("captures").align
    points = np.random.default_rng(0).normal(size=(9, 3))
    move = align(points, 2 * points[:, [1, 2, 0]] + [3, 4, 5])
    np.testing.assert_allclose(move.rotation, np.eye(3)[[1, 2, 0]], atol=1e-12)
    np.testing.assert_allclose([move.scale, *move.translation], [2, 3, 4, 5])


def test_trees_are_compared_and_timed(load, capsys, monkeypatch, tmp_path):
    trees = load("trees")
    monkeypatch.setattr(trees, "_CHECKED", 500)
    arguments = ["--nodes", "400", "--neighbors", "6", "--repeats", "1", "--json", str(tmp_path / "trees.json")]
    monkeypatch.setattr(sys, "argv", ["trees.py", *arguments])
    assert trees.main() == 0
    rows = read_json(tmp_path / "trees.json")["rows"]
    names = [row["operation"] for row in rows]
    assert names[:2] == ["spanning forest", "single: tree"]
    assert "average: cut" in names
    assert [line[:38].strip() for line in capsys.readouterr().out.splitlines()[3:]] == names


def test_trees_that_differ_are_not_timed(load, capsys, monkeypatch):
    trees = load("trees")
    monkeypatch.setattr(trees, "_CHECKED", 500)
    right = trees.same_as_higra
    monkeypatch.setattr(trees, "same_as_higra", lambda graph, linkage: linkage == "single" and right(graph, linkage))
    monkeypatch.setattr(sys, "argv", ["trees.py", "--nodes", "400", "--neighbors", "6", "--repeats", "1"])
    assert trees.main() == 1
    out = capsys.readouterr().out
    assert "average: differs from Higra; not timed" in out
    assert "average: tree" not in out


def test_votes_are_compared_and_timed(load, monkeypatch, tmp_path):
    sizes = {"points": 600, "neighbors": 6, "views": 12, "masks": 8, "size": 64, "regions": 20, "repeats": 1}
    arguments = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["votes.py", *arguments, "--json", str(tmp_path / "votes.json")])
    assert load("votes").main() == 0
    content = read_json(tmp_path / "votes.json")
    assert content["options"]["points"] == 600
    assert [row["operation"] for row in content["rows"]] == ["cpu: codes", "cpu: votes", "cpu: memberships"]


def test_balls_look_the_same_in_tiles_and_have_nested_masks(load):
    balls = load("lib.balls")
    heap, cameras = balls.in_groups(balls.heap(torch.device("cpu"), balls=11)), balls.cameras_around(3, 70, 50)
    color, number, _ = balls.look(heap, cameras, 1)
    in_tiles = balls.look_in_tiles(heap, cameras, 1, side=16)
    torch.testing.assert_close(in_tiles[0], color, rtol=0, atol=1e-3)  # of sums in another order, and fine stripes
    assert torch.equal(in_tiles[1], number)
    ids = number.numpy()
    masks = balls.nested_masks(ids, [1, 4, 8])
    expected = [ids // size == mask for size in (1, 4, 8) for mask in np.unique(ids // size) if mask >= 0]
    np.testing.assert_array_equal(masks.masks(), np.stack(expected) & (ids >= 0))
    fewer = balls.nested_masks(ids, [1, 4, 8], 9)
    assert sorted(fewer.areas) == sorted(masks.areas)[-9:]
    assert len(np.unique(fewer.rows, axis=0)) == len(fewer.rows)


def test_captures_of_many_views_are_scenes(load, tmp_path):
    large = load("large")
    capture = large.Capture(tmp_path, 40, 30, 5, 20)
    for index in range(capture.count):
        large.draw_view(capture, index)
    large.draw(capture)  # nothing is missing
    for views in (2, 5):
        scene = load_scene(large.scene_of(capture, views), progress=False)
        assert scene.has_masks
        assert {name: len(split) for name, split in scene.splits.items()} == {"train": views, "val": 1}
        assert all(1 < len(view.masks) <= 20 for view in scene.train)
        first = scene.train.views[0].image.mean(axis=2) < 200  # the masks lie on the balls, through this camera
        assert (first == scene.train.views[0].masks.masks().any(axis=0)).mean() > 0.8
        places = scene.train.normalised_cameras.c2w[:, :, 3]
        np.testing.assert_allclose((scene.train.normalised_cameras.c2w[:, :, 2] * places).sum(1), -1.5, atol=1e-5)


@pytest.fixture
def feature_rows(load: Callable[[str], ModuleType]) -> ModuleType:
    """The module of the rows of `features.py`."""
    return load("feature_rows")


@pytest.mark.parametrize("name", ["room", "cupboard", "gloss"])
def test_nasty_scenes_have_parts_in_levels(load, monkeypatch, tmp_path, name):
    nasty, out = load("nasty"), tmp_path / "scene.glb"
    monkeypatch.setattr(sys, "argv", ["nasty.py", name, str(out)])
    assert nasty.main() == 0
    model = read_model(out, "z")
    parts = [node for node in model.nodes if node.level == "part"]
    assert 15 <= len(parts) <= 50
    assert len({node.name for node in model.nodes}) == len(model.nodes)
    assert len({node.level for node in model.nodes}) == 5
    assert all("#" not in node.name for node in parts)
    smooth = {node.name for node in parts if model.gloss[node.parts[0]] > 0.9}
    assert bool(smooth) == (name == "gloss")


def test_rows_of_features_are_settings(feature_rows):
    rows = feature_rows.choose([])
    assert len(rows) == sum(len(group) for group in feature_rows.GROUPS.values())  # no name twice
    settings = {name: replace(FeatureConfig(), **changes) for name, changes in rows.items()}
    assert settings["default"] == FeatureConfig()
    assert settings["dim 32"] == replace(FeatureConfig(), dim=32)


def test_rows_of_features_are_chosen_by_group_or_name(feature_rows):
    assert list(feature_rows.choose(["dim 32", "temperature", "default"])) == [
        "default",
        "temperature 0.05",
        "temperature 0.1",
        "temperature 0.2",
        "dim 32",
    ]
    with pytest.raises(SystemExit, match=r"--rows: expected groups \(terms, .* or rows \(default; .*, got 'dims'"):
        feature_rows.choose(["dim", "dims"])


def test_kernels_of_the_gpu_pass_their_checks(ops, kernel_device):
    """On a GPU, or in Triton's interpreter: the cases' calls fit the kernels."""
    setup = ops.Setup(torch.device(kernel_device), 200, 400, quick=True, triton=True)
    names = {
        "encode",
        "MLP density 64→64→16, Triton tf32, backward",
        "distortion",
        "visible_fixed",
        "visible_rows 64",
        "select_heaviest 8",
        "median_distance",
        "sample_points",
        "level_set, backward",
        "rays of pixels",
        "pack_bits",
        "bottlenecks",
        "Adam on the table",
    }
    seen = set()
    for case in ops.all_cases(setup):
        if case.name in names:
            error, fault = ops.checked(case.make())
            assert fault is None, f"{case.name}: {error}"
            seen.add(case.name)
    assert seen == names


def test_masks_of_networks_are_timed(load, capsys, monkeypatch, tmp_path):
    pytest.importorskip("transformers", reason="needs the extra sam")
    sam = load("sam")
    arguments = ["--small", "--size", "96", "--points-per-side", "6", "--repeats", "1", "--pictures", "2"]
    assert sam.main([*arguments, "--device", "cpu", "--least", "1", "--json", str(tmp_path / "sam.json")]) == 0
    rows = [row for row in read_json(tmp_path / "sam.json")["rows"] if "median" in row]
    assert [row["operation"] for row in rows if "ours" in row["operation"]] == [
        f"{name}, ours {precision}" for name in ("sam", "sam2") for precision in ("float32", "bfloat16")
    ]
    assert all(row["masks"] > 0 for row in rows)


def test_masks_that_differ_from_the_original_generators_are_told(load):
    sam = load("sam")
    flags = np.zeros((3, 8, 8), bool)
    flags[0, :4], flags[1, 4:], flags[2, :, :3] = True, True, True
    bits = (flags * (1 << np.arange(3))[:, None, None]).sum(0).astype(np.uint64)[..., None]
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    ours = sam.GeneratedMasks(bits, scores, scores, np.zeros((3, 2)), np.zeros((3, 4)))
    theirs = [{"segmentation": mask, "predicted_iou": score} for mask, score in zip(flags, scores, strict=True)]
    assert sam.agreement(ours, theirs) == {"same": 1.0, "least": 1.0, "ordered": True, "scores": 0.0}
    assert not sam.agreement(ours, theirs[::-1])["ordered"]
    assert sam.agreement(ours, theirs[:2])["same"] == pytest.approx(2 / 3)
    other = [record | {"segmentation": ~record["segmentation"]} for record in theirs]
    assert sam.agreement(ours, other)["same"] == pytest.approx(2 / 3)  # two halves, and neither
    assert sam.agreement(ours, [])["same"] == 0.0


def test_poses_are_shaken_by_about_so_many_pixels_and_aligned_ones_are_not_off(load, toy):
    poses = load("poses")
    shaken, true = poses.moved(toy.scene, 2.0), toy.scene.train.normalised_cameras
    moved = shaken.train.normalised_cameras
    assert 0.5 < poses.offsets(true, moved) < 2.5
    assert poses.offsets(true, true) == 0
    assert all(shaken.splits[name] is split for name, split in toy.scene.splits.items() if name != "train")
    turn = Similarity(1.0, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([0.1, 0.2, 0.3]))
    same = poses.align(poses.places(true), poses.places(true.moved(turn)))
    assert poses.offsets(true, true.moved(turn).moved(same.inverse())) < 1e-6
