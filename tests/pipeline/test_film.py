"""Films of a run and of points alone, read back picture by picture."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy_scene
from PIL import Image
from scipy.ndimage import binary_dilation
from toy_scene import Toy

import ultrafield as uf
from ultrafield import cli
from ultrafield.cameras import Cameras
from ultrafield.cameras.model import OPENGL_AXES
from ultrafield.config import SegmentConfig
from ultrafield.errors import SceneError
from ultrafield.export.colors import node_colors
from ultrafield.io import write_image
from ultrafield.pipeline.console import Report
from ultrafield.pipeline.film import FilmOptions, write_film
from ultrafield.reading import read_image
from ultrafield.ultrametric import EditedTree


@pytest.fixture(scope="module")
def segmentation(toy: Toy) -> uf.Segmentation:
    depths = [view.depth * toy.scene.to_user.scale for view in toy.views]
    images = [view.image for view in toy.scene.train]
    surface = uf.surface_from_depth(depths, toy.scene.train.cameras, images)
    return uf.segment(surface, toy.scene, SegmentConfig(superpoints=200))


def path_file(folder: Path, cameras: Cameras, **others: object) -> Path:
    """A path along some cameras, user's frame, all of the first one's lens."""
    fx, fy, cx, cy = cameras.intrinsics[0].tolist()
    width, height = cameras.sizes[0].tolist()
    last = np.broadcast_to([0, 0, 0, 1.0], (len(cameras), 1, 4))
    frames = [{"transform_matrix": pose.tolist()} for pose in np.concatenate([cameras.c2w * OPENGL_AXES, last], axis=1)]
    values = {"w": width, "h": height, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "frames": frames, **others}
    (folder / "path.json").write_text(json.dumps(values))
    return folder / "path.json"


def frames(folder: Path) -> list[np.ndarray]:
    """The pictures of a film in a folder."""
    import cv2

    read = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted(folder.iterdir())]
    return [np.concatenate([item[..., 2::-1], item[..., 3:]], axis=2) for item in read]


def test_points_alone_make_a_film_of_colours_and_segments(
    toy: Toy, segmentation: uf.Segmentation, tmp_path: Path
) -> None:
    path = path_file(tmp_path, toy.scene.train.cameras[[0, 3]])
    options = FilmOptions(path=path, level=("0", "finest"))
    assert write_film(segmentation, tmp_path / "film", options, report=Report.silent()) == 2
    shown = frames(tmp_path / "film")
    assert [picture.shape for picture in shown] == [(48, 3 * 48 + 2 * 4, 3)] * 2
    colors = node_colors(segmentation.tree).astype(float)
    for picture, index in zip(shown, (0, 3), strict=True):
        ids = toy.ids[index]
        color = picture[:, :48].astype(int)
        exact = np.abs(color - np.round(toy.views[index].color * 255)).max(axis=2)
        assert (exact[ids > 0] <= 2).mean() > 0.9
        assert (color[:3] == 255).all()  # white behind
        (labels,) = segmentation.label(toy.scene.train.cameras[[index]], depths=[toy.views[index].depth * 2])
        finest = picture[:, -48:].astype(float)
        expected = 0.25 * color + 0.75 * colors[labels[0]]
        agree = np.abs(finest - expected).max(axis=2) < 6
        assert agree[labels[0] >= 0].mean() > 0.8  # borders are darker


def test_only_pictures_of_films_are_replaced(toy: Toy, segmentation: uf.Segmentation, tmp_path: Path) -> None:
    options = FilmOptions(path=path_file(tmp_path, toy.scene.train.cameras[[0, 3]]))
    mine = tmp_path / "mine"
    mine.mkdir()
    for number in range(3):
        write_image(mine / f"{number:05d}.png", np.full((4, 4, 3), number, np.uint8))
    before = {file.name: file.read_bytes() for file in mine.iterdir()}
    with pytest.raises(SceneError, match=r"00000\.png: was not written by ultrafield render, so it is not replaced"):
        write_film(segmentation, mine, options, report=Report.silent(), overwrite=True)
    assert {file.name: file.read_bytes() for file in mine.iterdir()} == before
    os.mkfifo(tmp_path / "fifo.mp4")
    with pytest.raises(SceneError, match=r"fifo\.mp4: was not written by ultrafield render"):
        write_film(segmentation, tmp_path / "fifo.mp4", options, report=Report.silent(), overwrite=True)
    film = tmp_path / "film"
    for overwrite in (False, True):
        write_film(segmentation, film, options, report=Report.silent(), overwrite=overwrite)
    shutil.copy(mine / "00002.png", film)
    with pytest.raises(SceneError, match=r"00002\.png: was not written by ultrafield render"):
        write_film(segmentation, film, options, report=Report.silent(), overwrite=True)
    with Image.open(film / "00000.png") as picture:
        picture.load()
        assert picture.info["Comment"] == "made by ultrafield render"


def test_a_node_is_shown_alone_and_transparent_around(toy: Toy, segmentation: uf.Segmentation, tmp_path: Path) -> None:
    box = toy.ids[0] == 2
    (maps,) = segmentation.label(toy.scene.train.cameras[[0]], depths=[toy.views[0].depth * 2])
    nodes = np.unique(maps[maps >= 0])
    overlaps = [max((shown & box).sum() / (shown | box).sum() for shown in maps == node) for node in nodes]
    node = int(nodes[np.argmax(overlaps)])
    path = path_file(tmp_path, toy.scene.train.cameras[[0]])
    options = FilmOptions(path=path, node=node, frames=2)
    assert write_film(segmentation, tmp_path / "film", options, report=Report.silent()) == 2
    first, second = frames(tmp_path / "film")
    np.testing.assert_array_equal(first, second)  # a single camera stands still
    assert first.shape == (48, 48, 4)
    alpha = first[..., 3] > 127
    alone = toy_scene.cast(toy.cameras, 0, toy_scene.BOXES[1:2])[1] > 0  # also what another box hides
    assert alone.sum() > 1.2 * box.sum()
    assert alpha[alone].mean() > 0.95
    assert not alpha[~binary_dilation(alone, iterations=2)].any()  # discs at the rim stand over it
    assert np.abs(first[alpha][:, :3].astype(int) - [220, 40, 40]).mean() < 8
    assert (first[first[..., 3] == 0] == 0).all()


def test_a_run_is_filmed_on_an_orbit(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    out = tmp_path / "film"
    command = ["render", str(run), "--sweep", "--frames", "4", "--device", "cpu", "--out", str(out)]
    assert cli.main(command) == 0
    assert f"{out}: 4 frames" in capsys.readouterr().out
    shown = frames(out)
    assert [picture.shape for picture in shown] == [(32 + 24, 2 * 32 + 4, 3)] * 4
    assert cli.main(command) == 2
    assert "film: exists; choose another place, or replace it with --overwrite" in capsys.readouterr().err
    (out / "mine.txt").touch()
    assert cli.main([*command, "--overwrite"]) == 2
    assert "mine.txt: was not written by ultrafield render" in capsys.readouterr().err
    (out / "mine.txt").unlink()
    assert cli.main([*command, "--overwrite", "--width", "41"]) == 0
    assert frames(out)[0].shape == (40 + 24, 2 * 40 + 4, 3)  # sizes are even


def test_a_node_of_a_run_turns_alone_by_its_name(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    found = uf.open_run(run)
    node = int(found.ids[-1])
    assert cli.main(["name", str(run), "--node", str(node), "--name", "Everything"]) == 0
    command = ["render", str(run), "--node", "everything", "--frames", "2", "--device", "cpu", "--out"]
    assert cli.main([*command, str(tmp_path / "film")]) == 0
    (first, _) = frames(tmp_path / "film")
    assert first.shape == (32, 32, 4)
    assert 0.2 < (first[..., 3] > 127).mean() < 1


def test_films_lie_in_the_run_folder(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra video")
    run = shutil.copytree(tiny_run, tmp_path / "run")
    found = uf.open_run(run)
    for _ in range(2):  # an earlier film of ours is replaced
        assert cli.main(["render", str(run), "--orbit", "--frames", "2", "--device", "cpu"]) == 0
    node = str(found.ids[-1])
    assert cli.main(["render", str(run), "--node", node, "--frames", "2", "--device", "cpu", "--sweep"]) == 0
    plain = [
        "render",
        str(run),
        "--node",
        node,
        "--frames",
        "2",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "node.mp4"),
    ]
    assert cli.main(plain) == 0  # on white, as .mp4 has no transparency
    path = tmp_path / "my path.json"
    shutil.copy(path_file(tmp_path, found_cameras(run)), path)
    assert cli.main(["render", str(run), "--path", str(path), "--device", "cpu"]) == 0
    films = run / "renders" / "films"
    assert sorted(file.name for file in films.iterdir()) == [
        "my-path.mp4",
        "orbit.mp4",
        f"orbit_sweep_node_{node}.webm",
    ]
    capsys.readouterr()
    (films / "orbit.mp4").write_bytes(b"mine")
    assert cli.main(["render", str(run), "--orbit", "--frames", "2", "--device", "cpu"]) == 2
    assert "orbit.mp4: was not written by ultrafield render, so it is not replaced" in capsys.readouterr().err
    assert (films / "orbit.mp4").read_bytes() == b"mine"


def found_cameras(run: Path) -> Cameras:
    """Training cameras of a run, user's frame."""
    from ultrafield.pipeline.cameras import read_cameras
    from ultrafield.pipeline.folder import RunFolder

    return read_cameras(RunFolder(run))["train"].cameras.moved(uf.open_run(run).surface.to_user)


