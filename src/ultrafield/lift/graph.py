"""Neighbouring surface points and how different the evidence says they are."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ..config import Engine, SegmentConfig
from ..devices import device_name
from ..errors import check_choice, check_shape
from ..scene import Scene
from ..sharing import Team
from ..surface import Surface
from ..surface.checks import check_numbers
from ..ultrametric import AffinityGraph
from .combine import combined_edges, feature_view, join_combined
from .edges import REACH, neighbor_edges
from .kernels.distances_cpu import edge_distances
from .superpoints import join_superpoints, superpoints
from .vote_graph import vote_graph

_Value = TypeVar("_Value")


def lift_graph(
    surface: Surface,
    scene: Scene,
    *,
    config: SegmentConfig | None = None,
    reach: float = REACH,
    device: str = "cpu",
    team: Team | None = None,
) -> AffinityGraph:
    """Join each surface point with its nearest ones, and weigh the edges by the masks of all views.

    The dissimilarity of two points is the share of masks that hold only one of them, among those that hold either, over
    the training views that see both, smaller masks weighing more; what no mask of a view holds counts as one more mask.
    It is taken first for every edge, which gives small patches of surface (superpoints), then between patches and the
    regions that they grow into, over all their pairs of points. An edge's dissimilarity is the height at which its ends
    join, 0 within a patch: an ultrametric, whose tree is the same for either linkage. Without superpoints every edge
    keeps its own share. Evidence is the weight of the masks that hold either end of the edge. An edge whose ends no
    view sees together is no evidence of a border: it takes the mean of the edges around it, and has evidence 0.
    docs/method.md has the formulas.

    Args:
        surface: N points; scene and surface may be normalised in different ways.
        scene: The scene whose training views the surface is from, with masks.
        config: Settings (`neighbors`, `superpoints`); the defaults if None.
        reach: Longest edge, in local point spacings, so that nothing jumps over a gap; infinity keeps every edge.
        device: Where the votes of masks are added up, "cpu" or "cuda"; all else runs on the CPU.
        team: Processes that share the counting of votes; None counts in this one.

    Returns:
        The graph, bound 1; edges ascending, each once, the smaller index first.

    Raises:
        RunError: No masks, or none that holds a point; a surface of another number of views.
    """
    config = config or SegmentConfig()
    graph = vote_graph(surface, neighbor_edges(surface, config.neighbors, reach=reach), scene, device=device, team=team)
    if config.superpoints is None:
        return graph
    return join_superpoints(surface, scene, graph, superpoints(graph, config.superpoints))


def feature_graph(
    surface: Surface, features: np.ndarray, *, config: SegmentConfig | None = None, reach: float = REACH
) -> AffinityGraph:
    """Join each surface point with its nearest ones; dissimilarity is the distance of their features, evidence is 1.

    Args:
        surface: N points.
        features: [N, D], unit length.
        config: Settings (`neighbors`); the defaults if None.
        reach: Longest edge, in local point spacings; infinity keeps every edge.

    Returns:
        The graph, bound 2; edges ascending, each once, the smaller index first.

    Raises:
        ValueError: Features of another shape, or that are not finite.
    """
    features = _checked_features(surface, features)
    edges = neighbor_edges(surface, (config or SegmentConfig()).neighbors, reach=reach)
    distance = edge_distances(features.astype(np.float32, copy=False), edges, 2.0)
    return AffinityGraph(len(surface), edges, distance, np.ones(len(edges), np.float32), 2.0)


def combined_graph(
    surface: Surface,
    scene: Scene,
    features: np.ndarray,
    *,
    config: SegmentConfig | None = None,
    reach: float = REACH,
    device: str = "cpu",
    team: Team | None = None,
) -> AffinityGraph:
    """The graph of `lift_graph`, with the features as one more view that sees every point; nothing is a guess then.

    Args:
        surface: N points; scene and surface may be normalised in different ways.
        scene: The scene whose training views the surface is from, with masks.
        features: [N, D], unit length.
        config: Settings (`neighbors`, `superpoints`); the defaults if None.
        reach: Longest edge, in local point spacings; infinity keeps every edge.
        device: Where the votes of masks are added up, "cpu" or "cuda".
        team: Processes that share the counting of votes; None counts in this one.

    Returns:
        The graph, bound 1; edges ascending, each once, the smaller index first.

    Raises:
        RunError: No masks, or none that holds a point; a surface of another number of views.
        ValueError: Features of another shape, or that are not finite.
    """
    features = _checked_features(surface, features)
    config = config or SegmentConfig()
    edges = neighbor_edges(surface, config.neighbors, reach=reach)
    view = feature_view(surface, scene, features)
    graph = combined_edges(surface, edges, scene, view, device=device, team=team)
    if config.superpoints is None:
        return graph
    return join_combined(surface, scene, graph, superpoints(graph, config.superpoints), view)


def build_graph(
    surface: Surface,
    *,
    engine: Engine,
    scene: Scene | None = None,
    features: np.ndarray | None = None,
    config: SegmentConfig | None = None,
    reach: float = REACH,
    device: str = "cpu",
    team: Team | None = None,
) -> AffinityGraph:
    """The graph of an engine: `lift_graph`, `feature_graph` or `combined_graph`, where everything is explained.

    Args:
        surface: N points.
        engine: "lift" needs `scene`, "field" needs `features`, "both" needs both.
        scene: The scene of the surface, with masks.
        features: [N, D], unit length.
        config: Settings (`neighbors`, `superpoints`); the defaults if None.
        reach: Longest edge, in local point spacings.
        device: Where the votes of masks are added up, "cpu" or "cuda".
        team: Processes that share the counting of votes; None counts in this one.

    Raises:
        ConfigError: An unknown engine.
        RunError: "lift" or "both" without masks, or whose masks hold no point; a surface of another scene.
        ValueError: What the engine needs is missing or has the wrong shape, or features are not finite; an unknown
            device.
        BackendError: CUDA was asked for by name and cannot run here.
    """
    check_choice("engine", engine, ("field", "lift", "both"))
    device = device_name(device)
    if engine == "field":
        return feature_graph(surface, _given("features", features, engine), config=config, reach=reach)
    if engine == "lift":
        scene = _given("scene", scene, engine)
        return lift_graph(surface, scene, config=config, reach=reach, device=device, team=team)
    features, scene = _given("features", features, engine), _given("scene", scene, engine)
    return combined_graph(surface, scene, features, config=config, reach=reach, device=device, team=team)


def _given(name: str, value: _Value | None, engine: Engine) -> _Value:
    if value is None:
        raise ValueError(f"{name}: engine {engine!r} needs {'it' if name == 'scene' else 'them'}")
    return value


def _checked_features(surface: Surface, features: np.ndarray) -> np.ndarray:
    features = np.asarray(features)
    check_numbers("features", features)
    check_shape("features", features, (len(surface), None))
    if not np.isfinite(features).all():
        raise ValueError("features: expected finite numbers")
    return features if features.dtype.kind == "f" else features.astype(np.float32)
