"""Importing whole folders: photographs, videos, models; what is refused; and what is left if it is stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from exported import EXPORTERS, poses
from room_photographs import SIZE, room_cameras, room_picture, write_room

from ultrafield import cli
from ultrafield.cameras import Cameras, Similarity, pixel_directions
from ultrafield.capture import ImportConfig, import_scene
from ultrafield.capture.mapping import Group, Job, child_process, map_pictures
from ultrafield.errors import BackendError, ConfigError, SceneError
from ultrafield.io import write_image
from ultrafield.scene import load_scene

CONFIG = ImportConfig(threads=2)
NAMES = ["0000", "0001", "0002", "0003", "0004", "0005 à", "0006", "0007"]
BOUNDED = ("partnet", "nerf-synthetic")


def silent(_: str) -> None:
    """Not told."""


def other_picture(seed: int) -> np.ndarray:
    """Squares of random colours [H, W, 3]."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIZE[1] // 10, SIZE[0] // 10, 3), dtype=np.uint8)
    return np.kron(noise, np.ones((10, 10, 1), np.uint8))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cameras]:
    """Eight photographs, one of them twice, one blurred, and one of something else."""
    folder = tmp_path_factory.mktemp("photographs")
    cameras = write_room(folder, 8)
    shutil.copy(folder / "0003.jpg", folder / "0008.jpg")
    (folder / "0005.jpg").rename(folder / "0005 à.jpg")
    write_image(folder / "0009.jpg", cv2.blur(room_picture(cameras, 4), (9, 9)))
    write_image(folder / "0010.jpg", other_picture(9))
    return folder, cameras


