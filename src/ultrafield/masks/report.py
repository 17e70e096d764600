"""What is said about a folder of masks once all views have been looked up and read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ..errors import SceneError, in_shell, shortened
from .folder import MaskFolder, split_folders
from .own.catalogue import Catalogue

_SHOWN = 3  # names in a message
_LOOKS_LIKE_MASKS = re.compile(r"mask|segment|instance|panoptic|(^|_)(seg|sam)s?($|_)", re.IGNORECASE)
_OTHER = re.compile(r".*_seg(_clean)?(_hierarchy)?|gt_.*|seg(_hierarchy)?", re.IGNORECASE)  # layouts' own folders


def check_matches(
    folder: MaskFolder,
    places: Sequence[str],
    lacking: Sequence[str],
    total: int,
    *,
    asked: bool,
    warn: Callable[[str], None],
    ignored: Collection[Path] = (),
) -> None:
    """Say, before anything is trained, which masks and which training views have nothing to do with each other.

    Args:
        folder: Where all views were looked up, those of other splits too if their masks may lie in the same folders.
        places: Names of the splits under which training views were looked up.
        lacking: Names of the training views without masks.
        total: Number of training views.
        asked: Whether the user named the folder.
        warn: Told, in one line each, about what does not stop the work.
        ignored: Folders beside the masks that are known to be read otherwise.

    Raises:
        SceneError: No view has masks, although masks are there, or although the user named the folder.
    """
    if folder.catalogue is not None:
        _check_catalogue(folder.catalogue, lacking, total, warn)
        return
    unnamed = [path for place in places for path in folder.unnamed(place)]
    if len(lacking) == total:
        _check_any(folder, places, unnamed, lacking, asked=asked)
        if not asked:
            _warn_of_neighbours(folder, ignored, warn)
    elif lacking:
        warn(_lacking_text(folder.root, lacking, total))
    if unnamed:
        count = "1 folder or file of masks is" if len(unnamed) == 1 else f"{len(unnamed)} folders or files of masks are"
        warn(_unnamed_text(unnamed[0].parent, count, unnamed))


def _check_catalogue(catalogue: Catalogue, lacking: Sequence[str], total: int, warn: Callable[[str], None]) -> None:
    """Say which pictures of annotations and which training views have nothing to do with each other.

    Raises:
        SceneError: No view has masks.
    """
    unnamed = catalogue.unnamed()
    if len(lacking) == total:
        found = f", but others ({_some(unnamed)})" if unnamed else ""
        raise SceneError(
            f"{catalogue.place}: {catalogue.kind} of no training view (expected a picture called {lacking[0]}){found}"
        )
    if lacking:
        warn(_lacking_text(catalogue.place, lacking, total))
    if unnamed:
        count = "1 picture is" if len(unnamed) == 1 else f"{len(unnamed)} pictures are"
        warn(_unnamed_text(catalogue.place, count, unnamed))


def _lacking_text(place: Path, lacking: Sequence[str], total: int) -> str:
    return f"{place}: {len(lacking)} of {total} training views have no masks (first: {lacking[0]})"


def _unnamed_text(place: Path, count: str, unnamed: Sequence[Path | str]) -> str:
    return f"{place}: {count} named like no view, or like several ({_some(unnamed)}), and not read"


def warn_of_skipped(folder: MaskFolder, warn: Callable[[str], None]) -> None:
    """Say in one line how many files were skipped while masks were read."""
    reasons = Counter(reason for _, reason in folder.skipped)
    if reasons:
        counts = ", ".join(f"{count} ({reason})" for reason, count in sorted(reasons.items()))
        warn(f"{folder.root}: skipped among the masks: {counts}; the first is {folder.skipped[0][0]}")


def _check_any(
    folder: MaskFolder, places: Sequence[str], unnamed: list[Path], lacking: Sequence[str], *, asked: bool
) -> None:
    """Raise if there are masks, or if a folder was named for them, but none belong to a training view."""
    if unnamed:
        expected = (folder.places(places[0])[0][0] / lacking[0]).relative_to(folder.root)
        raise SceneError(
            f"{folder.root}: holds no masks of the training views (expected {expected}/*.png or {expected}.png), but "
            f"others in {unnamed[0].parent} ({_some(unnamed)}); name masks after their pictures, with the folder or "
            "ending where several have one name, or move them elsewhere"
        )
    if asked:
        expected = split_folders(Path(), places[0])[0] / lacking[0]
        raise SceneError(f"{folder.root}: holds no masks of the training views (expected {expected}/*.png)")


def _warn_of_neighbours(folder: MaskFolder, ignored: Collection[Path], warn: Callable[[str], None]) -> None:
    """Warn about folders that look like masks but are not read, as nobody named them."""
    for name, is_folder in sorted(folder.entries(folder.root).items()):
        path = folder.root / name
        looks_like = is_folder and _LOOKS_LIKE_MASKS.search(name) and not _OTHER.fullmatch(name)
        if looks_like and path not in ignored and folder.holds_masks(path):
            warn(f"{path}: looks like masks, but is not read; to use it, add: --masks {in_shell(path)}")


def _some(items: Sequence[Path | str]) -> str:
    """The first few files or names."""
    names = ", ".join(item.name if isinstance(item, Path) else shortened(item, 60) for item in items[:_SHOWN])
    return names if len(items) <= _SHOWN else f"{names}, …"
