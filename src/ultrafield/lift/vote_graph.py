"""Edges weighed by the masks of all views, each on its own, and guesses where no view sees both ends."""

from __future__ import annotations

import numpy as np

from ..scene import Scene
from ..sharing import Team
from ..surface import Surface
from ..ultrametric import AffinityGraph
from .votes import mask_votes


def vote_graph(
    surface: Surface, edges: np.ndarray, scene: Scene, *, device: str = "cpu", team: Team | None = None
) -> AffinityGraph:
    """The share of masks that hold only one end of an edge, for every edge on its own.

    Args:
        surface: N points.
        edges: [E, 2], int64.
        scene: The scene of the surface, with masks.
        device: Where votes are added up, see `mask_votes`.
        team: Processes that share the counting, see there too.

    Raises:
        RunError: No masks, or none that holds a point; a surface of another scene.
    """
    both, either = mask_votes(surface, edges, scene, device=device, team=team)
    # Rounding may carry equal sums a hair past each other.
    dissimilarity = np.clip(1.0 - both / np.where(either > 0, either, 1.0), 0.0, 1.0)
    dissimilarity = fill_unseen(len(surface), edges, dissimilarity, either)
    return AffinityGraph(len(surface), edges, dissimilarity.astype(np.float32), either.astype(np.float32), 1.0)


def fill_unseen(num_nodes: int, edges: np.ndarray, dissimilarity: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Give edges without evidence the mean of the edges around them.

    Missing evidence is neither evidence of a border nor of its absence. A node's value is the evidence-weighted mean
    of its edges, or of its neighbours' values where it has none with evidence, and so on outwards; an edge takes the
    mean of its ends. Parts of the graph without any evidence take the mean of all edges with evidence.

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
        valued = np.isfinite(values)
        rim = guesses[valued[guesses[:, 0]] != valued[guesses[:, 1]]]  # edges with a value at one end
        if len(rim) == 0:
            break
        source = np.where(valued[rim[:, 0]], rim[:, 0], rim[:, 1])
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
