"""Embeddings of a tree's nodes by a network for words, made once and kept in the run folder (words.npz)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Cameras
from ..errors import ConfigError, RunError, UltrafieldError
from ..io import write_npz
from ..labels import ViewLabeller, view_points
from ..reading import read_npz
from ..words.crops import crop
from ..words.scores import unit
from .console import Report
from .export_views import run_cameras
from .folder import RunFolder
from .job import stored_scene
from .stages import fingerprint
from .word_nodes import WordNodes, best_views

if TYPE_CHECKING:
    from ..words.network import WordNetwork
    from .segmentation import Segmentation

STAGE, FILE = "words", "words.npz"
_VIEWS = 5  # of a node
_LEAST = 16  # pixels of a node in a view
_FORMAT = 1  # of how pieces are cut out


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of nodes.

    Attributes:
        keys: `WordNodes.keys` of what was embedded [K], uint64, ascending.
        vectors: Unit vectors [K, D], float32; zero for nodes that no view shows.
    """

    keys: np.ndarray
    vectors: np.ndarray

    def of(self, nodes: WordNodes) -> np.ndarray:
        """Vectors of nodes [K, D], all of which are there."""
        return self.vectors[np.searchsorted(self.keys, nodes.keys)]

    def lacks(self, nodes: WordNodes) -> np.ndarray:
        """Which nodes are not there [K] bool."""
        return ~np.isin(nodes.keys, self.keys)


def embedded_nodes(segmentation: Segmentation, nodes: WordNodes, network: WordNetwork, report: Report) -> np.ndarray:
    """Embeddings of nodes: those that the run folder keeps, and others made now and kept there.

    What is kept holds for the network, the surface and the rendered views that it was made from. Nodes are told by
    their points, so that edits of the tree leave it valid, and only nodes that edits made are embedded anew.

    Args:
        segmentation: Of a run folder.
        nodes: Its nodes.
        network: What embeds them.
        report: Where progress is printed.

    Returns:
        Unit vectors [K, D], float32; zero for nodes that no view shows.

    Raises:
        ConfigError: The segmentation has no rendered views.
        BusyError: Another process owns the run folder.
    """
    if segmentation.folder is None or not (segmentation.folder / "renders").is_dir():
        raise ConfigError("words need a run folder with rendered views", setting="model")
    run = RunFolder(segmentation.folder)
    settings, made_from = fingerprint(_FORMAT, _VIEWS, network.checkpoint.digest()), _made_from(run)
    kept = _read(run) if run.records.finished(STAGE, settings, made_from) else None
    lacking = np.ones(len(nodes), bool) if kept is None else kept.lacks(nodes)
    if kept is not None and not lacking.any():
        return kept.of(nodes)
    with report.stage("words"):
        channels = None if kept is None else kept.vectors.shape[1]
        vectors = _embed(segmentation, run, nodes, np.flatnonzero(lacking), network, report, channels)
    whole = _merged(kept, nodes.keys[lacking], vectors)
    _keep(run, whole, settings, made_from, report)
    return whole.of(nodes)


def _made_from(run: RunFolder) -> dict[str, str]:
    """Digests of what embeddings depend on besides the network; a folder from before trees were recorded has none."""
    return {stage: run.records.content(stage) for stage in ("tree", "render")}


def _read(run: RunFolder) -> Embedded | None:
    """What the folder keeps, None if it cannot be used: it is then made again."""
    try:
        arrays = read_npz(run.root / FILE, ("keys", "vectors"))
        keys, vectors = arrays["keys"], arrays["vectors"]
    except (UltrafieldError, KeyError):
        return None
    fits = keys.ndim == 1 and vectors.ndim == 2 and len(keys) == len(vectors)
    return Embedded(keys, vectors) if fits and keys.dtype == np.uint64 and vectors.dtype == np.float32 else None


