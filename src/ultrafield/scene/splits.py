"""Which listed views are there, which are trained on, and which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, SceneError
from .frames import Frame, Warn
from .pictures import pure_path, without_ending
from .values import shown, texts

_LISTS = ("train_filenames", "val_filenames", "test_filenames")


def drop_missing(
    root: Path, source: str, frames: Sequence[Frame], *, allow_missing: bool | None, warn: Warn, optional: bool = False
) -> tuple[Frame, ...]:
    """The frames whose pictures are on disk.

    Args:
        root: The scene folder, for messages.
        source: What lists the pictures, for messages.
        frames: All listed frames.
        allow_missing: Whether to continue without missing pictures; None continues if at most a third is missing.
        warn: Told about missing pictures when work continues.
        optional: Whether work can go on with none at all.

    Raises:
        SceneError: Too many pictures are missing, or all of them.
    """
    present = tuple(frame for frame in frames if frame.file is not None)
    missing = len(frames) - len(present)
    if missing == 0:
        return present
    first = next(frame.listed for frame in frames if frame.file is None)
    if not present and not optional:
        raise SceneError(f"{root}: none of the {len(frames)} images listed in {source} exists (first: {first})")
    text = f"{root}: {missing} of {len(frames)} images listed in {source} are missing (first: {first})"
    if allow_missing or (allow_missing is None and 3 * missing <= len(frames)):
        warn(f"{text}; continuing with {len(present)}")
        return present
    raise SceneError(f"{text}. Continuing needs {{setting}}.", setting="allow_missing")


def listed_splits(
    frames: Sequence[Frame], values: dict[str, Any], source: Path, warn: Warn, *, all_listed: Sequence[Frame]
) -> dict[str, tuple[Frame, ...]] | None:
    """Frames by nerfstudio's `train_filenames`, `val_filenames` and `test_filenames`; None without such lists.

    Views in `test_filenames` validate where there are no others. Without `train_filenames`, what no other list names
    is trained on.

    Args:
        frames: The frames whose pictures are on disk.
        values: The transforms file.
        source: Its path, for messages.
        warn: Told, once each, about names that no frame has and frames that no list names.
        all_listed: All frames of the file.

    Raises:
        SceneError: A list that is none, or no training view.
    """
    lists = {key: texts(values, key, str(source)) for key in _LISTS}
    if all(names is None for names in lists.values()):
        return None
    members = _members(lists, all_listed, source, warn)
    named = set().union(*members.values())
    train = members["train_filenames"]
    if lists["train_filenames"] is None:
        train = {frame.listed for frame in frames} - named
    elif unused := [frame.listed for frame in frames if frame.listed not in named]:
        warn(f"{source}: {len(unused)} frames are in none of its lists of file names and not used (first: {unused[0]})")
    splits = {"train": train, "val": members["val_filenames"] or members["test_filenames"]}
    chosen = {split: tuple(frame for frame in frames if frame.listed in part) for split, part in splits.items()}
    if not chosen["train"]:
        raise SceneError(f"{source}: its lists of file names leave no training view")
    return {split: part for split, part in chosen.items() if part}


def hold_out_views(frames: Sequence[Frame], every: int | None) -> dict[str, tuple[Frame, ...]]:
    """Split frames into "train" and "val" as `held_out_indices` does."""
    indices = held_out_indices(len(frames), every)
    return {split: tuple(frames[index] for index in members) for split, members in indices.items()}


def check_hold_out(every: int | None) -> None:
    """Raise `ConfigError` unless every `every`-th view can be held out."""
    if every is not None and every < 2:
        raise ConfigError(f"expected None or at least 2, got {every}", setting="hold_out")


def held_out_indices(count: int, every: int | None) -> dict[str, list[int]]:
    """Split `count` views into "train" and "val", the latter being views 0, `every`, 2 · `every`, …

    Nothing is held out if `every` is None or if fewer than two views would remain.
    """
    if every is not None and count - len(range(0, count, every)) >= 2:
        return {"train": [index for index in range(count) if index % every], "val": list(range(0, count, every))}
    return {"train": list(range(count))}


def _members(
    lists: dict[str, list[str] | None], frames: Sequence[Frame], source: Path, warn: Warn
) -> dict[str, set[str]]:
    """The frames' pictures, as listed, that each list names, with or without ending; warns once about other names."""
    exact = {pure_path(frame.listed): frame.listed for frame in frames}
    stems = {without_ending(str(path)): listed for path, listed in exact.items()}
    members: dict[str, set[str]] = {key: set() for key in lists}
    unknown: list[tuple[str, str]] = []
    for key, names in lists.items():
        for name in names or ():
            path = pure_path(name)
            listed = exact.get(path) or stems.get(without_ending(str(path)))
            if listed is None:
                unknown.append((key, name))
            else:
                members[key].add(listed)
    if unknown:
        key, name = unknown[0]
        warn(
            f"{source}: {len(unknown)} names in its lists are no frame's 'file_path' (first: {shown(name)} in {key!r})"
        )
    return members
