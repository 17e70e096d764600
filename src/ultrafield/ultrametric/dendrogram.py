"""Dendrograms: the clusters of a tree that are worth a name, drawn from the root down to the smallest ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendError
from .condense import CondensedTree, condense
from .substantial import substantial_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .tree import Tree

_MOST_NAMES = 40  # more ids than this along the axis cannot be read
_UPRIGHT = 12  # more than this do not fit side by side unless they are turned
_THIN, _THICK = 1.2, 7.0  # widths of lines, points
_BRIEF = 0.01  # lifetime, as a fraction of the tree's height, below which a cluster is not drawn
_TRUNK = "#41464f"


def plot(
    tree: Tree, *, ax: Axes | None = None, min_size: int | None = None, labels: Mapping[int, str] | None = None
) -> Axes:
    """Draw a dendrogram of a tree's substantial clusters.

    A cluster is a vertical line from the height at which it is complete to the height at which it is merged. A dot
    marks the foot of each cluster without smaller ones. Line widths and dots grow with the number of leaves. Smallest
    clusters that last for less than a hundredth of the tree's height are left out.

    Args:
        tree: A merge tree.
        ax: Axes of matplotlib to draw into; those of a new figure by default.
        min_size: Leaves that a cluster needs, ≥ 1; by default a thousandth of all, but at least 2.
        labels: Names of nodes by id, such as `EditedTree.names`, for any of the clusters shown. By default the smallest
            clusters are named by their ids, unless there are more than 40.

    Returns:
        The axes; `ax.figure.savefig("tree.png")` writes the picture.

    Raises:
        BackendError: Matplotlib is not installed.
        ValueError: `min_size` is below 1.
    """
    clusters = _lasting(condense(tree, substantial_size(tree, min_size)))
    if ax is None:
        ax = _new_axes(len(clusters) // 2 + 1)
    order, x = _places(clusters)
    color = _colors(clusters, x)
    _draw_branches(ax, clusters, x, color)
    _name_clusters(ax, clusters, order, x, labels)
    top = float(tree.heights[-1]) or 1.0
    ax.set_ylim(-0.02 * top, 1.08 * top)
    ax.set_xlim(-0.75, len(order) - 0.25)
    ax.set_ylabel("height")
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.tick_params(axis="x", length=0)
    return ax


def _lasting(clusters: CondensedTree) -> CondensedTree:
    """The clusters without those that merge almost as soon as they are complete and have nothing lasting inside."""
    keep = clusters.death - clusters.birth >= _BRIEF * clusters.birth[0]
    keep[0] = True
    for cluster in range(len(clusters) - 1, 0, -1):  # children come after their parents
        keep[clusters.parents[cluster]] |= keep[cluster]
    number = np.cumsum(keep) - 1
    for cluster in np.flatnonzero(~keep).tolist():
        number[cluster] = number[clusters.parents[cluster]]  # what it holds is its parent's
    return CondensedTree(
        nodes=clusters.nodes[keep],
        parents=np.append(-1, number[clusters.parents[keep][1:]]),
        birth=clusters.birth[keep],
        death=clusters.death[keep],
        sizes=clusters.sizes[keep],
        stability=clusters.stability[keep],
        of_leaf=number[clusters.of_leaf],
    )


def _new_axes(columns: int) -> Axes:
    """Axes of a new figure, wide enough for this many smallest clusters."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise BackendError("plot: matplotlib is not installed; pip install matplotlib") from None
    _, ax = pyplot.subplots(figsize=(min(max(5.0, 0.35 * columns + 1.5), 16.0), 4.5), layout="constrained")
    return ax


def _places(clusters: CondensedTree) -> tuple[np.ndarray, np.ndarray]:
    """The clusters with no cluster inside, from left to right [K], int64; and each cluster's position on x [C]."""
    inside: list[list[int]] = [[] for _ in range(len(clusters))]
    for cluster, parent in enumerate(clusters.parents.tolist()):
        if parent >= 0:
            inside[parent].append(cluster)
    order, waiting = [], [0]
    while waiting:
        cluster = waiting.pop()
        if not inside[cluster]:
            order.append(cluster)
        waiting.extend(sorted(inside[cluster], key=lambda part: clusters.sizes[part]))  # the largest is taken next
    x = np.zeros(len(clusters))
    x[order] = np.arange(len(order))
    for cluster in range(len(clusters) - 1, -1, -1):  # children come after their parents
        if inside[cluster]:
            x[cluster] = np.mean(x[inside[cluster]])
    return np.array(order), x


def _colors(clusters: CondensedTree, x: np.ndarray) -> np.ndarray:
    """A colour per cluster [C, 4]: hues from left to right, the greyer the more leaves the cluster has."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba

    hue = colormaps["turbo"](0.08 + 0.84 * x / max(x.max(), 1.0))
    grey = (clusters.sizes / clusters.sizes[0])[:, None]
    return (1 - grey) * hue + grey * np.array(to_rgba(_TRUNK))


def _draw_branches(ax: Axes, clusters: CondensedTree, x: np.ndarray, color: np.ndarray) -> None:
    """Draw a vertical line per cluster, the crossbar that joins it to its parent, and the dots."""
    from matplotlib.collections import LineCollection

    share = np.sqrt(clusters.sizes / clusters.sizes[0])
    width = _THIN + (_THICK - _THIN) * share
    birth, death = clusters.birth.astype(np.float64), clusters.death.astype(np.float64)
    death[0] = birth[0] + 0.05 * (birth[0] or 1.0)  # the root's line leads out of the picture
    upright = np.stack([np.stack([x, birth], 1), np.stack([x, death], 1)], 1)  # [C, 2 ends, xy]
    parents = clusters.parents[1:]
    across = np.stack([np.stack([x[1:], death[1:]], 1), np.stack([x[parents], death[1:]], 1)], 1)
    lines, colors = np.concatenate([across, upright]), np.concatenate([color[1:], color])
    widths = np.concatenate([width[1:], width])
    ax.add_collection(LineCollection(list(lines), colors=colors, linewidths=widths, capstyle="projecting"))
    foot = np.setdiff1d(np.arange(len(clusters)), clusters.parents)
    ax.scatter(
        x[foot], birth[foot], s=20 + 300 * share[foot] ** 2, c=color[foot], zorder=3, edgecolors="white", linewidths=0.5
    )


def _name_clusters(
    ax: Axes, clusters: CondensedTree, order: np.ndarray, x: np.ndarray, labels: Mapping[int, str] | None
) -> None:
    """Write names of smallest clusters under the picture, and those of larger ones beside their lines."""
    ids = clusters.nodes.tolist()
    smallest = set(order.tolist())
    if labels is None:
        labels = {ids[cluster]: str(ids[cluster]) for cluster in smallest} if len(order) <= _MOST_NAMES else {}
    named = [cluster for cluster in order.tolist() if ids[cluster] in labels]
    names = [labels[ids[cluster]] for cluster in named]
    turned = len(named) > _UPRIGHT or any(len(name) > 8 for name in names)
    ax.set_xticks(x[named], names, rotation=60 if turned else 0, ha="right" if turned else "center")
    for cluster, node in enumerate(ids):
        if node in labels and cluster not in smallest:
            place = (x[cluster], float(clusters.birth[cluster]))
            ax.annotate(labels[node], place, (5, 4), textcoords="offset points", ha="left", va="bottom", fontsize=9)
