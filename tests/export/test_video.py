"""Films: read back by ffmpeg itself, and what is left when they fail."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ultrafield.errors import BackendError
from ultrafield.export.video import Film, find_ffmpeg, is_film

pytest.importorskip("imageio_ffmpeg", reason="needs the extra video")
SIZE = (48, 32)


def decoded(file: Path, *options: str, channels: int = 3) -> np.ndarray:
    """The pictures of a film [F, H, W, C]."""
    kind = "rgb24" if channels == 3 else "rgba"
    command = [find_ffmpeg(), "-v", "error", *options, "-i", str(file), "-f", "rawvideo", "-pix_fmt", kind, "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, SIZE[1], SIZE[0], channels)


def pictures(channels: int) -> list[np.ndarray]:
    """Five plain colours with a disc, whose surroundings may be transparent."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    disc = (rows - 16) ** 2 + (columns - 24) ** 2 < 100
    shown = []
    for index in range(5):
        picture = np.zeros((SIZE[1], SIZE[0], channels), np.uint8)
        picture[..., :3] = np.where(disc[..., None], [200, 40 * index, 30], [20, 90, 200])
        picture[..., 3:] = np.where(disc, 255, 0)[..., None]
        shown.append(picture)
    return shown


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_a_film_has_the_pictures_and_their_colours(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"film{ending}"
    with Film(file, SIZE, 10) as film:
        for picture in pictures(3):
            film.add(picture)
        assert not file.exists()
    found = decoded(file)
    assert len(found) == 5
    for seen, picture in zip(found, pictures(3), strict=True):
        assert np.abs(seen.astype(int) - picture).mean() < 6
    assert is_film(file)
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]
    told = subprocess.run([find_ffmpeg(), "-i", str(file)], capture_output=True, text=True).stderr
    assert ("h264" if ending == ".mp4" else "vp9") in told
    assert "10 fps" in told
    assert "bt709" in told


def test_a_film_may_be_transparent(tmp_path: Path) -> None:
    with Film(tmp_path / "film.webm", SIZE, 10, alpha=True) as film:
        for picture in pictures(4):
            film.add(picture)
    found = decoded(tmp_path / "film.webm", "-c:v", "libvpx-vp9", channels=4)
    for seen, picture in zip(found, pictures(4), strict=True):
        assert np.abs(seen[..., 3].astype(int) - picture[..., 3]).mean() < 8
        assert np.abs(seen[16, 24, :3].astype(int) - picture[16, 24, :3]).max() < 30


def test_a_failure_leaves_the_film_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "film.mp4"
    file.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), Film(file, SIZE, 10) as film:  # noqa: PT012
        film.add(pictures(3)[0])
        raise ZeroDivisionError
    assert file.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.mp4"]


def script(folder: Path, text: str) -> str:
    """A program in place of ffmpeg."""
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts")
@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("echo \"Unknown encoder 'libx264'\" >&2; exit 1", BackendError, "this ffmpeg cannot write .mp4"),
        ("cat > /dev/null; echo broken >&2; exit 1", BackendError, "film.mp4: ffmpeg failed (broken)"),
        ("exit 1", BackendError, "ffmpeg failed (it did not say why)"),
        ("cat > /dev/null; echo 'av_interleaved: No space left on device' >&2; exit 1", OSError, "No space left"),
    ],
)
def test_what_ffmpeg_says_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, kind: type[Exception], expected: str
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", script(tmp_path, text))
    large = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    with pytest.raises(kind) as failure, Film(tmp_path / "film.mp4", SIZE, 10) as film:  # noqa: PT012
        for _ in range(200):  # more than a pipe holds
            film.add(large)
    assert expected in str(failure.value)
    if kind is OSError:
        assert isinstance(failure.value, OSError)
        assert (failure.value.errno, failure.value.filename) == (errno.ENOSPC, str(tmp_path / "film.mp4"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["program"]


def test_a_program_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nothing"))
    with pytest.raises(BackendError, match="nothing: cannot be started"), Film(tmp_path / "film.mp4", SIZE, 10):
        pass
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", _none)
    with pytest.raises(BackendError, match="imageio_ffmpeg: No ffmpeg exe"):
        find_ffmpeg()


def _none() -> str:
    raise RuntimeError("No ffmpeg exe could be found.")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_film_leaves_nothing(tmp_path: Path) -> None:
    """A signal ends ffmpeg too, and removes what it wrote."""
    program = f"""
import os, signal, numpy as np
from pathlib import Path
from ultrafield.interruption import watch
from ultrafield.export.video import Film
watch("test")
with Film(Path({str(tmp_path / "film.mp4")!r}), (48, 32), 10) as film:
    for _ in range(200):
        film.add(np.zeros((32, 48, 3), np.uint8))
    print(film._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 143, done.stderr
    deadline = time.monotonic() + 10
    while _lives(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(int(done.stdout))
    assert not list(tmp_path.iterdir())


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_other_files_are_no_films(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "other.mp4").write_bytes(b"ftyp" * 99)
    assert not any(is_film(tmp_path / name) for name in ("empty.mp4", "other.mp4", "missing.mp4"))
