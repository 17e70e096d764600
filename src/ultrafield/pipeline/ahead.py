"""Work begun early: on the scene while PyTorch is imported, on what later stages need while fields are trained."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Thread

from ..devices import wake_driver
from ..errors import UltrafieldError
from ..scene import scene_root
from ..scene.apart import Request, begin_reading
from ..scene.options import SceneOptions

_ROOT = Path(__file__).parents[1]
# Whose modules and kernels rendering, segmentation, metrics and report use.
_PACKAGES = ("masks", "ultrametric", "surface", "lift", "labels", "quality", "metrics", "export")
_LIBRARIES = ("scipy.spatial", "cv2")


def begin_early(scene: Path, data: SceneOptions, *, device: str, memory: float | None) -> None:
    """Start CUDA's driver and the reading of a scene, if this process is still to import PyTorch for a CUDA device.

    On the CPU, seconds are not lost by imports but by training.

    Args:
        scene: The scene folder; one that is not found is left to those who need it.
        data: How it is read.
        device: Where to compute.
        memory: GiB that may be taken; None for the usual.
    """
    if device == "cpu" or "torch" in sys.modules or not wake_driver():
        return
    with suppress(UltrafieldError, OSError, ValueError):
        begin_reading(Request(scene_root(scene, data.layout), data.arguments(), memory))


@contextmanager
def loading_ahead() -> Iterator[Callable[[], None]]:
    """Let a block say when there is time to load modules and compiled kernels; the end of the block waits for them.

    Yields:
        A function that begins it, in a thread, and returns at once; further calls do nothing.
    """
    threads: list[Thread] = []

    def begin() -> None:
        if not threads:
            threads.append(Thread(target=load_ahead, daemon=True, name="ahead"))
            threads[0].start()

    yield begin
    for thread in threads:
        thread.join()


def import_stages() -> None:
    """Import what the stages after the training need, as far as it can be."""
    for name in (*_LIBRARIES, *(f"ultrafield.{package}" for package in _PACKAGES)):
        with suppress(Exception):
            import_module(name)
    with suppress(Exception):
        from PIL import Image

        Image.init()  # imports all of its formats, which saving does


@cache
def load_ahead() -> None:
    """Import modules and load kernels once; what cannot be loaded is left to those who need it, and to their errors."""
    from ..kernels.compile import load_stored

    import_stages()
    for name in _kernels():
        with suppress(Exception):
            load_stored(import_module(name))


def _kernels() -> Iterator[str]:
    """Modules of the kernels for the CPU; those for CUDA are loaded by a device that is at work meanwhile."""
    for package in _PACKAGES:
        for file in sorted((_ROOT / package / "kernels").glob("*_cpu.py")):
            yield f"ultrafield.{package}.kernels.{file.stem}"
