"""Names of nodes: from ground truth, from a table, one at a time; and nodes found by name."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.projection import pixel_indices, project
from ..errors import ConfigError, SceneError, shortened
from ..lift.codes import point_cells
from ..names import check_title
from ..reading import read_bytes, read_json
from ..scene import GroundTruth, Scene
from ..surface import Surface, cameras_of
from ..surface.sight import look
from ..ultrametric.matching import best_nodes
from .segmentation import Segmentation

_MOST_BYTES = 64 << 20  # of a table of names
_SCORED_BY_NAME = 1.0
_SHOWN, _LISTED = 60, 8  # characters of a name, and nodes that have it, in a message

Scorer = Callable[[Segmentation, str], Mapping[int, float]]


@dataclass(frozen=True)
class Match:
    """A node that a name or a search text stands for.

    Attributes:
        node: Its lasting id.
        name: Its name; empty if it has none.
        score: How well it fits, in (0, 1]: the IoU with the true segment, or the part of its name that was asked for.
    """

    node: int
    name: str
    score: float


@dataclass(frozen=True)
class TrueNode:
    """A named node of a scene's true hierarchy, with the ids of its parts."""

    name: str
    parts: tuple[int, ...]


def true_nodes(scene: Scene) -> list[TrueNode]:
    """The named nodes of a scene's tree.json, coarse ones first; none if it has no such file.

    Raises:
        SceneError: The file is not what `synth` writes.
    """
    file = None if scene.root is None else scene.root / "tree.json"
    if file is None or not file.is_file():
        return []
    content = read_json(file)
    listed = content.get("nodes") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise SceneError(f"{file}: expected a list 'nodes'")
    return [_true_node(item, f"{file}: node {index}") for index, item in enumerate(listed)]


def names_from_truth(segmentation: Segmentation, scene: Scene, *, least: float = 0.5) -> list[Match]:
    """Names for the nodes that true segments stand for.

    Surface points have the true part that most views see at their place. A true node names the node with the best IoU
    over all points that have one; of several true nodes for one node, that with the best IoU, the coarsest of equals.

    Args:
        segmentation: Tree and surface.
        scene: The scene, with tree.json and exact ids of at least one split.
        least: IoU from which a node has the name.

    Raises:
        SceneError: The scene has no names, or no exact ids to find them by.
    """
    from ..scene import load_ground_truth

    named = true_nodes(scene)
    if not named:
        raise SceneError(f"{scene.source}: has no names (no tree.json); give them with --csv or --node and --name")
    truths = {split: load_ground_truth(scene, split) for split in scene.splits}
    votes = [vote for split, truth in truths.items() if truth is not None
             for vote in _votes(segmentation.surface, scene, split, truth)]  # fmt: skip
    if not votes:
        raise SceneError(f"{scene.source}: has no exact ids that tell which point the names in tree.json mean")
    parts = majority(votes, len(segmentation.surface))
    sets = (np.isin(parts, node.parts) for node in named)
    found: dict[int, Match] = {}
    for node, (place, iou) in zip(named, best_nodes(segmentation.tree, sets, parts >= 0), strict=True):
        if iou >= least and (place not in found or iou > found[place].score):
            found[place] = Match(int(segmentation.ids[place]), node.name, iou)
    return list(found.values())


def _true_node(item: Any, where: str) -> TrueNode:
    try:
        name, parts = item["name"], item["parts"]
    except (KeyError, TypeError):
        raise SceneError(f"{where}: expected 'name' and 'parts'") from None
    if not isinstance(name, str) or not isinstance(parts, list) or not all(type(part) is int for part in parts):
        raise SceneError(f"{where}: expected a name and a list of part ids")
    check_title(name, where, SceneError)
    return TrueNode(name, tuple(parts))


