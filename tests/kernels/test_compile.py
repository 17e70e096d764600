"""Kernels run whatever happens to numba's cache, and say once if nothing is kept."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
import pytest

import ultrafield
from ultrafield.kernels import compile as compilation

KERNELS = """
from ultrafield.kernels.compile import compiled


@compiled()
def double(value):
    return 2 * value


@compiled(inline="always")
def next_one(value):
    return value + 1


@compiled()
def next_double(value):
    return double(next_one(value))
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], object]]:
    """A function that imports the kernels as a new process would."""
    (tmp_path / "kernels.py").write_text(KERNELS)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))

    def imported() -> object:
        spec = importlib.util.spec_from_file_location("kernels", tmp_path / "kernels.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    compilation._say.cache_clear()
    yield imported
    compilation._say.cache_clear()


def hits(kernel) -> int:
    return sum(kernel.stats.cache_hits.values())


def cached(folder: Path, ending: str) -> list[Path]:
    return sorted((folder / "__pycache__").glob(f"*double*{ending}"))


def check_compiled(load, capsys) -> None:
    kernel = load().next_double
    assert kernel(3) == 8
    assert kernel.nopython_signatures
    assert hits(kernel) == 0
    assert capsys.readouterr().err == ""


def test_the_second_process_loads_what_the_first_compiled(load, capsys):
    check_compiled(load, capsys)
    kernel = load().next_double
    assert kernel(3) == 8
    assert hits(kernel) == 1


def test_without_a_place_each_process_compiles_and_says_so_once(load, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "__pycache__").write_text("")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    kernel = load().next_double
    assert kernel(3) == 8
    assert kernel.nopython_signatures
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no locator available" in said
    assert "NUMBA_CACHE_DIR" in said


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x05\x95", b"garbage", None], ids=["empty", "cut", "garbage", "folder"])
def test_a_damaged_cache_is_made_again(load, tmp_path, capsys, ending, content):
    check_compiled(load, capsys)
    for file in cached(tmp_path, ending):
        file.unlink()
        file.mkdir() if content is None else file.write_bytes(content)
    kernel = load().next_double
    assert kernel(3) == 8
    assert hits(kernel) == 0
    said = capsys.readouterr().err
    if content is None:  # a folder cannot be replaced by a file
        assert said.count("\n") == 1
        assert "NUMBA_CACHE_DIR" in said
    else:
        kernel = load().next_double
        assert said == ""
        assert kernel(3) == 8
        assert hits(kernel) == 1


def test_code_of_another_signature_is_not_taken(load, tmp_path, capsys):
    """What two processes leave that compiled for different types at once."""
    kernels = load()
    kernels.double(3), kernels.double(3.5)
    first, second = sorted((tmp_path / "__pycache__").glob("kernels.double*.nbc"))
    shutil.copy(first, second)
    kernels = load()
    assert kernels.double(3.5) == 7.0
    assert kernels.double(3) == 6
    assert hits(kernels.double) == 1


def test_a_folder_that_vanishes_after_the_import(load, tmp_path, capsys):
    kernels = load()
    shutil.rmtree(tmp_path / "__pycache__")
    (tmp_path / "__pycache__").write_text("")
    assert kernels.double(3) == 6
    assert kernels.next_double(3) == 8
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path / "__pycache__") in said
    assert "NUMBA_CACHE_DIR" in said


def test_a_full_disk(load, tmp_path, capsys):
    resource = pytest.importorskip("resource", reason="needs limits of file sizes")
    kernels = load()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert kernels.next_double(3) == 8
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "NUMBA_CACHE_DIR" in said
    assert not list((tmp_path / "__pycache__").glob("*.tmp.*"))
    assert load().next_double(3) == 8


def test_every_kernel_is_compiled_here():
    source = Path(ultrafield.__file__).parent
    users = [file for file in source.rglob("*.py") if re.search(r"\bnjit\b|import numba|vectorize", file.read_text())]
    assert users == [source / "kernels" / "compile.py"]


def test_what_is_stored_can_be_loaded_ahead_of_the_first_call(load: Callable[[], object]) -> None:
    assert compilation.load_stored(load()) == 0
    assert load().next_double(3) == 8
    module = load()
    assert compilation.load_stored(module) == 2  # `next_double`, and `double` that it calls
    assert (hits(module.next_double), len(module.next_double.overloads)) == (1, 1)
    assert module.next_double(3) == 8
    assert hits(module.next_double) == 1
    for file in Path(module.next_double._cache.cache_path).glob("*.nbi"):
        file.write_bytes(b"damaged")
    assert compilation.load_stored(load()) == 0
