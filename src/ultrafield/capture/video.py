"""Frames of a video: sharp ones, with as much motion from one to the next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import pixel_fault
from ..errors import SceneError
from ..io import write_image
from ..progress import progress_bar
from .settings import ImportConfig
from .sharpness import sharpness

_LOOKED_AT = 12.0  # frames per second that are looked at
_SMALL = 320  # longer edge of the frames in which motion is measured, pixels
_JUDGED = 640  # longer edge of those whose sharpness is compared
_ANCHOR = 2.0 / _SMALL  # of the width: less motion may be noise
_CORNERS = 200
_FEWEST_CORNERS = 8
_JUMP = 0.1  # of the width: motion that is taken where pictures cannot be followed
_STEP = 0.06  # of the width: motion from one chosen frame to the next
_FEWEST, _MOST = 24, 150  # frames that are chosen without being asked for a number
_MOVING = 0.7  # part of the corners that move by less than what counts as the picture's motion
_LEAST_MOTION = 0.06  # of the width, in the whole video
_QUALITY = 97


@dataclass(frozen=True, eq=False)
class Seen:
    """The frames of a video that were looked at.

    Attributes:
        numbers: Their numbers in the video [F].
        seconds: Their times [F].
        sharpness: How sharp they are [F].
        travelled: Motion from the first frame up to each [F], in widths of the picture.
    """

    numbers: np.ndarray
    seconds: np.ndarray
    sharpness: np.ndarray
    travelled: np.ndarray


def extract_frames(video: Path, folder: Path, config: ImportConfig, *, progress: bool) -> list[Path]:
    """Choose frames of a video and write them as `frame_NUMBER.jpg`.

    Args:
        video: The video.
        folder: Where to write them.
        config: How many are wanted.
        progress: Whether to show progress bars (on a terminal only).

    Returns:
        The files, in order.

    Raises:
        SceneError: No video, one without motion, or one with too few frames.
    """
    seen = watch(video, progress=progress)
    if len(seen.numbers) < 3:
        raise SceneError(f"{video}: holds {len(seen.numbers)} frames; at least 3 are needed")
    if seen.travelled[-1] < _LEAST_MOTION:
        raise SceneError(
            f"{video}: shows no motion (its pictures move by {seen.travelled[-1]:.1%} of their width in all); walk "
            "around what you film"
        )
    numbers = choose(seen, config)
    if len(numbers) < 3:
        raise SceneError(f"{video}: only {len(numbers)} frames were asked for; at least 3 are needed")
    return _write(video, folder, numbers, progress=progress)


def choose(seen: Seen, config: ImportConfig) -> list[int]:
    """Numbers of the sharpest frames of equal stretches: of motion, or of time if a rate is asked for."""
    if config.rate is not None:
        places = seen.seconds - seen.seconds[0]
        count = max(1, round(config.rate * float(places[-1])))
    else:
        places = seen.travelled
        wanted = config.frames or int(np.clip(places[-1] / _STEP, _FEWEST, _MOST))
        count = min(wanted, len(places))
    stretches = np.minimum((places / max(places[-1], 1e-9) * count).astype(int), count - 1)
    chosen = []
    for stretch in range(count):
        members = np.flatnonzero(stretches == stretch)
        if len(members):
            chosen.append(int(seen.numbers[members[seen.sharpness[members].argmax()]]))
    return chosen


def watch(video: Path, *, progress: bool) -> Seen:
    """Look at a video: about twelve of its frames per second."""
    rows: list[tuple[int, float, float, float]] = []
    anchor: np.ndarray | None = None
    travelled = 0.0
    with _opened(video) as (capture, fps, total), progress_bar("Watching the video", total, show=progress) as advance:
        step = max(1, round(fps / _LOOKED_AT))
        for number, frame in _frames(capture, lambda number: number % step == 0):
            grey = _grey(frame)
            small = _reduced(grey, _SMALL)
            if anchor is None:
                anchor = small
            moved = _motion(anchor, small)
            if moved > _ANCHOR:
                travelled, anchor = travelled + moved, small
            rows.append((number, number / fps, sharpness(_reduced(grey, _JUDGED).astype(np.float32)), travelled))
            advance(number)
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Seen(table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3])


def _motion(before: np.ndarray, after: np.ndarray) -> float:
    """Motion of corners from one picture to another that most of them stay below, in widths.

    Around an object that stays in the middle, half of the picture hardly moves.
    """
    import cv2

    corners = cv2.goodFeaturesToTrack(before, _CORNERS, 0.01, 8)
    if corners is None or len(corners) < _FEWEST_CORNERS:
        return 0.0
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, np.empty_like(corners))
    kept = np.asarray(found).ravel() == 1
    if kept.sum() < _FEWEST_CORNERS:
        return _JUMP
    shifts = (np.asarray(moved) - np.asarray(corners))[kept].reshape(-1, 2)
    return float(np.quantile(np.linalg.norm(shifts, axis=1), _MOVING)) / max(before.shape)


def _write(video: Path, folder: Path, numbers: list[int], *, progress: bool) -> list[Path]:
    wanted, files = set(numbers), []
    with _opened(video) as (capture, _, _), progress_bar("Writing frames", len(numbers), show=progress) as advance:
        for number, frame in _frames(capture, wanted.__contains__):
            file = folder / f"frame_{number:06d}.jpg"
            write_image(file, np.ascontiguousarray(frame[..., ::-1]), quality=_QUALITY)
            files.append(file)
            advance(len(files))
            if len(files) == len(numbers):
                break
    return files


@contextmanager
def _opened(video: Path) -> Iterator[tuple[Any, float, int]]:
    """A video with its frames per second and the number of frames that it announces."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what cannot be read, we say ourselves
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(str(video))
    try:
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if not capture.isOpened() or width < 1 or height < 1:
            raise SceneError(f"{video}: not a readable video")
        fault = pixel_fault(width, height)
        if fault is not None:
            raise SceneError(f"{video}: {fault}")
        fps, total = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        yield capture, fps if 1 <= fps <= 1000 else 30.0, int(total) if 0 < total < 1e9 else 0
    finally:
        capture.release()


def _frames(capture: Any, wanted: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Numbers and pictures (BGR) of the frames that are wanted; others are only passed over."""
    number = 0
    while capture.grab():
        if wanted(number):
            done, frame = capture.retrieve()
            if done and frame is not None:
                yield number, frame
        number += 1


def _grey(frame: np.ndarray) -> np.ndarray:
    import cv2

    return frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)


def _reduced(grey: np.ndarray, longest: int) -> np.ndarray:
    import cv2

    factor = longest / max(grey.shape)
    if factor >= 1:
        return grey
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
