"""Frames of videos: sharp, and evenly spaced in motion or time."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from room_photographs import room_cameras, room_picture

from ultrafield.capture.settings import ImportConfig
from ultrafield.capture.video import Seen, choose, extract_frames, watch
from ultrafield.errors import ConfigError, SceneError
from ultrafield.scene.images import read_picture

os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # OpenCV looks once, when the first video of the process is written


def write_video(file: Path, frames: list[np.ndarray], fps: float = 12.0) -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()
    return file


@pytest.fixture(scope="module")
def wall() -> np.ndarray:
    """A large picture [240, 640, 3] to move across."""
    return room_picture(room_cameras(3, size=(640, 240), focal=600.0), 1)


def pan(wall: np.ndarray, shifts: list[int]) -> list[np.ndarray]:
    return [np.ascontiguousarray(wall[:, shift : shift + 320]) for shift in shifts]


def test_motion_is_measured_in_widths(tmp_path: Path, wall: np.ndarray) -> None:
    seen = watch(write_video(tmp_path / "v.avi", pan(wall, list(range(0, 320, 8)))), progress=False)
    assert seen.numbers.tolist() == list(range(40))
    assert seen.travelled[-1] == pytest.approx(312 / 320, rel=0.05)
    assert (np.diff(seen.travelled) >= 0).all()
    np.testing.assert_allclose(seen.seconds, np.arange(40) / 12)


def test_chosen_frames_are_sharp_and_written(tmp_path: Path, wall: np.ndarray) -> None:
    frames = pan(wall, list(range(0, 320, 8)))
    for index in range(0, 40, 2):
        frames[index] = cv2.GaussianBlur(frames[index], (15, 15), 4)
    video = write_video(tmp_path / "v.avi", frames)
    files = extract_frames(video, tmp_path / "frames", ImportConfig(frames=8), progress=False)
    numbers = [int(file.stem.removeprefix("frame_")) for file in files]
    assert len(files) == 8
    assert all(number % 2 for number in numbers)
    for file, number in zip(files, numbers, strict=True):
        assert np.abs(read_picture(file).astype(float) - frames[number]).mean() < 12


def test_a_rate_spaces_frames_in_time() -> None:
    seen = Seen(np.arange(60), np.arange(60) / 12, np.full(60, 0.7), np.minimum(np.arange(60), 10) * 0.1)
    assert choose(seen, ImportConfig(rate=2.0)) == list(range(0, 60, 6))[:10]
    by_motion = choose(seen, ImportConfig(frames=5))
    assert len(by_motion) == 5
    assert max(by_motion) <= 10  # nothing moves after that
    assert len(choose(seen, ImportConfig())) == 11  # no more than there are stretches with a frame


def test_a_video_without_motion(tmp_path: Path, wall: np.ndarray) -> None:
    video = write_video(tmp_path / "still.avi", pan(wall, [3] * 20))
    with pytest.raises(SceneError, match=r"still\.avi: shows no motion \(its pictures move by 0\.0% of their width in"):
        extract_frames(video, tmp_path / "frames", ImportConfig(), progress=False)
    blank = write_video(tmp_path / "blank.avi", [np.full((240, 320, 3), 40, np.uint8)] * 20)
    with pytest.raises(SceneError, match=r"blank\.avi: shows no motion"):
        extract_frames(blank, tmp_path / "frames", ImportConfig(), progress=False)


@pytest.mark.parametrize("content", [b"", b"RIFF" + bytes(500), b"\0\0\0\x18ftypmp42" + bytes(100)])
def test_files_that_are_no_videos(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(SceneError, match=r"v\.mp4: not a readable video"):
        extract_frames(tmp_path / "v.mp4", tmp_path / "frames", ImportConfig(), progress=False)
    assert capfd.readouterr().err == ""


def test_too_few_frames(tmp_path: Path, wall: np.ndarray) -> None:
    video = write_video(tmp_path / "v.avi", pan(wall, [0, 200]))
    with pytest.raises(SceneError, match=r"v\.avi: holds 2 frames; at least 3 are needed"):
        extract_frames(video, tmp_path / "frames", ImportConfig(), progress=False)
    video = write_video(tmp_path / "v.avi", pan(wall, list(range(0, 320, 8))))
    with pytest.raises(SceneError, match=r"v\.avi: only \d frames were asked for; at least 3 are needed"):
        extract_frames(video, tmp_path / "frames", ImportConfig(rate=0.5), progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 2}, "frames: expected None, or a whole number from 3 to 10000, got 2"),
        ({"rate": 0.0}, "rate: expected None, or a number more than 0 and at most 240, got 0.0"),
        ({"frames": 10, "rate": 2.0}, "rate: expected a number of frames or a rate, got both"),
        ({"lens": "ROUND"}, "lens: expected one of auto, PINHOLE, SIMPLE_RADIAL"),
        ({"feature_size": 10}, "feature_size: expected a whole number from 256 to 8192, got 10"),
    ],
)
def test_settings_are_checked(options: dict, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ImportConfig(**options)
    assert str(error.value).startswith(message)
