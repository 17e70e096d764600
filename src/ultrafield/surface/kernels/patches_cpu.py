"""Pixels of a depth map on continuous patches, as rows of a table, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled

COLUMNS = 11  # x y z, nx ny nz, r g b, footprint, count
# Steps in depth from one pixel to the next, in pixel footprints: the tangent of the angle at which the surface is seen.
_STEEP = 1.5  # 56°: up to here any step may be a surface
_STRAIGHT = 0.5  # beyond, it is one if the step changes by no more than this part of itself


@compiled()
def patch_rows(depth, color, x, y, pose, focal, steepest, loose, first, last, rows, places):
    """Fill `rows` and `places` with what `surface_samples` says of some rows of a depth map.

    In one thread: callers that look at many views give each one a thread of its own.

    Args:
        depth: z-depth [H, W], 0 where nothing is seen.
        color: [H, W, 3].
        x, y: x/z and y/z of the ray through each pixel [H, W], float64; NaN for none.
        pose: Camera to world [3, 4], float64.
        focal: Focal length, pixels, of the depth map's dtype.
        steepest: Greatest step in depth, in footprints, that may be a surface.
        loose: Whether any such step is one, whatever the steps before and after it.
        first, last: The rows that are asked for: first … last − 1.
        rows: Output [≥ P, 11], float64, see `VoxelSums`.
        places: Row-major index of each row's pixel: output [≥ P], int64.

    Returns:
        P, how many pixels lie on a continuous patch.
    """
    width = depth.shape[1]
    across, right = np.full(width + 1, np.nan), np.empty(max(0, width - 1), np.bool_)
    steps, joins = np.empty((4, width)), np.empty((2, width), np.bool_)  # to the rows below, in turns
    for row in range(first - 2, first + 1):
        _steps_down(depth, focal, row, steps[row & 3])
    _join(steps[first - 2 & 3], steps[first - 1 & 3], steps[first & 3], steepest, loose, joins[first - 1 & 1])
    count = 0
    for row in range(first, last):
        for column in range(1, width):
            across[column] = _step(depth[row, column - 1], depth[row, column], focal)
        _join(across[:-2], across[1:-1], across[2:], steepest, loose, right)
        _steps_down(depth, focal, row + 1, steps[row + 1 & 3])
        _join(steps[row - 1 & 3], steps[row & 3], steps[row + 1 & 3], steepest, loose, joins[row & 1])
        above, below = joins[row - 1 & 1], joins[row & 1]
        for column in range(width):
            before, after = column > 0 and right[column - 1], column < width - 1 and right[column]
            if not ((before or after) and (above[column] or below[column])):
                continue
            ax, ay, az = _between(depth, x, y, row, column - before, row, column + after)
            dx, dy, dz = _between(depth, x, y, row - above[column], column, row + below[column], column)
            nx, ny, nz = ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            if not length > 0:
                continue
            z = np.float64(depth[row, column])
            px, py, nx, ny, nz = x[row, column] * z, y[row, column] * z, nx / length, ny / length, nz / length
            side = -np.sign(nx * px + ny * py + nz * z)  # the camera is at the local origin
            nx, ny, nz = nx * side, ny * side, nz * side
            for axis in range(3):
                place = px * pose[axis, 0] + py * pose[axis, 1] + z * pose[axis, 2] + pose[axis, 3]
                rows[count, axis] = place
                rows[count, 3 + axis] = nx * pose[axis, 0] + ny * pose[axis, 1] + nz * pose[axis, 2]
                rows[count, 6 + axis] = color[row, column, axis]
            rows[count, 9], rows[count, 10] = depth[row, column] / focal, 1.0
            places[count] = row * width + column
            count += 1
    return count


@compiled()
def _step(near, far, focal):
    """Step in depth from one pixel to the next, in footprints of the nearer one; NaN beside empty pixels."""
    return (np.float64(far) - np.float64(near)) / (min(near, far) / focal) if near > 0 and far > 0 else np.nan


@compiled()
def _steps_down(depth, focal, row, steps):
    """Fill `steps` [W] with those from one row to the next; NaN beyond the first and the last row."""
    if row < 0 or row + 1 >= len(depth):
        steps[:] = np.nan
        return
    for column in range(depth.shape[1]):
        steps[column] = _step(depth[row, column], depth[row + 1, column], focal)


@compiled()
def _join(before, steps, after, steepest, loose, joined):
    """Fill `joined` [N] with whether each step joins two pixels of one surface.

    A small step does. A greater one does only if the steps before and after it are like it, as on a plane seen at a
    grazing angle; where a blurred silhouette climbs from one surface to another within a few pixels, they are not.
    """
    for index in range(len(steps)):
        step, most = steps[index], _STRAIGHT * abs(steps[index])
        straight = loose or (abs(step - before[index]) <= most and abs(after[index] - step) <= most)
        joined[index] = abs(step) <= _STEEP or (straight and abs(step) <= steepest)


@compiled()
def _between(depth, x, y, row, column, other_row, other_column):
    """Vector from one pixel's point to another's, camera axes."""
    near, far = np.float64(depth[row, column]), np.float64(depth[other_row, other_column])
    across = x[other_row, other_column] * far - x[row, column] * near
    return across, y[other_row, other_column] * far - y[row, column] * near, far - near
