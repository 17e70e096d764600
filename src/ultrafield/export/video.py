"""Films: pictures handed to ffmpeg one by one. A film appears whole or not at all.

ffmpeg comes with the package imageio-ffmpeg and runs as a program of its own: its licence (GPL, for the H.264 encoder)
does not reach what starts it. IMAGEIO_FFMPEG_EXE names another one.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import BackendError, first_line, reason_of, shortened
from ..extras import require
from ..interruption import cleaned_up
from ..removal import temporary_name

EXTRA = "video"
ENDINGS = (".mp4", ".webm")
_MARK = "made by ultrafield render"
_COLORS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")
_H264 = ("-c:v", "libx264", "-preset", "medium", "-crf", "17", "-movflags", "+faststart", "-f", "mp4")
_VP9 = ("-c:v", "libvpx-vp9", "-crf", "22", "-b:v", "0", "-cpu-used", "4", "-auto-alt-ref", "0", "-f", "webm")


def is_film(file: Path) -> bool:
    """Whether a file is a film that was written here, or a picture of one."""
    if not file.is_file():  # a FIFO would be waited for
        return False
    with suppress(OSError, ValueError), ExitStack() as opened:  # ValueError: an empty file
        stream = opened.enter_context(open(file, "rb"))
        content = opened.enter_context(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        return content.find(_MARK.encode()) >= 0
    return False


def film_picture(picture: np.ndarray) -> bytes:
    """A picture of a film as a PNG file, [H, W, 3 or 4] uint8, which says where it comes from."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    said, file = PngInfo(), io.BytesIO()
    said.add_text("Comment", _MARK)
    Image.fromarray(picture).save(file, "png", pnginfo=said, compress_level=1)
    return file.getvalue()


class Film:
    """A film under way; use it as a context, in which every picture is added.

    Args:
        path: File to write, `.mp4` (H.264) or `.webm` (VP9, whose pictures may be transparent).
        size: Width and height of the pictures, even numbers.
        fps: Pictures per second.
        alpha: Whether they are [H, W, 4], of a .webm; otherwise [H, W, 3].

    Raises:
        BackendError: The extra `video` is not installed, or its ffmpeg lacks an encoder.
        OSError: The disk is full.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float, *, alpha: bool = False) -> None:
        self.path, self._temporary = path, temporary_name(path)
        self._shape = (size[1], size[0], 4 if alpha else 3)
        self._command = [find_ffmpeg(), *_arguments(path.suffix.lower(), size, fps, alpha), str(self._temporary)]
        self._open = ExitStack()
        self._said: IO[bytes]
        self._process: Any

    def __enter__(self) -> Film:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._said = self._open.enter_context(tempfile.TemporaryFile())
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is answered here
            )
        except OSError as failure:
            self._open.close()
            raise BackendError(f"{self._command[0]}: cannot be started ({reason_of(failure)})") from None
        self._open.enter_context(cleaned_up(self._drop))
        return self

    def add(self, picture: np.ndarray) -> None:
        """Append a picture of the film's size, uint8."""
        assert picture.shape == self._shape
        try:
            self._process.stdin.write(np.ascontiguousarray(picture).data)
        except OSError:  # ffmpeg has ended
            self._process.wait()
            raise self._failure() from None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._open:
            try:
                if kind is None:
                    self._finish()
            finally:
                self._drop()

    def _finish(self) -> None:
        with suppress(OSError):  # told by how it ends
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._failure()
        with open(self._temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(self._temporary, self.path)

    def _drop(self) -> None:
        """End ffmpeg, if it is still at work, and remove what it wrote, unless that has its name."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with suppress(OSError):
            self._process.stdin.close()
        self._temporary.unlink(missing_ok=True)

    def _failure(self) -> Exception:
        """What ffmpeg said before it gave up."""
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read(1 << 16).decode(errors="replace").splitlines()]
        text = next((line for line in lines if line), "it did not say why")
        if any("No space left" in line for line in lines):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        if "Unknown encoder" in text:
            return BackendError(
                f"{self._command[0]}: this ffmpeg cannot write {self.path.suffix} ({text}); that of imageio-ffmpeg "
                "can: unset IMAGEIO_FFMPEG_EXE"
            )
        return BackendError(f"{self.path}: ffmpeg failed ({shortened(text, 200)})")


def find_ffmpeg() -> str:
    """The program.

    Raises:
        BackendError: The extra `video` is not installed, or there is no program.
    """
    package: Any = require("imageio_ffmpeg", EXTRA)
    try:
        return str(package.get_ffmpeg_exe())
    except RuntimeError as failure:
        raise BackendError(f"imageio_ffmpeg: {first_line(failure)}") from None


def _arguments(ending: str, size: tuple[int, int], fps: float, alpha: bool) -> list[str]:
    """What ffmpeg is told, but for the file."""
    given = ["-f", "rawvideo", "-pix_fmt", "rgba" if alpha else "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{fps:g}"]
    kept = "yuva420p" if alpha else "yuv420p"
    colors = ["-vf", f"scale=out_color_matrix=bt709:out_range=tv,format={kept}", *_COLORS]
    kind = _H264 if ending == ".mp4" else _VP9
    return ["-v", "error", "-nostdin", "-y", *given, "-i", "-", *colors, "-metadata", f"comment={_MARK}", *kind]
