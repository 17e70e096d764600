"""The run folder: what is written comes back, and nothing half-written is taken for whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ultrafield.cameras import RenderedView, Similarity
from ultrafield.config import Config, preset
from ultrafield.errors import ConfigError, RunError, SceneError
from ultrafield.io import write_npz
from ultrafield.labels.stack import LabelStack
from ultrafield.owner import owned
from ultrafield.pipeline.folder import RunFolder, ViewLabels
from ultrafield.pipeline.stages import fingerprint
from ultrafield.scene.options import SceneOptions
from ultrafield.surface import Surface
from ultrafield.ultrametric import Tree


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def surface() -> Surface:
    rng = np.random.default_rng(0)
    points = rng.random((5, 3), np.float32)
    return Surface(
        points, points[::-1].copy(), np.arange(15, dtype=np.uint8).reshape(5, 3), np.ones((2, 1), np.uint8), 0.5
    )


def test_config_comes_back(run: RunFolder, tmp_path: Path) -> None:
    data, config = SceneOptions(width=32, masks=tmp_path / "m"), preset("paper")
    run.write_config(tmp_path / "a", data, config)
    stored = run.read_config()
    assert (stored.scene, stored.data, stored.config) == ((tmp_path / "a").resolve(), data, config)


def test_a_run_belongs_to_one_scene(run: RunFolder, tmp_path: Path) -> None:
    run.write_config(tmp_path / "a", SceneOptions(), Config())
    run.write_config(tmp_path / "a", SceneOptions(width=3), Config())
    with pytest.raises(RunError, match=r"holds a run on .*give .* a folder of its own"):
        run.write_config(tmp_path / "b", SceneOptions(), Config())
    run.write_config(tmp_path / "b", SceneOptions(), Config(), takeover=True)
    assert run.read_config().scene == (tmp_path / "b").resolve()


def test_a_run_does_not_write_into_the_scene_itself(run: RunFolder) -> None:
    with pytest.raises(RunError, match=r"run: is the scene itself, which is never changed"):
        run.write_config(run.root, SceneOptions(), Config())


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "a\0", "c" * 201])
def test_every_path_of_a_view_needs_a_name_that_a_file_can_have(run: RunFolder, name: str) -> None:
    for path in (run.render_file, run.label_file, run.view_folder):
        with pytest.raises(SceneError, match=r"run: view name: .* cannot be a file name"):
            path("train", name)


def test_half_a_config_is_an_empty_folder(run: RunFolder, tmp_path: Path) -> None:
    run.root.mkdir()
    (run.root / ".config.json.abc_1234.tmp").touch()
    run.claim(tmp_path / "a")
    (run.root / ".mine.json.abc_1234.tmp").touch()
    with pytest.raises(RunError, match=r"neither empty nor a run folder \(it holds \.mine\.json"):
        run.claim(tmp_path / "a")


def test_views_of_epochs_may_lie_beside_a_published_run(run: RunFolder, tmp_path: Path) -> None:
    (run.root / "19").mkdir(parents=True)
    (run.root / "19" / "000.png").touch()
    run.claim(tmp_path / "a", takeover=True)
    with pytest.raises(RunError, match=r"it holds 19/000\.png"):
        run.claim(tmp_path / "a")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"scene": "s", "data": {"speed": 1}, "config": {}}'])
def test_a_broken_config_names_its_file(run: RunFolder, text: str) -> None:
    run.root.mkdir()
    run.config_file.write_text(text)
    with pytest.raises(RunError, match=r"config\.json: (cannot be used|not valid JSON)"):
        run.read_config()


def test_no_run_folder(run: RunFolder) -> None:
    with pytest.raises(RunError, match=r"no run folder \(no config.json\)"):
        run.read_config()


def test_files_of_the_user_stay_when_results_are_cleared(run: RunFolder) -> None:
    mine = [
        "labels/mine/backup.npz",
        "labels/readme.md",
        "renders/mine/my_color.png",
        "renders/orbit/1.png",
        "renders/train/photo.png",
        "views/train/a/1.png",
        "views/mine/a/0.500.png",
    ]
    ours = [
        "labels/val_rotate/a.npz",
        "renders/train/a.npz",
        "renders/val/a_normal.png",
        "renders/orbit/0001.png",
        "views/train/a/0.500.png",
        "views/val/a/1.0000.png",
    ]
    for name in (*mine, *ours):
        write(run, name)
    run.clear("renders")
    run.clear_results()
    left = [file.relative_to(run.root).as_posix() for file in run.root.rglob("*") if file.is_file()]
    assert sorted(left) == sorted(mine)


def test_films_of_the_user_stay_when_renderings_are_cleared(run: RunFolder) -> None:
    films = run.root / "renders" / "films"
    films.mkdir(parents=True)
    (films / "ours.mp4").write_bytes(b"... comment=made by ultrafield render ...")
    (films / "mine.mp4").write_bytes(b"mine")
    (films / "empty.webm").touch()
    (films / "link.mp4").symlink_to(films / "ours.mp4")
    run.clear("renders")
    assert sorted(file.name for file in films.iterdir()) == ["empty.webm", "link.mp4", "mine.mp4"]


def write(run: RunFolder, name: str, content: bytes = b"content") -> None:
    (run.root / name).parent.mkdir(parents=True, exist_ok=True)
    (run.root / name).write_bytes(content)


def test_stages_count_only_when_finished_with_the_same_settings(run: RunFolder) -> None:
    assert not run.records.matches("train", "a")
    run.records.begin("train", "a")
    assert run.records.matches("train", "a")
    assert not run.records.finished("train", "a")
    assert run.records.seconds() == {}
    write(run, "field.safetensors")
    run.finish("train", "a", 1.23456)
    for records in (run.records, RunFolder(run.root).records):
        assert records.finished("train", "a")
        assert not records.finished("train", "b")
        assert not records.finished("train", "a", {"geometry": "x"})
        assert records.seconds() == {"train": 1.235}
    run.records.begin("train", "a")
    assert not run.records.finished("train", "a")


def test_a_stage_counts_only_while_its_files_are_as_it_wrote_them(run: RunFolder) -> None:
    write(run, "renders/val/r_0.npz")
    write(run, "renders/val/r_1.npz")
    write(run, "renders/val/r_0_color.png")  # of `ultrafield render`, not of the stage
    run.finish("render", "a", 1.0)
    first = RunFolder(run.root).records.content("render")
    (run.root / "renders/val/r_0_color.png").unlink()
    assert run.records.finished("render", "a")
    write(run, "renders/val/r_1.npz", b"Content")
    for records in (run.records, RunFolder(run.root).records):
        assert not records.finished("render", "a")
        assert records.damaged("render") == ["renders/val/r_1.npz"]
        assert "renders/val/r_1.npz: not as it was written" in str(records.damage("render"))
    (run.root / "renders/val/r_1.npz").unlink()
    (run.root / "renders/val/r_0.npz").unlink()
    assert "renders/val/r_0.npz (and 1 more): missing" in str(run.records.damage("render"))
    write(run, "renders/val/r_0.npz")
    write(run, "renders/val/r_1.npz")
    assert run.records.finished("render", "a")
    assert run.records.content("render") == first
    write(run, "renders/val/r_1.npz", b"other")
    run.finish("render", "a", 1.0)
    assert run.records.content("render") != first


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '"x"',
        "{",
        "{}",
        '{"stages": []}',
        '{"stages": {"train": 5}}',
        '{"stages": {"train": {}}}',
        '{"stages": {"train": {"settings": "a", "seconds": "x", "made_from": {}, "files": {}}}}',
        '{"stages": {"train": {"settings": "a", "seconds": 1, "made_from": {}, "files": {"../x": [1, "a"]}}}}',
        '{"stages": {"train": {"settings": "a", "seconds": 1, "made_from": {}, "files": {"x": [1e400, "a"]}}}}',
        '{"stages": {"train": {"settings": "a", "seconds": 1e400, "made_from": {}, "files": {}}}}',
        '{"stages": {"train": {"settings": "a", "seconds": NaN, "made_from": {}, "files": {}}}}',
        '{"train": {"settings": "a", "seconds": 1.0}}',
    ],
)
def test_garbled_records_are_named_and_not_believed(run: RunFolder, text: str) -> None:
    write(run, "stages.json", text.encode())
    assert not run.records.finished("train", "a")
    assert run.records.seconds() == {}
    assert "stages.json: " in str(run.records.fault)


def test_forgotten_stages_are_not_finished(run: RunFolder) -> None:
    write(run, "field.safetensors")
    write(run, "metrics.json")
    for stage in ("train", "render", "eval"):
        run.finish(stage, "a", 1.0)
    run.records.forget("render", "eval", "segment")
    assert run.records.seconds() == {"train": 1.0}


def test_adopted_geometry_counts_as_done(run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "other")
    other.write_config(tmp_path / "a", SceneOptions(), Config())
    other.write_render("val", "r_0", RenderedView(np.zeros((2, 3, 3)), np.ones((2, 3)), np.ones((2, 3))))
    write(other, "field.safetensors", b"field")
    for stage in ("train", "render"):
        other.finish(stage, "a", 1.0, {"geometry": "g"})
    run.adopt_geometry(other)
    run.claim(tmp_path / "a")
    assert run.records.finished("render", "a", {"geometry": "g"})
    assert not run.records.finished("train", "a", {"geometry": "g"})
    assert (run.root / "field.safetensors").read_bytes() == b"field"
    assert run.read_render("val", "r_0").depth.shape == (2, 3)


def test_an_owned_folder_is_swept_of_what_a_killed_process_left(run: RunFolder) -> None:
    names = (".tree.npz.0123abcd.tmp", "labels/val/.r_0.npz.0123abcd.tmp", "masks/train_seg/.r_0.0123abcd.tmp/1.png")
    for name in (*names, ".notes.txt.0123abcd.tmp", "labels/val/.mine", "tree.npz"):
        write(run, name)
    with run.owned():
        assert (run.root / ".ultrafield.lock").is_file()
    left = sorted(path.relative_to(run.root).as_posix() for path in run.root.rglob("*") if path.is_file())
    assert left == [".notes.txt.0123abcd.tmp", "labels/val/.mine", "tree.npz"]
    assert not (run.root / "masks/train_seg/.r_0.0123abcd.tmp").exists()


def test_the_lock_of_a_killed_process_goes_even_if_nothing_is_to_be_written(run: RunFolder) -> None:
    write(run, ".ultrafield.lock")
    write(run, ".tree.npz.0123abcd.tmp")
    run.tidy()
    assert list(run.root.iterdir()) == []
    write(run, ".ultrafield.lock")
    with owned(run.root):
        stranger = Thread(target=run.tidy)
        stranger.start()
        stranger.join()
        assert (run.root / ".ultrafield.lock").is_file()


def test_surface_comes_back(run: RunFolder, surface: Surface) -> None:
    surface = replace(surface, to_user=Similarity(2.0, np.diag([1.0, -1.0, -1.0]), np.array([5e5, 4.6e6, 0.1])))
    run.write_surface(surface)
    found = run.read_surface()
    assert found.voxel == surface.voxel
    np.testing.assert_array_equal(found.points_user, surface.points_user)
    assert isinstance(found.voxel, float)
    for name in ("points", "normals", "colors", "visible"):
        np.testing.assert_array_equal(getattr(found, name), getattr(surface, name))


def test_tree_comes_back(run: RunFolder) -> None:
    tree = Tree(np.array([3, 3, 4, 4, 4]), np.array([0, 0, 0, 0.2, 0.7], np.float32), np.array([1, 1, 1, 2, 3]))
    run.write_tree(tree)
    found = run.read_tree()
    for name in ("parents", "heights", "sizes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(tree, name))


def test_a_rendered_view_comes_back_with_colours_rounded_to_8_bits(run: RunFolder) -> None:
    rng = np.random.default_rng(0)
    view = RenderedView(*(rng.random(shape, np.float32) for shape in ((4, 6, 3), (4, 6), (4, 6))))
    run.write_render("train", "r_1", view)
    found = run.read_render("train", "r_1")
    np.testing.assert_allclose(found.color, view.color, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(found.depth, view.depth)
    np.testing.assert_allclose(found.opacity, view.opacity, atol=1e-3)
    depth = run.read_rendered_depth("train", "r_1")
    np.testing.assert_array_equal(depth.depth, found.depth)
    np.testing.assert_array_equal(depth.opacity, found.opacity)
    np.testing.assert_array_equal(depth.opaque_depth(0.5), np.where(found.opacity >= 0.5, found.depth, 0))


@pytest.mark.parametrize("width", [1, 4, 32, 67])
def test_labels_come_back(run: RunFolder, width: int) -> None:
    maps = np.random.default_rng(width).integers(-1, 3, (2, 5, width)).astype(np.int32)
    view = ViewLabels(LabelStack.of(maps), np.array([0.1, 0.2], np.float32), np.array([True, False]))
    run.write_labels("val_rotate", "r_2", view)
    with np.load(run.label_file("val_rotate", "r_2")) as stored:
        assert stored["index"].dtype == stored["columns"].dtype == np.int32
        np.testing.assert_array_equal(stored["columns"].T[:, stored["index"]], maps)
    found = run.read_labels("val_rotate", "r_2")
    assert found.labels.columns.dtype == np.int32
    np.testing.assert_array_equal(found.labels.expand(), maps)
    np.testing.assert_array_equal(found.levels.expand(), maps[:1])
    for name in ("heights", "is_level"):
        np.testing.assert_array_equal(getattr(found, name), getattr(view, name))


def test_labels_without_their_maps_are_named(run: RunFolder) -> None:
    write_npz(run.label_file("val", "r_0"), heights=np.zeros(1, np.float32), is_level=np.ones(1, bool))
    with pytest.raises(RunError, match=r"r_0\.npz: holds no array 'index'"):
        run.read_labels("val", "r_0")


@pytest.mark.parametrize(
    ("index", "columns", "message"),
    [
        (np.zeros((4, 5), np.int32), np.zeros((1, 3), np.int32), r"expected columns of 1 heights, got \[1, 3\]"),
        (np.zeros((4, 5), np.int32), np.zeros(1, np.int32), r"expected columns of 1 heights, got \[1\]"),
        (np.zeros((4, 5), np.int32), np.zeros((1, 1), np.float32), "'columns' must hold node ids"),
        (np.zeros((4, 5), np.float32), np.zeros((1, 1), np.int32), "'index' must name columns"),
        (np.zeros(4, np.int32), np.zeros((1, 1), np.int32), "'index' must name columns"),
        (np.ones((4, 5), np.int32), np.zeros((1, 1), np.int32), "'index' must name columns"),
        (np.full((4, 5), -1, np.int32), np.zeros((1, 1), np.int32), "'index' must name columns"),
    ],
)
def test_labels_of_another_kind_are_named(run: RunFolder, index: np.ndarray, columns: np.ndarray, message: str) -> None:
    file = run.label_file("val", "r_0")
    write_npz(file, index=index, columns=columns, heights=np.zeros(1, np.float32), is_level=np.ones(1, bool))
    with pytest.raises(RunError, match=rf"r_0\.npz: .*{message}"):
        run.read_labels("val", "r_0")


@pytest.mark.parametrize("what", ["surface", "tree"])
def test_a_missing_artefact_says_how_to_make_it(run: RunFolder, what: str) -> None:
    with pytest.raises(RunError, match=rf"{what}\.npz: missing; make it with: ultrafield segment .*run"):
        getattr(run, f"read_{what}")()


def test_an_artefact_without_its_arrays_is_named(run: RunFolder) -> None:
    write_npz(run.render_file("val", "r_0"), color=np.zeros(3))
    with pytest.raises(RunError, match=r"r_0\.npz: holds no array 'depth'"):
        run.read_render("val", "r_0")


def test_a_surface_of_version_0_1_is_refused_in_one_line(run: RunFolder, surface: Surface) -> None:
    arrays = {name: getattr(surface, name) for name in ("points", "normals", "colors", "visible", "voxel")}
    write_npz(run.root / "surface.npz", **arrays)
    with pytest.raises(RunError, match=r"surface\.npz: holds no array 'to_user_scale'; make it anew"):
        run.read_surface()


def test_a_broken_archive_is_named(run: RunFolder) -> None:
    run.root.mkdir()
    (run.root / "surface.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(RunError, match=r"surface\.npz: cannot be read"):
        run.read_surface()


def test_fingerprints_depend_on_values_only() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint("a", 1) != fingerprint("a", 2)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"--out: expected a folder to write, got .*run, which is a file"):
        RunFolder(tmp_path / "run").write_config(tmp_path / "a", SceneOptions(), Config())


@pytest.mark.parametrize("name", ["field.safetensors", "tree.npz", "metrics.json", "log.jsonl", "state.pt"])
def test_a_folder_in_place_of_a_file_is_refused_before_anything_is_written(run: RunFolder, name: str) -> None:
    (run.root / name).mkdir(parents=True)
    with pytest.raises(RunError, match=rf"{name}: is a folder, where the run writes a file"), run.owned():
        pass
    assert (run.root / name).is_dir()
