"""Functions of the Python interface that read files, ended as commands end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from workspace import Program


def _guarded(name: str, function: Callable[[Sequence[str]], object], words: Sequence[str]) -> int:
    from ultrafield.pipeline.guard import guarded

    return guarded(name, lambda: _done(function(words)))


def _done(_: object) -> None:
    """The result is not needed."""


def _load_scene(words: Sequence[str]) -> object:
    import ultrafield

    return ultrafield.load_scene(words[0], masks=words[1] if len(words) > 1 else None, progress=False)


def _open_run(words: Sequence[str]) -> object:
    import ultrafield

    return ultrafield.open_run(words[0]).cut_into(2)


def _read_masks(_: Sequence[str]) -> object:
    from ultrafield.masks import read_masks

    return [read_masks(Path("scene"), "train", f"r_{index}") for index in range(4)]


def _read_splats(words: Sequence[str]) -> object:
    import ultrafield

    scene = ultrafield.load_scene("scene", progress=False)
    return ultrafield.surface_from_splats(words[0], scene.splits["train"].cameras)


def _load_edits(_: Sequence[str]) -> object:
    from ultrafield.ultrametric.file import load_edits, load_tree

    return load_edits("edits.json", load_tree("done/tree.npz")).tree


def _read_batch(words: Sequence[str]) -> object:
    from ultrafield.batch.entries import read_entries
    from ultrafield.commands.batch_options import settings_of
    from ultrafield.commands.options import MethodOptions, SceneOptions

    return [settings_of(entry, SceneOptions(), MethodOptions()) for entry in read_entries(words)]


def _view(words: Sequence[str]) -> object:
    from ultrafield.viewer.app import Viewer  # noqa: F401 - what `view` imports
    from ultrafield.viewer.storage import open_for_viewing

    return open_for_viewing(Path(words[0]))


READERS: dict[str, Program] = {
    name: partial(_guarded, name, function)
    for name, function in (
        ("load_scene", _load_scene),
        ("open_run", _open_run),
        ("read_masks", _read_masks),
        ("read_splats", _read_splats),
        ("load_edits", _load_edits),
        ("read_batch", _read_batch),
        ("view", _view),
    )
}
