"""How many points of whole regions of a surface the masks of all views hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..budget import release_memory
from ..parallel import in_threads
from ..scene import Scene
from ..surface import Surface
from .masked_views import masked_views
from .view_votes import ViewVotes, code_workers, view_votes

if TYPE_CHECKING:
    from .kernels.rows_cpu import Rows

_PLACED_AT_ONCE = 100  # views


def memberships(surface: Surface, scene: Scene, labels: np.ndarray, regions: int) -> Rows:
    """Count the points of each region in each mask; masks are numbered through all views.

    Args:
        surface: N points.
        scene: The scene of the surface, with masks.
        labels: Region of every point [N], int64.
        regions: Number of regions R.

    Returns:
        What the regions hold, with room for rows to grow.

    Raises:
        RunError: The surface belongs to another number of views, or no training view has masks.
    """
    from .kernels.members_cpu import place_rows
    from .kernels.rows_cpu import Rows

    bounds = _starts_of(np.bincount(labels, minlength=regions))
    lengths, parts, sums = _counted(surface, scene, labels, bounds)
    columns, counts, weights = ([part[item] for part in parts] for item in range(3))
    del parts
    starts = _starts_of(lengths.sum(axis=0, dtype=np.int64))
    at, first = starts[:-1].copy(), _starts_of([len(part) for part in weights])
    room = 2 * int(starts[-1])  # rows grow when they are merged; the system gives memory when it is written to
    to_columns, to_counts = np.empty(room, np.int32), np.empty(room, np.float32)
    for view in range(len(columns)):
        place_rows(lengths[view], columns[view], np.int32(first[view]), counts[view], at, to_columns, to_counts)
        columns[view] = counts[view] = np.zeros(0)
        if (view + 1) % _PLACED_AT_ONCE == 0:
            release_memory()  # of the views that are placed: there is not room for both
    return Rows(
        starts=starts,
        columns=to_columns,
        counts=to_counts,
        weights=np.concatenate(weights) if weights else np.zeros(1),
        sums=sums,
        sizes=np.diff(bounds).astype(np.float64),
    )


def _counted(
    surface: Surface, scene: Scene, labels: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, list[tuple[np.ndarray, ...]], np.ndarray]:
    """What the masks of each view hold of R regions, the points of which `bounds` tells apart [R + 1].

    Returns:
        Masks of each region in each view [V, R], int32; of each view these masks, how many points they hold, in the
        smallest integers that suffice, and the weights of all its masks; and the sums of `Rows` [R, 2 V].
    """
    from .kernels.members_cpu import count_rows

    order = np.argsort(labels, kind="stable")
    small = np.uint16 if np.diff(bounds).max(initial=0) < 1 << 16 else np.uint32
    count = max(1, len(masked_views(surface, scene)))  # every view may have an empty list of masks
    lengths, sums = np.zeros((count, len(bounds) - 1), np.int32), np.zeros((2 * count, len(bounds) - 1))

    def counted(numbered: tuple[int, ViewVotes]) -> tuple[np.ndarray, ...]:
        view, votes = numbered
        most, ours = int(votes.points.sum()), np.uint16 if len(votes.weights) <= 1 << 16 else np.int32
        columns, counts = np.empty(most, ours), np.empty(most, small)
        into = (lengths[view], columns, counts, sums[view], sums[count + view])
        held = count_rows(votes.codes, votes.seen, order, bounds, votes.weights, *into)
        return columns[:held].copy(), counts[:held].copy(), votes.weights

    votes = enumerate(view_votes(surface, scene))
    parts = list(in_threads(counted, votes, workers=code_workers(surface, scene)))
    return lengths, parts, np.ascontiguousarray(sums.T)


def _starts_of(lengths: np.ndarray | list[int]) -> np.ndarray:
    """Where each of some parts begins that lie side by side, and where the last one ends [parts + 1], int64."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
