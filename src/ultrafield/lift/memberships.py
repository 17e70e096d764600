"""How many points of whole regions of a surface the masks of all views hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..parallel import in_threads
from ..scene import Scene
from ..surface import Surface
from .view_votes import ViewVotes, code_workers, view_votes

if TYPE_CHECKING:
    from .kernels.rows_cpu import Rows


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
    from .kernels.members_cpu import count_rows, place_rows
    from .kernels.rows_cpu import Rows

    order = np.argsort(labels, kind="stable")
    bounds = _starts_of(np.bincount(labels, minlength=regions))

    def counted(view: ViewVotes) -> tuple[np.ndarray, ...]:
        most = int(view.points.sum())
        return *count_rows(view.codes, view.seen, order, bounds, view.weights, most), view.weights

    views = list(in_threads(counted, view_votes(surface, scene), workers=code_workers(surface, scene)))
    if not views:  # every view has an empty list of masks
        views = [(*(np.zeros(size, kind) for size, kind in _nothing(regions)), np.zeros(1))]
    lengths, columns, counts, seen, weighted, weights = (list(parts) for parts in zip(*views, strict=True))
    del views
    sums = np.stack([*seen, *weighted], axis=1)
    del seen, weighted
    starts = _starts_of(sum(part.astype(np.int64) for part in lengths))
    at, first = starts[:-1].copy(), _starts_of([len(part) for part in weights])
    room = 2 * int(starts[-1])  # rows grow when they are merged; the system gives memory when it is written to
    to_columns, to_counts = np.empty(room, np.int32), np.empty(room, np.float32)
    for view, own in enumerate(lengths):
        place_rows(own, columns[view] + np.int32(first[view]), counts[view], at, to_columns, to_counts)
        columns[view] = counts[view] = np.zeros(0)  # the memory is needed
    return Rows(
        starts=starts,
        columns=to_columns,
        counts=to_counts,
        weights=np.concatenate(weights),
        sums=sums,
        sizes=np.diff(bounds).astype(np.float64),
    )


def _starts_of(lengths: np.ndarray | list[int]) -> np.ndarray:
    """Where each of some parts begins that lie side by side, and where the last one ends [parts + 1], int64."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _nothing(regions: int) -> tuple[tuple[int, type], ...]:
    """Sizes and types of what `count_rows` returns for a view without masks."""
    return (regions, np.int32), (0, np.int32), (0, np.float32), (regions, np.float64), (regions, np.float64)