def _merged(kept: Embedded | None, keys: np.ndarray, vectors: np.ndarray) -> Embedded:
    if kept is not None:
        keys, vectors = np.concatenate([kept.keys, keys]), np.concatenate([kept.vectors, vectors])
    keys, places = np.unique(keys, return_index=True)
    return Embedded(keys, vectors[places])


def _keep(run: RunFolder, embedded: Embedded, settings: str, made_from: dict[str, str], report: Report) -> None:
    """Write words.npz; a folder that cannot be written to stays as it is."""
    try:
        with run.owned():
            write_npz(run.root / FILE, keys=embedded.keys, vectors=embedded.vectors)
            run.finish(STAGE, settings, report.seconds.get("words", 0.0), made_from)
    except OSError as failure:
        report.note(f"{run.root / FILE}: not kept ({failure.strerror})")


def _embed(
    segmentation: Segmentation,
    run: RunFolder,
    nodes: WordNodes,
    chosen: np.ndarray,
    network: WordNetwork,
    report: Report,
    channels: int | None,
) -> np.ndarray:
    """Embeddings of some nodes [M, D], means over the best views of each; zero if none shows it.

    D is known as `channels` where others are embedded already.
    """
    views = run_cameras(run)["train"]
    places = _places(segmentation, run, nodes, views.names, views.cameras, report)
    counts = np.stack([nodes.counts(view) for view in places])
    best = best_views(counts[:, chosen], _VIEWS, _LEAST)
    shown: list[list[int]] = [[] for _ in views.names]
    for index, seen in enumerate(best):
        for view in seen.tolist():
            shown[view].append(index)
    picture = _pictures(run, views.names, report)
    sums = None if channels is None else np.zeros((len(chosen), channels))
    for view in report.track(range(len(shown)), len(shown), "words"):
        if shown[view]:
            photo = picture(view)
            pieces = [crop(photo, nodes.mask(places[view], int(chosen[index]))) for index in shown[view]]
            vectors = network.pictures(pieces)
            sums = np.zeros((len(chosen), vectors.shape[1])) if sums is None else sums
            sums[shown[view]] += vectors
    if sums is None:
        raise RunError(f"{run.root}: no training view shows any segment")
    return unit(sums)


def _places(
    segmentation: Segmentation,
    run: RunFolder,
    nodes: WordNodes,
    names: Sequence[str],
    cameras: Cameras,
    report: Report,
) -> list[np.ndarray]:
    """Place of the smallest node that each pixel of each view shows [V][H, W], integers; −1 for none."""
    labeller = ViewLabeller(segmentation.surface, segmentation.tree, np.zeros(1), segmentation.config)
    maps, kind = [], np.int16 if len(nodes) < 1 << 15 else np.int32
    for index in report.track(range(len(names)), len(names), "views"):
        depth = run.read_depth("train", names[index])
        nearest = labeller.nearest(view_points(depth, cameras, index))[..., 0]
        maps.append(np.where(nearest >= 0, nodes.of_point[nearest], -1).astype(kind))
    return maps


def _pictures(run: RunFolder, names: Sequence[str], report: Report) -> Callable[[int], np.ndarray]:
    """Reads the picture of a training view [H, W, 3] uint8: its photograph, or else what the field shows."""
    try:
        stored = run.read_config().scene
        if stored is None or not Path(stored).exists():
            raise RunError("the scene is not here")
        train = stored_scene(run, report).train
        if tuple(view.name for view in train) != tuple(names):
            raise RunError("the scene has other training views than the run")
    except UltrafieldError as reason:
        report.note(f"words: {reason}; rendered pictures are used instead of photographs")
        return lambda index: _rendered(run, names[index])

    def photograph(index: int) -> np.ndarray:
        view = train.views[index]
        image = view.image if view.photograph is None else view.photograph.image
        return _rendered(run, names[index]) if image is None else image

    return photograph


def _rendered(run: RunFolder, name: str) -> np.ndarray:
    from ..export.renderings import color_picture

    return color_picture(run.read_render("train", name))
