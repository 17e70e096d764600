"""Neighbouring surface points and how different the evidence says they are."""

from __future__ import annotations

import numpy as np

from ..config import Engine, SegmentConfig
from ..errors import check_choice, check_shape
from ..scene import Scene
from ..surface import Surface
from ..surface.spacing import local_spacing
from ..ultrametric import AffinityGraph
from .combine import combined_graph, feature_view, join_combined
from .superpoints import join_superpoints, superpoints
from .votes import mask_votes

_REACH = 3.0


def build_graph(
    surface: Surface,
    *,
    engine: Engine,
    scene: Scene | None = None,
    features: np.ndarray | None = None,
    config: SegmentConfig | None = None,
    reach: float = _REACH,
    device: str = "cpu",
) -> AffinityGraph:
    """Join each surface point with its nearest ones and weigh the edges.

    Engine "lift": the share of masks that hold only one of two points, among those that hold either, over the training
    views that see both, smaller masks weighing more; what no mask of a view holds counts as one more mask. It is taken
    first for every edge, which gives small patches of surface (superpoints), then between patches and the regions that
    they grow into, over all their pairs of points. An edge's dissimilarity is the height at which its ends join, 0
    within a patch: an ultrametric, whose tree is the same for either linkage. With `superpoints` 0 every edge keeps
    its own share. Evidence is the weight of the masks that hold either end of the edge. An edge whose ends no view sees
    together is no evidence of a border: it takes the mean of the edges around it, and has evidence 0. docs/method.md
    has the formulas.

    Engine "field": dissimilarity is the distance of the two unit features, evidence is 1.

    Engine "both": as "lift", with the features as one more view that sees every point. Nothing is a guess then.

    Args:
        surface: N points.
        engine: "lift" needs `scene`, "field" needs `features`, "both" needs both.
        scene: The scene of the surface, with masks.
        features: [N, D], unit length.
        config: Settings (`neighbors`, `superpoints`); the defaults if None.
        reach: Longest edge, in local point spacings, so that nothing jumps over a gap; infinity keeps every edge.
        device: Where the votes of masks are added up, "cpu" or "cuda", see `mask_votes`; all else runs on the CPU.

    Returns:
        The graph; edges ascending, each once, the smaller index first.

    Raises:
        ConfigError: An unknown engine.
        RunError: "lift" or "both" without masks, or whose masks hold no point; a surface of another scene.
        ValueError: What the engine needs is missing or has the wrong shape, or features are not finite.
    """
    check_choice("engine", engine, ("field", "lift", "both"))
    config = config or SegmentConfig()
    edges = neighbor_edges(surface, config.neighbors, reach=reach)
    if engine != "lift":
        features = _check_features(surface, features, engine)
    if engine == "field":
        return _feature_graph(surface, edges, features)
    if scene is None:
        raise ValueError(f"scene: engine {engine!r} needs it")
    if engine == "both":
        return _combined_graph(surface, edges, scene, features, config, device)
    graph = vote_graph(surface, edges, scene, device=device)
    if config.superpoints is None:
        return graph
    return join_superpoints(surface, scene, graph, superpoints(graph, config.superpoints))