def _votes(surface: Surface, scene: Scene, split: str, truth: GroundTruth) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Points that each view of a split sees, and the true part at their place."""
    shape = (truth.parts.shape[1], truth.parts.shape[2])
    if split == "train" and len(surface.visible) == len(scene.train):
        cameras = cameras_of(surface, scene)
        for index in range(len(cameras)):
            cells = point_cells(surface, cameras, index, shape)
            seen = np.flatnonzero(cells >= 0)
            yield seen, truth.parts[index].reshape(-1)[cells[seen]]
    elif truth.depth is not None:
        cameras = scene.splits[split].normalised_cameras.resized(np.array([shape[::-1]] * len(truth.names)))
        to_scene = scene.to_user.inverse()
        points = to_scene.apply(surface.points_user)
        normals = (surface.normals_user @ to_scene.rotation.T).astype(np.float64)
        spacing = surface.voxel_user / scene.to_user.scale
        for index in range(len(cameras)):
            sees = look(points, normals, truth.depth[index].astype(np.float64), cameras, index, spacing).sees
            cells = pixel_indices(project(cameras, index, points)[0], *shape[::-1])
            seen = np.flatnonzero(sees & (cells >= 0))
            yield seen, truth.parts[index].reshape(-1)[cells[seen]]


def majority(votes: Sequence[tuple[np.ndarray, np.ndarray]], count: int) -> np.ndarray:
    """The most frequent value of each of N points [N], int64; −1 without a vote, the smallest of equally frequent ones.

    Args:
        votes: Points [P] and a value ≥ 0 for each [P], from each witness.
        count: Number of points N.

    >>> majority([(np.array([0, 1]), np.array([5, 2])), (np.array([0]), np.array([5]))], 3).tolist()
    [5, 2, -1]
    """
    points = np.concatenate([point for point, _ in votes] or [np.zeros(0, np.int64)])
    values = np.concatenate([value.astype(np.int64) for _, value in votes] or [np.zeros(0, np.int64)])
    most = int(values.max(initial=0)) + 1
    pairs, times = np.unique(points * most + values, return_counts=True)
    order = np.argsort(times, kind="stable")[::-1]  # frequent ones first
    order = order[np.lexsort((pairs[order], -times[order]))]
    point, first = np.unique(pairs[order] // most, return_index=True)
    chosen = np.full(count, -1, np.int64)
    chosen[point] = pairs[order][first] % most
    return chosen


def names_from_table(path: Path, segmentation: Segmentation) -> dict[int, str]:
    """Names of a CSV file, by lasting id.

    A row holds a node, or LEVEL:NODE for a segment of an automatic level (0 is the coarsest), and its name; an empty
    name takes the name away. A first row without a number is a heading.

    Raises:
        SceneError: The file cannot be read, or a row is not what it must be; the text names it.
    """
    data = read_bytes(path, most=_MOST_BYTES)
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as failure:
        raise SceneError(f"{path}: no table in UTF-8 ({failure})") from None
    names: dict[int, str] = {}
    for number, row in enumerate(rows, start=1):
        if not row or (number == 1 and not row[0].strip().replace(":", "").isdecimal()):
            continue
        where = f"{path}: row {number}"
        if len(row) != 2:
            raise SceneError(f"{where}: expected a node and a name, found {len(row)} columns")
        check_title(row[1].strip(), where, SceneError)
        names[_node_of(row[0].strip(), segmentation, where)] = row[1].strip()
    return names


def _node_of(text: str, segmentation: Segmentation, where: str) -> int:
    """The lasting id that NODE or LEVEL:NODE names."""
    level, _, node = text.rpartition(":")
    if not (node.isdecimal() and len(node) < 12 and (not level or (level.isdecimal() and len(level) < 4))):
        raise SceneError(f"{where}: expected a node id, or LEVEL:NODE, found {text[:40]!r}")
    check_node(segmentation, int(node), where, SceneError)
    if level:
        heights = segmentation.levels[::-1]  # the coarsest first, as in points.ply
        if int(level) >= len(heights):
            raise SceneError(f"{where}: there is no level {level}; there are {len(heights)}, from 0")
        if not (segmentation.cut(float(heights[int(level)])) == int(node)).any():
            raise SceneError(f"{where}: level {level} has no segment {node}")
    return int(node)


def check_node(
    segmentation: Segmentation, node: int, where: str, error: type[SceneError] | type[ConfigError] = ConfigError
) -> None:
    """Raise unless the segmentation has a node of this lasting id."""
    ids = segmentation.ids
    if segmentation.edits is None:
        known = 0 <= node < len(ids)
    else:
        known = bool((ids == node).any())
    if not known:
        raise error(f"{where}: there is no node {node}; ids are those of points.ply and label maps, up to {ids.max()}")


def node_named(segmentation: Segmentation, text: str) -> int:
    """The lasting id of the node that an id or a name stands for; a name counts whatever its case.

    Raises:
        ConfigError: There is no such node, or several have the name.
    """
    if text.strip().isdecimal() and len(text.strip()) < 12:
        check_node(segmentation, int(text), "--node")
        return int(text)
    wanted = text.casefold().strip()
    nodes = sorted(node for node, name in segmentation.names.items() if name.casefold() == wanted)
    if len(nodes) == 1:
        return nodes[0]
    shown = repr(shortened(text, _SHOWN))
    if nodes:
        listed = ", ".join(map(str, nodes[:_LISTED])) + (", …" if len(nodes) > _LISTED else "")
        raise ConfigError(f"{len(nodes)} nodes are called {shown}; give one of their ids: {listed}", setting="node")
    raise ConfigError(f"no node is called {shown}; expected an id or a whole name (ultrafield find)", setting="node")


def by_name(segmentation: Segmentation, text: str) -> dict[int, float]:
    """Nodes whose names hold a text, whatever its case; scored by the part of the name that it is."""
    wanted = text.casefold().strip()
    names = ((node, name.casefold()) for node, name in segmentation.names.items())
    return {node: _SCORED_BY_NAME * len(wanted) / len(name) for node, name in names if wanted and wanted in name}


def find_nodes(segmentation: Segmentation, text: str, scorers: Sequence[Scorer] = (by_name,)) -> list[Match]:
    """Nodes that a text stands for, the best first.

    Args:
        segmentation: Where to look.
        text: What is looked for.
        scorers: Each gives nodes scores in (0, 1] for the text; a node has the best of its scores. By name alone as it
            stands; an open-vocabulary model is one more scorer.
    """
    best: dict[int, float] = {}
    for scorer in scorers:
        for node, score in scorer(segmentation, text).items():
            best[node] = max(score, best.get(node, 0.0))
    names = segmentation.names
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return [Match(node, names.get(node, ""), score) for node, score in ranked]
