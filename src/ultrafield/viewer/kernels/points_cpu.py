"""Loops over all points: which one a ray meets, and what colour each is shown in."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def first_met(points, shown, origin, direction, radius, spread):
    """Index of the point that a ray meets, −1 for none.

    Of the points within `radius` of the ray the nearest to its origin; where there is none, of those within a cone
    that is `spread` wide at distance 1 the one that lies nearest to the axis.
    """
    best, best_depth = -1, np.inf
    near, near_slope = -1, spread * spread
    for index in range(len(points)):
        if not shown[index]:
            continue
        x = points[index, 0] - origin[0]
        y = points[index, 1] - origin[1]
        z = points[index, 2] - origin[2]
        depth = x * direction[0] + y * direction[1] + z * direction[2]
        if depth <= 0.0:
            continue
        off = x * x + y * y + z * z - depth * depth
        if off <= radius * radius:
            if depth < best_depth:
                best, best_depth = index, depth
        elif off <= near_slope * depth * depth:
            near, near_slope = index, off / (depth * depth)
    return best if best >= 0 else near


@compiled()
def paint(labels, table, photo, from_table, lit, dim, backdrop, out):
    """Colours of points: their segment's or their own; those that are not lit fade towards the backdrop.

    labels [N] nodes; table [K, 3] colours of nodes; photo [N, 3]; lit [N]; dim: part of the colour that stays.
    """
    for index in range(len(labels)):
        for channel in range(3):
            value = table[labels[index], channel] if from_table else photo[index, channel]
            if not lit[index]:
                value = np.uint8(dim * value + (1.0 - dim) * backdrop[channel])
            out[index, channel] = value


@compiled()
def leaf_runs(parents, sizes, num_leaves):
    """Leaves in an order in which those of every node follow one another [n], and where each node's begin [2n − 1]."""
    begin = np.zeros(len(parents), np.int64)
    taken = np.zeros(len(parents), np.int64)
    order = np.empty(num_leaves, np.int64)
    for node in range(len(parents) - 2, -1, -1):
        above = parents[node]
        begin[node] = begin[above] + taken[above]
        taken[above] += sizes[node]
    for leaf in range(num_leaves):
        order[begin[leaf]] = leaf
    return order, begin
