"""What makes the masks of a view: a network, the watershed, or a reader of masks that somebody else made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendError, SceneError
from ..scene import Scene, View
from ..scene.pictures import fitting_names, mask_names
from .console import Report
from .inputs import digest_inputs
from .masks import picture_of

if TYPE_CHECKING:
    import torch

    from ..masks import MaskFolder, MaskSet
    from ..masks.sam.checkpoint import Checkpoint
    from ..masks.sam.families import Precision
    from ..masks.sam.options import GeneratorOptions

Made = tuple["MaskSet", dict[str, np.ndarray]]  # masks, and what is known of each
Make = Callable[
    [View], Callable[[], Made]
]  # the second call may be made by another thread, while the next view is made


@dataclass(frozen=True)
class Maker:
    """What makes masks.

    Attributes:
        method: Name that is another one whenever the same picture gives other masks.
        start: Prepares what is needed, and gives the function that makes the masks of a view.
        views: Names of the views that it has masks for; None for all.
        workers: Threads that finish views while the next ones are made.
    """

    method: str
    start: Callable[[], Make]
    views: tuple[str, ...] | None = None
    workers: int = 2


def network_maker(
    checkpoint: Checkpoint, options: GeneratorOptions, *, device: torch.device, precision: Precision, report: Report
) -> Maker:
    """Masks by a network; arguments as for `Network` and `MaskGenerator`."""

    def start() -> Make:
        from ..masks.sam.generator import MaskGenerator
        from ..masks.sam.network import Network

        with report.stage("network"):
            generator = MaskGenerator(Network(checkpoint, device, precision), options)
        report.note(f"{checkpoint.name}: {checkpoint.family.name}, {precision} on {device}")
        return partial(_by_network, generator)

    settings = {name: value for name, value in asdict(options).items() if name != "points_per_batch"}
    digest = hashlib.sha256(json.dumps([settings, precision, checkpoint.digest()]).encode()).hexdigest()[:16]
    return Maker(f"{checkpoint.family.name}-1 {digest}", start)


def watershed_maker() -> Maker:
    """Masks without a network."""
    from ..masks.watershed import METHOD

    return Maker(METHOD, lambda: _by_watershed, workers=4)


def reading_maker(source: Path, scene: Scene, report: Report) -> Maker:
    """Masks that somebody else made, matched to the training views by name.

    Raises:
        SceneError: The source holds no masks of the training views, or cannot be read.
    """
    from ..masks import MaskFolder, check_matches

    folder = MaskFolder(source, direct=True)
    names = names_of_masks(scene)
    for split, of_split in names.items():
        for own in of_split if split != "train" else ():
            folder.name(own)
    lacking = [own[0] for own in names["train"] if folder.size("train", own) is None]
    check_matches(folder, ("train",), lacking, len(names["train"]), asked=True, warn=report.note)
    kind = "masks" if folder.catalogue is None else folder.catalogue.kind
    report.note(f"{source}: {kind} of {len(names['train']) - len(lacking)} of {len(names['train'])} training views")
    by_view = {own[0]: own for own in names["train"] if own[0] not in set(lacking)}
    digest = digest_inputs(source, run=source) if source.is_dir() else _digest_file(source)
    return Maker(f"from-1 {digest}", lambda: partial(_by_reading, folder, by_view), tuple(by_view))


def names_of_masks(scene: Scene) -> dict[str, list[tuple[str, ...]]]:
    """What the masks of each view of each split may be called, the view's own name first.

    A training view is not called what fits a picture of another split, unless both views have the same name: then the
    splits are listed apart, and so lie their masks.
    """
    listed = {split: [_listed(view, scene.root) for view in views] for split, views in scene.splits.items()}
    own = {view.name for view in scene.splits["train"]}
    elsewhere = {
        name
        for split in scene.splits
        if split != "train"
        for view, fitting in zip(scene.splits[split], fitting_names(listed[split]), strict=True)
        if view.name not in own
        for name in (view.name, *fitting)
    }
    found: dict[str, list[tuple[str, ...]]] = {}
    for split, views in scene.splits.items():
        names = [view.name for view in views]
        others = mask_names(listed[split], names, elsewhere if split == "train" else ())
        found[split] = [(name, *other) for name, other in zip(names, others, strict=True)]
    return found


def _listed(view: View, root: Path | None) -> str:
    """The path of a view's picture below the scene's folder."""
    if view.file is None:
        return view.name
    if root is not None and view.file.is_relative_to(root):
        return view.file.relative_to(root).as_posix()
    return view.file.name


def _by_network(generator: object, view: View) -> Callable[[], Made]:
    from ..masks.sam.generator import MaskGenerator

    assert isinstance(generator, MaskGenerator)
    try:
        made = generator.generate(picture_of(view))
    except RuntimeError as failure:
        if "out of memory" not in str(failure).lower():
            raise
        raise BackendError(
            f"view {view.name}: the device is out of memory with {generator.points_per_batch} points at once; "
            f"try --points-per-batch {max(1, generator.points_per_batch // 4)}, or a smaller --width"
        ) from None
    qualities = {"predicted_iou": made.scores, "stability_score": made.stability, "point_coords": made.points}
    return lambda: (made.mask_set(), qualities)


def _by_watershed(view: View) -> Callable[[], Made]:
    from ..masks.hierarchy import mask_set_of
    from ..masks.watershed import watershed_cut

    def made() -> Made:
        masks = watershed_cut(picture_of(view))
        return mask_set_of(map(masks.__getitem__, range(len(masks))), len(masks), picture_of(view).shape[:2]), {}

    return made


def _by_reading(folder: MaskFolder, names: dict[str, tuple[str, ...]], view: View) -> Callable[[], Made]:
    from ..masks.read import read_with_qualities
    from ..masks.sizes import check_aspect

    def made() -> Made:
        found = read_with_qualities(folder, "train", names[view.name])
        assert found is not None
        masks, qualities, place = found
        check_aspect(place, masks.shape, picture_of(view).shape[:2])
        return masks, qualities

    return made


def _digest_file(file: Path) -> str:
    try:
        status = file.stat()
    except OSError as failure:
        raise SceneError(f"{file}: {failure.strerror}") from None
    return hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