@pytest.fixture(scope="module")
def imported(room: tuple[Path, Cameras], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The scene folder of the photographs, and what was said."""
    pytest.importorskip("pycolmap")
    said: list[str] = []
    out = tmp_path_factory.mktemp("scenes") / "room"
    import_scene(room[0], out, CONFIG, progress=False, say=said.append)
    return out, said


def aligned(centres: np.ndarray, truth: np.ndarray) -> tuple[Similarity, np.ndarray]:
    """The similarity that brings points nearest to others; what remains [N], as part of their mean radius."""
    a, b = centres - centres.mean(axis=0), truth - truth.mean(axis=0)
    left, values, right = np.linalg.svd(b.T @ a)
    sign = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
    rotation = left @ sign @ right
    scale = float((values * np.diag(sign)).sum() / (a**2).sum())
    move = Similarity(scale, rotation, truth.mean(axis=0) - scale * rotation @ centres.mean(axis=0))
    radius = np.linalg.norm(b, axis=1).mean()
    return move, np.linalg.norm(move.apply(centres) - truth, axis=1) / radius


# Photographs


def test_photographs_get_their_cameras(room: tuple[Path, Cameras], imported: tuple[Path, list[str]]) -> None:
    out, said = imported
    scene = load_scene(out, hold_out=None, warn=silent)
    assert [view.name for view in scene.train] == NAMES
    assert sorted(path.name for path in out.iterdir()) == ["images", "import.json", "transforms.json"]
    move, error = aligned(scene.train.cameras.c2w[:, :, 3], room[1].c2w[:, :, 3])
    assert error.max() < 0.02
    moved = scene.train.cameras.moved(move)
    for index in range(8):
        turn = moved.c2w[index, :, :3].T @ room[1].c2w[index, :, :3]
        assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) < 1.0
    np.testing.assert_allclose(scene.train.cameras.intrinsics[:, 0], 225, rtol=0.05)
    assert move.rotation[:, 2] @ [0, 0, 1] > 0.99  # up is up
    assert "11 photographs, 9 used" in said
    left_out = next(line for line in said if line.startswith("left out 2: "))
    assert "0008 (the same as 0003)" in left_out
    assert "0009 (blurred (sharpness" in left_out
    assert any(re.match(r"8 of 9 pictures registered \(89%\), mean reprojection error 0\.\d\d pixels", s) for s in said)
    assert "without a camera: 0010" in said


def test_the_record_says_where_everything_came_from(
    room: tuple[Path, Cameras], imported: tuple[Path, list[str]]
) -> None:
    record = json.loads((imported[0] / "import.json").read_text())
    assert (record["program"], record["kind"], record["source"]) == ("ultrafield", "photographs", str(room[0]))
    assert [item["path"] for item in record["pictures"]] == [f"images/{name}.jpg" for name in NAMES]
    assert all(0 < item["error"] < 2 for item in record["pictures"])
    assert record["unplaced"] == ["0010"]
    assert (imported[0] / "images/0003.jpg").read_bytes() == (room[0] / "0003.jpg").read_bytes()


def test_a_video_and_straight_pictures(tmp_path: Path) -> None:
    pytest.importorskip("pycolmap")
    cameras = room_cameras(24, arc=60)
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 12.0, SIZE)
    for index in range(24):
        writer.write(room_picture(cameras, index)[..., ::-1])
    writer.release()
    config = ImportConfig(threads=2, frames=6, undistort=True, lens="SIMPLE_RADIAL", matching="sequential")
    assert import_scene(tmp_path / "v.avi", tmp_path / "out", config, progress=False, say=silent).kind == "video"
    scene = load_scene(tmp_path / "out", hold_out=None, warn=silent)
    assert len(scene.train) >= 5
    assert set(scene.train.cameras.lenses.tolist()) == {0}
    numbers = [int(view.name.removeprefix("frame_")) for view in scene.train]
    _, error = aligned(scene.train.cameras.c2w[:, :, 3], cameras.c2w[numbers, :, 3])
    assert error.max() < 0.05


# What cannot be used: one line, code 2, nothing left


def refused(source: Path, tmp_path: Path, message: str, *options: str) -> None:
    out = tmp_path / "out"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SceneError) as error:
        import_scene(source, out, CONFIG, progress=False, say=silent, warn=silent)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_photographs_that_do_not_overlap(tmp_path: Path) -> None:
    pytest.importorskip("pycolmap")
    for index in range(4):
        write_image(tmp_path / f"in/a picture {index}.jpg", other_picture(index))
    message = (
        f"{tmp_path}/in: cameras were found for 0 of 4 photographs, which do not overlap enough; for more: let neigh"
    )
    refused(tmp_path / "in", tmp_path, message)


def test_sources_that_are_none(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", tmp_path, f"{tmp_path}/nowhere: no such file or folder")
    (tmp_path / "empty").mkdir()
    refused(
        tmp_path / "empty", tmp_path, "empty: expected a folder of photographs, a video, or a model; found none of them"
    )
    (tmp_path / "notes.txt").touch()
    refused(tmp_path / "notes.txt", tmp_path, "notes.txt: expected the folder of a scene or its transforms.json")
    (tmp_path / "v.mp4").write_bytes(b"nothing")
    refused(tmp_path / "v.mp4", tmp_path, "v.mp4: not a readable video")


def test_settings_for_sources_of_another_kind(tmp_path: Path) -> None:
    write_image(tmp_path / "photos/0.png", other_picture(0))
    (tmp_path / "model").mkdir()
    EXPORTERS["llff"](tmp_path / "model")
    for place, config, images, message in (
        ("photos", ImportConfig(frames=5), None, "frames: is for videos, and"),
        ("model", ImportConfig(rate=2.0), None, "rate: is for videos, and"),
        ("photos", ImportConfig(), tmp_path, "images: is for models, and"),
    ):
        with pytest.raises(ConfigError, match=message):
            import_scene(tmp_path / place, tmp_path / "out", config, images=images, progress=False, say=silent)


def test_a_damaged_photograph(tmp_path: Path) -> None:
    write_room(tmp_path / "in", 3)
    file = tmp_path / "in/0001.jpg"
    file.write_bytes(file.read_bytes()[:5000])
    refused(tmp_path / "in", tmp_path, f"{file}: a damaged picture (image file is truncated")


def test_too_few_photographs(tmp_path: Path) -> None:
    write_room(tmp_path / "in", 2)
    refused(tmp_path / "in", tmp_path, "in: 2 photographs to use; at least 3 are needed")
    for index in range(3):
        shutil.copy(tmp_path / "in/0000.jpg", tmp_path / f"in/{index}.jpg")
    refused(tmp_path / "in", tmp_path, "in: 2 photographs to use (3 the same as others; --keep-all keeps them)")


@pytest.mark.parametrize("form", BOUNDED)
def test_bounded_scenes_need_no_import(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").mkdir()
    EXPORTERS[form](tmp_path / "in")
    refused(tmp_path / "in", tmp_path, f"in: {form} is read as it is; import has nothing to do: ultrafield run SCENE")


def test_a_model_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    EXPORTERS["colmap"](tmp_path / "in")
    shutil.rmtree(tmp_path / "in/images")
    refused(tmp_path / "in", tmp_path, "none of the 7 images listed in sparse/0/images.txt exists")


@pytest.mark.parametrize("place", ["sparse/0", "colmap/sparse", ""])
@pytest.mark.parametrize("lost", ["cameras", "images"])
def test_half_a_model_beside_pictures_is_refused(tmp_path: Path, lost: str, place: str) -> None:
    write_image(tmp_path / "images/0.png", other_picture(0))
    for stem in {"cameras", "images"} - {lost}:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / f"{stem}.bin").touch()
    with pytest.raises(SceneError, match=rf"holds \w+\.bin, but no {lost}\.bin or {lost}\.txt"):
        import_scene(tmp_path, tmp_path / "out", CONFIG, progress=False, say=silent)


def test_without_pycolmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_room(tmp_path / "in", 3)
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r'pycolmap is not installed; run: pip install "ultrafield\[sfm\]"'):
        import_scene(tmp_path / "in", tmp_path / "out", progress=False, say=silent)
    assert not (tmp_path / "out").exists()


# The folder that is written


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    EXPORTERS["llff"](tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(SceneError, match=re.escape(f"{out}: not a folder written by import; choose another, or")):
            import_scene(tmp_path / "in", out, overwrite=overwrite, progress=False, say=silent)
    (out / "mine.txt").unlink()
    import_scene(tmp_path / "in", out, progress=False, say=silent)
    with pytest.raises(
        SceneError, match=re.escape(f"{out}: folder exists and is not empty; choose another, or replace")
    ):
        import_scene(tmp_path / "in", out, progress=False, say=silent)
    import_scene(tmp_path / "in", out, overwrite=True, progress=False, say=silent)
    write_image(out / "images/mine.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SceneError, match=re.escape(f"{out}/images/mine.png: not a file that is written here")):
        import_scene(tmp_path / "in", out, overwrite=True, progress=False, say=silent)
    assert (out / "images/mine.png").is_file()
    with pytest.raises(SceneError, match=re.escape(f"{out}/images: lies in the folder that is to be written, {out}")):
        import_scene(out / "images", out, overwrite=True, progress=False, say=silent)


# Models


@pytest.mark.parametrize("form", [form for form in EXPORTERS if form not in BOUNDED])
@pytest.mark.parametrize("keep", [False, True])
def test_models_keep_their_rays(tmp_path: Path, form: str, keep: bool) -> None:
    (tmp_path / "in").mkdir()
    EXPORTERS[form](tmp_path / "in")
    before = load_scene(tmp_path / "in", hold_out=None, warn=silent)
    config = ImportConfig(keep_frame=keep)
    import_scene(tmp_path / "in", tmp_path / "out", config, progress=False, say=silent, warn=silent)
    after = load_scene(tmp_path / "out", hold_out=None, warn=silent)
    order = np.argsort([view.name for view in before.train])
    cameras = before.train.cameras[order]
    move = Similarity() if keep else aligned(cameras.c2w[:, :, 3], after.train.cameras.c2w[:, :, 3])[0]
    np.testing.assert_allclose(after.train.cameras.c2w, cameras.moved(move).c2w, atol=1e-9)
    if not keep:
        np.testing.assert_allclose(np.linalg.norm(after.train.cameras.c2w[:, :, 3], axis=1).mean(), 1, rtol=1e-3)
    for index in range(len(cameras)):
        np.testing.assert_allclose(
            pixel_directions(after.train.cameras, index), pixel_directions(cameras, index), atol=1e-9
        )
        view = before.train.views[order[index]]
        np.testing.assert_array_equal(after.train.views[index].image, view.image)


def test_straight_pictures_of_a_model_with_masks(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    EXPORTERS["nerfstudio"](root)
    content = json.loads((root / "transforms.json").read_text())
    for frame in content["frames"]:
        frame["mask_path"] = frame["file_path"].replace("images", "masks")
        white = np.full((48, 64), 255, np.uint8)
        white[:24] = 0
        write_image(root / frame["mask_path"], white)
    (root / "transforms.json").write_text(json.dumps(content | {"aabb_scale": 2}))
    import_scene(root, tmp_path / "out", ImportConfig(undistort=True), progress=False, say=silent, warn=silent)
    scene = load_scene(tmp_path / "out", hold_out=None, warn=silent)
    assert set(scene.train.cameras.lenses.tolist()) == {0}
    assert scene.half_extent == load_scene(root, hold_out=None, warn=silent).half_extent
    for view, camera in zip(scene.train, scene.train.cameras, strict=True):
        rows = pixel_directions(camera, 0)[..., 1]
        np.testing.assert_array_equal(view.valid[np.abs(rows) > 0.05], (rows > 0)[np.abs(rows) > 0.05])
    assert len(poses()) == len(scene.train)


# The process that maps


def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pycolmap")
    job = Job(str(tmp_path), str(tmp_path), [Group(["a.png"], [], (64, 48), "NO_LENS", 50.0, False)], "auto", 1, 0)
    message = r"the process that places cameras has ended with code 1: ValueError: .*Check failed: Exists"
    with child_process() as child, pytest.raises(BackendError, match=message):
        map_pictures(job, child, progress=False, say=silent)


def test_the_process_ends_with_the_block(tmp_path: Path) -> None:
    with child_process() as child:
        process = child.start([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    assert process.poll() is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_an_import_that_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    pytest.importorskip("pycolmap")
    write_room(tmp_path / "in", 12)
    command = [sys.executable, "-m", "ultrafield", "import", str(tmp_path / "in"), str(tmp_path / "out")]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    log = wait_for(lambda: next(tmp_path.glob(".out.*.tmp/.work/database.db"), None), program)
    worker = int(
        subprocess.run(
            ["pgrep", "-f", f"worker {log.parent}"], capture_output=True, text=True, check=True
        ).stdout.split()[0]
    )
    program.send_signal(number)
    error = program.communicate(timeout=30)[1]
    wait_for(lambda: not Path(f"/proc/{worker}").exists() or "Z" in status(worker), None)
    if number == signal.SIGINT:
        assert program.returncode == 130
        assert error.splitlines()[-1] == "ultrafield: interrupted; nothing was written"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    else:  # what is left is swept by the next import
        (tmp_path / "model").mkdir()
        EXPORTERS["llff"](tmp_path / "model")
        import_scene(tmp_path / "model", tmp_path / "out", progress=False, say=silent)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "model", "out"]


def status(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]


def wait_for(condition, program: subprocess.Popen | None):
    for _ in range(600):
        found = condition()
        if found:
            return found
        assert program is None or program.poll() is None, program.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing happened")


# The command


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    EXPORTERS["metashape"](tmp_path / "in")
    out = tmp_path / "out"
    assert cli.main(["import", str(tmp_path / "in"), str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}: ready; next: ultrafield run {out} --out RUN\n"
    assert "7 pictures with their cameras (metashape)" in told.err
    assert cli.main(["import", str(tmp_path / "in"), str(out)]) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith(f"ultrafield: error: {out}: folder exists and is not empty")
    )
    assert cli.main(["import", str(tmp_path / "in"), str(out), "--overwrite", "--rate", "2", "--frames", "9"]) == 2
    assert "--rate: expected a number of frames or a rate, got both" in capsys.readouterr().err
    assert os.listdir(tmp_path) != []
