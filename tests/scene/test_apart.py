"""A scene that another process reads is the scene; what goes wrong there is left to the process that asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ultrafield.errors import SceneError
from ultrafield.pipeline import ahead
from ultrafield.scene import apart, load_scene
from ultrafield.scene.apart import Request, begin_reading, read_begun
from ultrafield.scene.options import SceneOptions

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    while apart._begun:
        apart._begun.pop().close()


def assert_same(one: Any, other: Any) -> None:
    """Compare all that two values hold, arrays element by element."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
        assert one.flags.writeable == other.flags.writeable
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif hasattr(one, "__dict__"):
        assert_same(vars(one), vars(other))
    else:
        assert one == other


def test_a_scene_read_apart_is_the_same_with_its_warnings(
    make_blender: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_blender(splits={"train": 4, "val": 2})
    (root / "train" / "r_2.png").unlink()  # of which the reader warns
    arguments = SceneOptions().arguments()
    expected = load_scene(root, **arguments)
    warned = capsys.readouterr().err
    assert "warning" in warned
    begin_reading(Request(root, arguments))
    scene = read_begun(root, arguments)
    assert capsys.readouterr().err == warned
    assert scene is not None
    assert_same(expected, scene)
    assert read_begun(root, arguments) is None  # it is asked for once


def test_another_scene_and_other_options_are_not_what_was_begun(make_blender: Make) -> None:
    root = make_blender()
    arguments = SceneOptions().arguments()
    for asked in ((root / "other", arguments), (root, SceneOptions(hold_out=3).arguments())):
        begin_reading(Request(root, arguments))
        process = apart._begun[0].process
        assert read_begun(*asked) is None
        assert process.returncode is not None


def test_what_cannot_be_read_is_left_to_who_asks(make_blender: Make) -> None:
    root = make_blender()
    (root / "transforms_train.json").write_text("{")
    arguments = SceneOptions().arguments()
    begin_reading(Request(root, arguments))
    assert read_begun(root, arguments) is None
    with pytest.raises(SceneError, match=r"transforms_train\.json"):
        load_scene(root, **arguments)


@pytest.mark.parametrize("limits", [{"most_bytes": 100}, {"memory": 0.1}])
def test_large_scenes_and_impossible_limits_are_left_alone(make_blender: Make, limits: dict[str, Any]) -> None:
    root = make_blender()
    arguments = SceneOptions().arguments()
    begin_reading(Request(root, arguments, **limits))
    assert read_begun(root, arguments) is None


def test_a_reader_that_dies_is_not_waited_for(make_blender: Make) -> None:
    root = make_blender()
    arguments = SceneOptions().arguments()
    begin_reading(Request(root, arguments))
    apart._begun[0].process.kill()
    assert read_begun(root, arguments) is None


def test_a_reader_ends_when_nobody_asks_any_more(make_blender: Make) -> None:
    root = make_blender()
    begin_reading(Request(root, SceneOptions().arguments()))
    reader = apart._begun.pop()
    reader._wire.close()
    assert reader.process.wait(30) in (0, 1)


def test_reading_begins_early_for_cuda_alone(make_blender: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_blender()
    woken: list[bool] = []

    def wake() -> bool:
        woken.append(True)
        return True

    monkeypatch.setattr(ahead, "wake_driver", wake)
    ahead.begin_early(root, SceneOptions(), device="auto", memory=None)  # PyTorch is imported here
    monkeypatch.delitem(ahead.sys.modules, "torch", raising=False)
    ahead.begin_early(root, SceneOptions(), device="cpu", memory=None)
    assert not apart._begun
    assert not woken
    ahead.begin_early(root / "missing", SceneOptions(), device="cuda", memory=None)
    assert not apart._begun
    ahead.begin_early(root, SceneOptions(), device="auto", memory=None)
    assert len(woken) == 2
    scene = read_begun(root, SceneOptions().arguments())
    assert scene is not None
    assert len(scene.train) == 3