def neighbor_edges(surface: Surface, neighbors: int, *, reach: float = _REACH) -> np.ndarray:
    """Undirected edges between each point and its nearest ones.

    Args:
        surface: N points.
        neighbors: How many nearest points each one is joined with, ≥ 1.
        reach: Longest edge, in the smaller spacing of its two ends (see `local_spacing`).

    Returns:
        [E, 2], int64, ascending, each edge once, the smaller index first.

    Raises:
        ValueError: `neighbors` is below 1.
    """
    from scipy.spatial import cKDTree

    if neighbors < 1:
        raise ValueError(f"neighbors: expected at least 1, got {neighbors}")
    count = len(surface)
    asked = min(neighbors + 1, count)
    distances, nearest = cKDTree(surface.points).query(surface.points, k=np.arange(1, asked + 1), workers=-1)
    first = np.broadcast_to(np.arange(count)[:, None], nearest.shape)
    other = nearest != first
    # A point is not always its own first neighbour: points may coincide.
    spacing = local_spacing(surface, distances[:, 1:])
    short = distances <= reach * np.minimum(spacing[:, None], spacing[nearest])
    first, second = first[other & short], nearest[other & short]
    # Several times as fast as np.unique, whose hash table suffers from millions of different keys.
    keys = np.sort(np.minimum(first, second).astype(np.int64) * count + np.maximum(first, second))
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return np.stack([keys // count, keys % count], axis=1)


def _check_features(surface: Surface, features: np.ndarray | None, engine: Engine) -> np.ndarray:
    if features is None:
        raise ValueError(f"features: engine {engine!r} needs them")
    check_shape("features", features, (len(surface), None))
    if not np.isfinite(features).all():
        raise ValueError("features: expected finite numbers")
    return features


def _combined_graph(
    surface: Surface, edges: np.ndarray, scene: Scene, features: np.ndarray, config: SegmentConfig, device: str
) -> AffinityGraph:
    view = feature_view(surface, scene, features)
    graph = combined_graph(surface, edges, scene, view, device=device)
    if config.superpoints is None:
        return graph
    return join_combined(surface, scene, graph, superpoints(graph, config.superpoints), view)


def _feature_graph(surface: Surface, edges: np.ndarray, features: np.ndarray) -> AffinityGraph:
    distance = np.empty(len(edges), np.float32)
    for block in range(0, len(edges), 1 << 17):  # [2^17, D] differences at a time
        first, second = edges[block : block + (1 << 17)].T
        distance[block : block + (1 << 17)] = np.linalg.norm(features[first] - features[second], axis=1)
    return AffinityGraph(len(surface), edges, np.minimum(distance, 2.0), np.ones(len(edges), np.float32), 2.0)


def vote_graph(surface: Surface, edges: np.ndarray, scene: Scene, *, device: str = "cpu") -> AffinityGraph:
    """The share of masks that hold only one end of an edge, for every edge on its own.

    Args:
        surface: N points.
        edges: [E, 2], int64.
        scene: The scene of the surface, with masks.
        device: Where votes are added up, see `mask_votes`.

    Raises:
        RunError: No masks, or none that holds a point; a surface of another scene.
    """
    both, either = mask_votes(surface, edges, scene, device=device)
    # Rounding may carry equal sums a hair past each other.
    dissimilarity = np.clip(1.0 - both / np.where(either > 0, either, 1.0), 0.0, 1.0)
    dissimilarity = fill_unseen(len(surface), edges, dissimilarity, either)
    return AffinityGraph(len(surface), edges, dissimilarity.astype(np.float32), either.astype(np.float32), 1.0)


def fill_unseen(num_nodes: int, edges: np.ndarray, dissimilarity: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Give edges without evidence the mean of the edges around them.

    Missing evidence is neither evidence of a border nor of its absence. A node's value is the evidence-weighted mean
    of its edges, or of its neighbours' values where it has none with evidence, and so on outwards; an edge takes the
    mean of its ends. Parts of the graph without any evidence take the mean of all that is known.

    Args:
        num_nodes: Number of nodes N.
        edges: [E, 2], int64.
        dissimilarity: [E]; ignored where `evidence` is 0.
        evidence: [E], ≥ 0.

    Returns:
        [E], float64; unchanged where there is evidence.
    """
    unseen = evidence == 0
    if not unseen.any() or unseen.all():
        return np.where(unseen, 0.0, dissimilarity)
    values = _node_means(num_nodes, edges[~unseen], dissimilarity[~unseen], evidence[~unseen])
    guesses = edges[unseen]
    while True:
        known = np.isfinite(values)
        rim = guesses[known[guesses[:, 0]] != known[guesses[:, 1]]]  # one end known
        if len(rim) == 0:
            break
        source = np.where(known[rim[:, 0]], rim[:, 0], rim[:, 1])
        target = rim.sum(axis=1) - source
        total, count = np.bincount(target, values[source], num_nodes), np.bincount(target, minlength=num_nodes)
        values[count > 0] = total[count > 0] / count[count > 0]
    values[np.isnan(values)] = np.average(dissimilarity[~unseen], weights=evidence[~unseen])
    filled = dissimilarity.astype(np.float64)
    filled[unseen] = values[guesses].mean(axis=1)
    return filled


def _node_means(num_nodes: int, edges: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the edges at each node [N]; NaN where there is none."""
    ends = edges.T.ravel()  # all first ends, then all second ends
    total = np.bincount(ends, np.tile(values * weights, 2), num_nodes)
    weight = np.bincount(ends, np.tile(weights, 2), num_nodes)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
