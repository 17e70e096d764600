"""Loops over points: which one a ray meets, what colour each is shown in, how large a node is."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def balls_around(points, size):
    """Balls that hold `size` points of a list each: middles [B, 3] and radii [B], float64."""
    count = (len(points) + size - 1) // size
    middles, radii = np.zeros((count, 3)), np.zeros(count)
    for block in range(count):
        begin, end = block * size, min(len(points), (block + 1) * size)
        for axis in range(3):
            low = high = np.float64(points[begin, axis])
            for index in range(begin + 1, end):
                low, high = min(low, points[index, axis]), max(high, points[index, axis])
            middles[block, axis] = 0.5 * (low + high)
        farthest = 0.0
        for index in range(begin, end):
            distance = 0.0
            for axis in range(3):
                distance += (points[index, axis] - middles[block, axis]) ** 2
            farthest = max(farthest, distance)
        radii[block] = np.sqrt(farthest)
    return middles, radii


@compiled()
def first_met(points, middles, radii, size, origin, direction, radius, spread):
    """Index of the point that a ray meets, −1 for none.

    Of the points within `radius` of the ray the nearest to its origin; where there is none, of those within a cone
    that is `spread` wide at distance 1 the one that lies nearest to the axis. Blocks of `size` points whose ball (see
    `balls_around`) lies beside all that, or behind what was met, are left out.
    """
    best, best_depth = -1, np.inf
    near, near_slope = -1, spread * spread
    for block in range(len(radii)):
        x, y, z = middles[block, 0] - origin[0], middles[block, 1] - origin[1], middles[block, 2] - origin[2]
        depth = x * direction[0] + y * direction[1] + z * direction[2]
        if depth + radii[block] <= 0.0 or depth - radii[block] > best_depth:
            continue
        reach = 1.000001 * (radii[block] + max(radius, spread * (depth + radii[block])))  # more than rounding takes
        if x * x + y * y + z * z - depth * depth > reach * reach:
            continue
        for index in range(block * size, min(len(points), (block + 1) * size)):
            x, y, z = points[index, 0] - origin[0], points[index, 1] - origin[1], points[index, 2] - origin[2]
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
def paint(chosen, labels, table, photo, from_table, lit, faded, out):
    """Colours of points: their segment's or their own; those that are not lit fade.

    chosen [n]: which points; labels [N] nodes; table [K, 3] colours of nodes; photo [N, 3]; lit [N]; faded [3, 256]:
    what becomes of each value of red, green and blue; out [n, 3].
    """
    for place in range(len(chosen)):
        index = chosen[place]
        if from_table:
            node = labels[index]
            red, green, blue = table[node, 0], table[node, 1], table[node, 2]
        else:
            red, green, blue = photo[index, 0], photo[index, 1], photo[index, 2]
        if not lit[index]:
            red, green, blue = faded[0, red], faded[1, green], faded[2, blue]
        out[place, 0], out[place, 1], out[place, 2] = red, green, blue


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


@compiled()
def segment_above(parents, heights, leaf, height):
    """The segment that holds a leaf when the tree is cut at a height."""
    node = leaf
    while parents[node] != node and not heights[parents[node]] > height:
        node = parents[node]
    return node


@compiled()
def segments_along(parents, heights, sizes, order, height):
    """The segments of a cut in the order of `leaf_runs` [K], int64."""
    out = np.empty(len(order), np.int64)
    place, count = 0, 0
    while place < len(order):
        node = segment_above(parents, heights, order[place], height)
        out[count] = node
        place += sizes[node]
        count += 1
    return out[:count].copy()