def test_cameras_that_see_nothing_are_told(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = found_cameras(tiny_run)[[0]]
    away.c2w[:, :, 3] += 1000.0
    path = path_file(tmp_path, away)
    command = ["render", str(tiny_run), "--path", str(path), "--frames", "1", "--device", "cpu", "--out"]
    assert cli.main([*command, str(tmp_path / "film")]) == 0
    assert "warning: the film shows nothing of the surface" in capsys.readouterr().err
    frame = {"transform": np.eye(3, 4).tolist(), "scale": 1.0}
    frame["transform"][0][3] = frame["transform"][1][3] = frame["transform"][2][3] = 1000.0
    (tmp_path / "frame.json").write_text(json.dumps(frame))
    there = [*command, str(tmp_path / "there"), "--path-frame", str(tmp_path / "frame.json")]
    assert cli.main(there) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--orbit", "--path", "p.json"], "--path: give either an orbit or a path"),
        (["--orbit", "--frames", "0"], "--frames: a film has at least 1"),
        (["--fps", "5"], "--fps: is for films: --orbit, --path, --level, --sweep or --node"),
        (["--out", "film"], "--out: is for films"),
        (["--overwrite"], "--overwrite: is for films"),
        (["--orbit", "--path-frame", "f.json"], "--path-frame: is for --path"),
        (["--sweep", "--level", "1"], "--level: a sweep goes through all heights; give either"),
        (["--orbit", "--level", "99"], "--level: there is no level 99"),
        (["--level", "0.1,0.2,0.3,0.4,0.5"], "--level: a film shows at most 4, got 5"),
        (["--orbit", "--fps", "0"], "--fps: expected None, or a number from 0.1 to 1000, got 0.0"),
        (["--orbit", "--width", "8"], "--width: expected None, or a whole number from 16 to 16384, got 8"),
        (["--orbit", "--width", "16384"], "--width: a picture would have 16384x16384 pixels, more than"),
        (["--node", "mug"], "--node: no node is called 'mug'"),
        (["--node", "99999999"], "--node: there is no node 99999999"),
        (["--orbit", "--out", "film.gif"], "film.gif: expected a name that ends in .mp4 or .webm, or a folder"),
        (["--path", "missing.json"], "missing.json: "),
    ],
)
def test_options_that_cannot_be_used(
    options: list[str], expected: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = [] if "--out" in options or options in (["--fps", "5"], ["--overwrite"]) else ["--out", "out"]
    assert cli.main(["render", str(tiny_run), *options, *given]) == 2
    told = capsys.readouterr().err.splitlines()
    assert expected in told[-1]
    assert not list(tmp_path.iterdir())


def test_a_saved_segmentation_has_no_orbit(
    segmentation: uf.Segmentation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = segmentation.save(tmp_path / "saved")
    assert cli.main(["render", str(saved), "--orbit", "--out", str(tmp_path / "film")]) == 2
    assert "--path: an orbit needs the cameras of a run folder" in capsys.readouterr().err


def test_another_field_is_refused(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    stages = json.loads((run / "stages.json").read_text())
    stages["stages"]["render"]["made_from"]["geometry"] = "0" * 32
    (run / "stages.json").write_text(json.dumps(stages))
    command = ["render", str(run), "--orbit", "--frames", "1", "--out", str(tmp_path / "film")]
    assert cli.main(command) == 2
    assert "was segmented with another field; next: ultrafield segment" in capsys.readouterr().err
    (run / "field.safetensors").write_bytes(b"broken")
    assert cli.main(command) == 2
    assert "field.safetensors: not as it was written; next: ultrafield train" in capsys.readouterr().err


def test_a_missing_encoder_is_told_before_anything_is_rendered(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert cli.main(["render", str(tiny_run), "--orbit", "--out", str(tmp_path / "film.mp4")]) == 1
    assert 'run: pip install "ultrafield[video]"' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_names_of_several_nodes(segmentation: uf.Segmentation) -> None:
    from ultrafield.errors import ConfigError
    from ultrafield.pipeline.naming import node_named

    edits = EditedTree(segmentation.tree)
    edits.rename(int(segmentation.ids[-1]), "Mug")
    edits.rename(int(segmentation.ids[-2]), "mug")
    edits.rename(int(segmentation.ids[-3]), "12 eggs")
    named = segmentation.with_edits(edits)
    assert node_named(named, "12 EGGS") == segmentation.ids[-3]
    with pytest.raises(ConfigError, match=r"2 nodes are called 'mug'; give one of their ids: \d+, \d+"):
        node_named(named, "mug")


def test_pictures_are_read_like_others(tiny_run: Path, tmp_path: Path) -> None:
    command = ["render", str(tiny_run), "--level", "0", "--frames", "1", "--device", "cpu", "--out"]
    assert cli.main([*command, str(tmp_path / "film")]) == 0
    assert read_image(tmp_path / "film" / "00000.png").shape == (32, 68, 3)
