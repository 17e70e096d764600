"""The size of a node, in the user's units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..surface import Surface
from ..surface.shells import spacings
from .kernels.points_cpu import extents, moments
from .session import Session


@dataclass(frozen=True, eq=False)
class Measure:
    """The extent of a node, user's frame and units.

    Attributes:
        points: Number of surface points.
        low: Lowest corner of the box along the axes [3].
        high: Highest corner [3].
        lengths: Edges of the smallest box that its points lie in when turned along their main directions [3],
            descending.
        area: About how large its surface is, from the number and distance of points.
    """

    points: int
    low: np.ndarray
    high: np.ndarray
    lengths: np.ndarray
    area: float

    @property
    def size(self) -> np.ndarray:
        """Edges of the box along the axes [3]."""
        return self.high - self.low

    @property
    def diagonal(self) -> float:
        """Diagonal of the box along the axes."""
        return float(np.linalg.norm(self.size))


def measure(session: Session, lasting: int) -> Measure:
    """Measure a node, from the points of its surface that views have seen.

    Raises:
        ViewError: There is no such node.
    """
    return measured(session.surface, session.leaves(lasting))


def measured(surface: Surface, leaves: np.ndarray) -> Measure:
    """Measure some points of a surface.

    Args:
        surface: N points.
        leaves: Indices of at least one of them [M], int64.
    """
    to_user = surface.to_user
    _, scatter = moments(surface.points, leaves)
    _, axes = np.linalg.eigh(scatter)  # a similarity turns them and changes nothing else
    reach = to_user.scale * extents(surface.points, leaves, np.concatenate([to_user.rotation, axes.T]))
    lengths = np.sort(reach[1, 3:] - reach[0, 3:])[::-1]
    area = float(np.square(to_user.scale * spacings(surface.points[leaves], surface.voxel, surface.inner)).sum())
    return Measure(len(leaves), reach[0, :3] + to_user.translation, reach[1, :3] + to_user.translation, lengths, area)


def box_edges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The 12 edges of a box as segments [12, 2, 3]."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    first, second = np.triu_indices(8, 1)
    edges = (np.abs(corners[first] - corners[second]).sum(axis=1) == 1).nonzero()[0]
    ends = np.stack([corners[first[edges]], corners[second[edges]]], axis=1)
    return low + ends * (high - low)
