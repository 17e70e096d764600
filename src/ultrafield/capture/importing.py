"""Importing: from photographs, a video or another program's model to a scene folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError, SceneError, reason_of
from ..interruption import nothing_kept
from ..io import fresh_folder, write_json
from ..owner import owned
from ..scene.colmap import check_whole
from ..scene.frames import ListingOptions, Warn, print_warning
from ..scene.layout import Place, recognise, scene_root
from .formats import find_photographs, is_video
from .mapping import Child, check_available, child_process
from .models import import_model
from .placing import Placed, place_photographs
from .settings import ImportConfig
from .target import FILES, TRANSFORMS, WORK, Outcome, check_target, write_record
from .transforms import transforms
from .video import extract_frames


def import_scene(
    source: str | Path,
    out: str | Path,
    config: ImportConfig | None = None,
    *,
    images: str | Path | None = None,
    allow_missing: bool | None = None,
    overwrite: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
    warn: Warn = print_warning,
) -> Outcome:
    """Make a scene folder from photographs, a video, or a model of another program.

    Photographs and videos get cameras from COLMAP (extra `sfm`), in a process of its own; models are any that
    `load_scene` reads. The folder has nerfstudio's form: `transforms.json`, `images`, and `import.json`, which says
    where everything came from and what was left out. It appears only when everything in it is complete.

    Args:
        source: A folder of photographs, a video, or a model.
        out: Folder to make.
        config: Settings; the defaults if None.
        images: Folder of a model's pictures, where they do not lie beside it.
        allow_missing: As for `load_scene`.
        overwrite: Whether a folder that was imported before may be replaced.
        progress: Whether to show progress bars (on a terminal only).
        say: Told what is done, line by line.
        warn: Told about what does not stop the work.

    Returns:
        What was imported.

    Raises:
        SceneError: A source that cannot be used, photographs that do not overlap, or a folder that may not be replaced.
        BackendError: pycolmap is not installed, or has failed.
    """
    source, out, config = Path(source), Path(out), config or ImportConfig()
    options = ListingOptions(None, allow_missing, None if images is None else Path(images), warn)
    try:
        found = _find(source, options)
    except OSError as failure:
        raise SceneError(f"{failure.filename or source}: {reason_of(failure)}") from None
    _check_meant(found, source, config, images)
    if not isinstance(found, Place):
        check_available()
    check_target(out, source, overwrite=overwrite)
    # The process is ended before the folders that it writes into are removed.
    lock = out.parent / f".{out.name}.lock"
    with nothing_kept(), child_process() as child, owned(out, lock=lock), fresh_folder(out, FILES) as folder:
        if isinstance(found, Place):
            placed = import_model(found, folder, config, options, progress=progress)
        else:
            placed = _place(source, found, folder, config, child, progress=progress, say=say)
        _finish(placed, folder, given=isinstance(found, Place))
    for line in placed.outcome.lines():
        say(line)
    return placed.outcome


def _find(source: Path, options: ListingOptions) -> Place | list[Path] | None:
    """A model, photographs, or None for a video; `SceneError` if a source is none of these."""
    if not source.exists():
        raise SceneError(f"{source}: no such file or folder")
    if is_video(source):
        return None
    place = recognise(scene_root(source), "auto", options)
    if place is not None:
        return place
    check_whole(scene_root(source))
    files = find_photographs(source)
    if not files:
        raise SceneError(f"{source}: expected a folder of photographs, a video, or a model; found none of them")
    return files


def _check_meant(
    found: Place | list[Path] | None, source: Path, config: ImportConfig, images: str | Path | None
) -> None:
    """Raise `ConfigError` for a setting that is meant for sources of another kind."""
    for setting in ("frames", "rate"):
        if found is not None and getattr(config, setting) is not None:
            raise ConfigError(f"is for videos, and {source} is none", setting=setting)
    if images is not None and not isinstance(found, Place):
        raise ConfigError(f"is for models, and {source} is none", setting="images")


def _place(
    source: Path,
    files: list[Path] | None,
    folder: Path,
    config: ImportConfig,
    child: Child,
    *,
    progress: bool,
    say: Callable[[str], None],
) -> Placed:
    """Pictures of photographs or of a video, with cameras."""
    work = folder / WORK
    work.mkdir()
    kind = "photographs" if files is not None else "video"
    chosen = extract_frames(source, work / "frames", config, progress=progress) if files is None else files
    placed = place_photographs(kind, source, chosen, folder, work, config, child, progress=progress, say=say)
    shutil.rmtree(work)
    return placed


def _finish(placed: Placed, folder: Path, *, given: bool) -> None:
    """Write what describes the pictures."""
    content = transforms(placed.shots, moved=placed.moved if given else None, box=placed.box)
    write_json(folder / TRANSFORMS, content, indent=1)
    write_record(folder, placed.outcome)
