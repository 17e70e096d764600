"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from quick_interpreter import make_quick

pytest_plugins = [
    *(
        "headless",
        "memory_limits",
        "poison",
        "shared_work",
        "tiny_clip",
        "tiny_runs",
        "tiny_sam",
        "toy_scene",
        "toy_server",
    ),  # in tests/support
]

if find_spec("triton") is not None and not torch.cuda.is_available():
    # Triton reads these when a kernel is defined: without a GPU, its interpreter runs them.
    os.environ.setdefault("TRITON_INTERPRET", "1")
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # Triton's default, which it warns of when it is not said
    make_quick()

settings.register_profile("suite", deadline=None)  # a machine that has other things to do is no fault
settings.load_profile("suite")

# Two processes begin with one half each. The first half holds what most kernels are compiled for, in a fresh clone, and
# the second begins with what needs few of them, so that both do not compile the same ones at the same time; what starts
# processes of its own comes later, when kernels are on disk.
FIRST_HALF = (
    *("commands", "pipeline", "published", "viewer", "training", "field", "ultrametric", "lift", "labels", "surface"),
    *("quality", "metrics", "export", "cameras", "words"),
)
SECOND_HALF = (
    *("capture", "scene", "masks", "synth", "serve", "models", "sharing"),
    *("batch", "faults", "test_benchmarks.py", "docs"),
)
DATA = Path(os.environ.get("ULTRAFIELD_DATA", Path(__file__).parents[2] / "shared" / "data"))


def _data(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the scene {name!r}; set ULTRAFIELD_DATA to the folder that holds it")
    return folder


@pytest.fixture
def kernel_device() -> str:
    """Where Triton kernels are tested: on the GPU, or in Triton's interpreter."""
    pytest.importorskip("triton", reason="needs Triton")
    return "cuda" if torch.cuda.is_available() else "cpu"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests; mark what runs on the GPU, where there is one, and skip what needs one elsewhere."""
    order = {name: place for place, name in enumerate((*FIRST_HALF, *SECOND_HALF))}
    items.sort(key=lambda item: order.get(item.path.relative_to(Path(__file__).parent).parts[0], len(order)))
    for item in items:
        if torch.cuda.is_available():
            if "kernel_device" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.gpu)
        elif item.get_closest_marker("gpu") is not None:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def pickplace() -> Path:
    """A Blender-HS scene with exact ground truth (read only)."""
    return _data("pickplace")


@pytest.fixture(scope="session")
def fox() -> Path:
    """A real capture with lens distortion and missing pictures (read only)."""
    return _data("fox")


@pytest.fixture(scope="session")
def glb() -> Path:
    """Textured models from a public package (read only)."""
    return _data("glb")
