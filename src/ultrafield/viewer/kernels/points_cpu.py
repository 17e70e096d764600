"""Loops over points: which one a ray meets, what colour each is shown in, how large a node is."""

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
def paint(labels, table, photo, from_table, lit, faded, out):
    """Colours of points: their segment's or their own; those that are not lit fade.

    labels [N] nodes; table [K, 3] colours of nodes; photo [N, 3]; lit [N]; faded [3, 256]: what becomes of each value
    of red, green and blue.
    """
    for index in range(len(labels)):
        if from_table:
            node = labels[index]
            red, green, blue = table[node, 0], table[node, 1], table[node, 2]
        else:
            red, green, blue = photo[index, 0], photo[index, 1], photo[index, 2]
        if not lit[index]:
            red, green, blue = faded[0, red], faded[1, green], faded[2, blue]
        out[index, 0], out[index, 1], out[index, 2] = red, green, blue


@compiled()
def moments(points, chosen):
    """Mean [3] and scatter matrix [3, 3] of some points, float64; chosen [M] are their indices."""
    mean, scatter = np.zeros(3), np.zeros((3, 3))
    for index in chosen:
        for axis in range(3):
            mean[axis] += points[index, axis]
    mean /= max(1, len(chosen))
    for index in chosen:
        x, y, z = points[index, 0] - mean[0], points[index, 1] - mean[1], points[index, 2] - mean[2]
        scatter[0, 0] += x * x
        scatter[0, 1] += x * y
        scatter[0, 2] += x * z
        scatter[1, 1] += y * y
        scatter[1, 2] += y * z
        scatter[2, 2] += z * z
    for row in range(1, 3):
        for column in range(row):
            scatter[row, column] = scatter[column, row]
    return mean, scatter


@compiled()
def extents(points, chosen, directions):
    """How far some points reach along directions [D, 3]: least and largest [2, D], float64; chosen [M] are indices."""
    reach = np.empty((2, len(directions)))
    reach[0], reach[1] = np.inf, -np.inf
    for index in chosen:
        x, y, z = np.float64(points[index, 0]), np.float64(points[index, 1]), np.float64(points[index, 2])
        for number in range(len(directions)):
            along = x * directions[number, 0] + y * directions[number, 1] + z * directions[number, 2]
            reach[0, number] = min(reach[0, number], along)
            reach[1, number] = max(reach[1, number], along)
    return reach


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
