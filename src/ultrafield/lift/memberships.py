"""How many points of whole regions of a surface the masks of all views hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..parallel import in_threads
from ..scene import Scene
from ..surface import Surface
from .view_votes import ViewVotes, code_workers, view_votes


@dataclass(frozen=True)
class Memberships:
    """How many points of each of R regions every mask of every view holds; rows are sparse.

    Attributes:
        starts: Where each region's row begins [R + 1], int64.
        columns: Masks that hold points of it [nnz], int32, numbered through all views.
        counts: How many [nnz], float64.
        weights: Weight of every mask [K], float64.
        seen: Points of each region that each view sees [R, V], float64.
        weighted: The same points, each with the summed weights of the masks that hold it [R, V], float64.
        sizes: Points of each region [R], float64.
    """

    starts: np.ndarray
    columns: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    seen: np.ndarray
    weighted: np.ndarray
    sizes: np.ndarray


def memberships(surface: Surface, scene: Scene, labels: np.ndarray, regions: int) -> Memberships:
    """Count the points of each region in each mask.

    Args:
        surface: N points.
        scene: The scene of the surface, with masks.
        labels: Region of every point [N], int64.
        regions: Number of regions R.
    """
    from .kernels.members_cpu import count_rows, join_rows

    order = np.argsort(labels, kind="stable")
    bounds = _starts(np.bincount(labels, minlength=regions))

    def counted(view: ViewVotes) -> tuple[np.ndarray, ...]:
        most = int(view.points.sum())
        return *count_rows(view.codes, view.seen, order, bounds, view.weights, most), view.weights

    views = list(in_threads(counted, view_votes(surface, scene), workers=code_workers(surface, scene)))
    if not views:  # every view has an empty list of masks
        views = [(*(np.zeros(size, kind) for size, kind in _nothing(regions)), np.zeros(1))]
    lengths, columns, counts, seen, weighted, weights = (list(parts) for parts in zip(*views, strict=True))
    del views
    first = _starts([len(part) for part in weights])
    for view, part in enumerate(columns):
        part += np.int32(first[view])
    table = np.stack(lengths)
    begins = _starts(table.ravel())[:-1].reshape(table.shape)
    rows = np.concatenate(columns), np.concatenate(counts)
    del columns, counts
    joined = np.empty_like(rows[0]), np.empty_like(rows[1])
    join_rows(table, begins, *rows, *joined)
    return Memberships(
        starts=_starts(table.sum(axis=0, dtype=np.int64)),
        columns=joined[0],
        counts=joined[1],
        weights=np.concatenate(weights),
        seen=np.stack(seen, axis=1),
        weighted=np.stack(weighted, axis=1),
        sizes=np.diff(bounds).astype(np.float64),
    )


def _starts(lengths: np.ndarray | list[int]) -> np.ndarray:
    """Where each of some parts begins that lie side by side, and where the last one ends [parts + 1], int64."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _nothing(regions: int) -> tuple[tuple[int, type], ...]:
    """Sizes and types of what `count_rows` returns for a view without masks."""
    return (regions, np.int32), (0, np.int32), (0, np.float64), (regions, np.float64), (regions, np.float64)
