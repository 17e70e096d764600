"""Labels carried over from the surface to points, meshes and Gaussians of the user's."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import memory
from ..errors import SceneError, first_line
from ..extras import require
from ..io import write_npz
from ..models import load_model, read_vertices
from ..reading import read_bytes, read_head
from .ply import coordinate_type, write_ply
from .point_files import each_segment, file_name
from .segments import Segments

_NEAR = 3.0  # spacings of the surface points within which a point has their label
_AT_ONCE = 1 << 18
_HEADER = 1 << 16  # bytes in which a PLY file says what it holds
_SPLAT = ("opacity", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3")


@dataclass(frozen=True, eq=False)
class Given:
    """What labels are carried to.

    Attributes:
        points: [P, 3], float64, user's frame; rows that are not finite have no label.
        rows: All properties of the vertices of a PLY file, structured [P]; None of other files.
        faces: Triangles [F, 3] of a mesh; None of points.
        sizes: How far from each point its own surface may lie [P], user's units.
    """

    points: np.ndarray
    rows: np.ndarray | None = None
    faces: np.ndarray | None = None
    sizes: np.ndarray | None = None


def read_given(path: Path) -> Given:
    """Points or meshes of a file: PLY, LAS and LAZ, NPY [P, 3], XYZ, and every mesh that `load_model` reads.

    Raises:
        SceneError: The file cannot be read or holds neither points nor a mesh.
        BackendError: A LAS file, and laspy is not installed.
    """
    kind = path.suffix.lower()
    if kind in (".las", ".laz"):
        return Given(_las_points(path))
    if kind == ".npy":
        from ..reading import read_npy

        points = read_npy(path)
        if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
            raise SceneError(f"{path}: expected points [P, 3], found {list(points.shape)} {points.dtype}")
        return Given(points[:, :3].astype(np.float64))
    if kind == ".xyz":
        return Given(_xyz_points(path))
    if kind == ".ply" and not _has_faces(path):
        rows = read_vertices(path).rows
        names = rows.dtype.names or ()
        missing = [axis for axis in "xyz" if axis not in names]
        if missing:
            raise SceneError(f"{path}: its vertices lack {', '.join(missing)}")
        with np.errstate(invalid="ignore"):  # NaNs that signal
            points = np.stack([rows[axis].astype(np.float64) for axis in "xyz"], axis=1)
        return Given(points, rows=rows)
    mesh: Any = load_model(path, process=False).to_mesh()
    return Given(np.asarray(mesh.vertices, np.float64), faces=np.asarray(mesh.faces, np.int64))


def read_gaussians(path: Path) -> Given:
    """Gaussians of a PLY file of 3D Gaussian splatting.

    Raises:
        SceneError: The file cannot be read, or holds no Gaussians.
    """
    given = read_given(path)
    names = (given.rows.dtype.names or ()) if given.rows is not None else ()
    missing = [name for name in _SPLAT if name not in names]
    if given.rows is None or missing:
        raise SceneError(f"{path}: no Gaussian splats; its vertices lack {', '.join(missing)}")
    with np.errstate(over="ignore", invalid="ignore"):  # the latter for NaNs that signal
        scales = [given.rows[name].astype(np.float64) for name in ("scale_0", "scale_1", "scale_2") if name in names]
        sizes = np.nan_to_num(np.exp(np.max(scales, axis=0)), nan=0.0, posinf=0.0)
    return Given(given.points, rows=given.rows, sizes=sizes)


def carry_labels(segments: Segments, given: Given, *, distance: float | None = None) -> dict[str, np.ndarray]:
    """Columns `instance_id` and one per level for the user's points [P], int32: those of the nearest surface point.

    Args:
        segments: Surface and labels.
        given: The user's points.
        distance: How far away that point may be, user's units; three spacings of the surface if None. A Gaussian's
            surface may also lie as far away as the Gaussian is large, up to as much again.

    Returns:
        The columns; −1 beyond the distance.
    """
    from scipy.spatial import cKDTree

    surface = segments.surface
    tree = cKDTree(surface.points)
    limit = _NEAR * surface.voxel_user if distance is None else distance
    columns = {name: np.full(len(given.points), -1, np.int32) for name in segments.columns()}
    labels = {name: np.append(values, np.int32(-1)) for name, values in segments.columns().items()}
    scale, to_frame = surface.to_user.scale, surface.to_user.inverse()
    for first in range(0, len(given.points), _AT_ONCE):
        here = slice(first, first + _AT_ONCE)
        points = given.points[here]
        good = np.isfinite(points).all(axis=1)
        reach = np.full(len(points), limit)
        if given.sizes is not None:
            reach = np.maximum(reach, np.minimum(given.sizes[here], 2.0 * limit))
        where = np.zeros_like(points)
        where[good] = to_frame.apply(points[good])
        far, nearest = tree.query(where, distance_upper_bound=float(reach.max(initial=0.0)) / scale, workers=-1)
        nearest = np.where(good & (far * scale <= reach), nearest, len(surface))
        for name, values in labels.items():
            columns[name][here] = values[nearest]
    return columns


def write_onto(folder: Path, stem: str, columns: dict[str, np.ndarray], given: Given) -> None:
    """Write `STEM.ply`, the user's points with integer columns, and `STEM.npz`, the columns alone in the same order.

    A mesh keeps its triangles; `STEM.npz` then has `face_` and the column's name for its triangles too: the label that
    most of a triangle's corners have, the first one's if all differ.
    """
    arrays = dict(columns)
    if given.faces is not None:
        arrays |= {f"face_{name}": _of_faces(values, given.faces) for name, values in columns.items()}
    write_npz(folder / f"{stem}.npz", **arrays)
    if given.rows is None:
        kind = coordinate_type(given.points, 1.0)
        own: dict[str, np.ndarray] = dict(zip("xyz", given.points.astype(kind).T, strict=True))
    else:
        own = {name: given.rows[name] for name in given.rows.dtype.names or () if name not in columns}
    write_ply(folder / f"{stem}.ply", own | columns, faces=given.faces)


def write_splats(
    folder: Path, stem: str, columns: dict[str, np.ndarray], given: Given, segments: Segments, split: int | None
) -> int:
    """Write `STEM.npz`, the ids of every Gaussian in the file's order, and with `split` a clean PLY for each segment.

    Clean files have the properties of the user's file and no other, as extra ones break readers. Returns their number.
    """
    write_npz(folder / f"{stem}.npz", **columns)
    if split is None:
        return 0
    assert given.rows is not None
    names, count = given.rows.dtype.names or (), 0
    column = columns[segments.levels[split].column]
    for index, _ in each_segment(segments, split):
        rows = given.rows[column == segments.ids[index]]
        if len(rows) > 0:
            write_ply(folder / "segments" / f"{file_name(segments, index)}.ply", {name: rows[name] for name in names})
            count += 1
    return count


def _of_faces(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = values[faces]
    return np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0]).astype(np.int32)


def _has_faces(path: Path) -> bool:
    """Whether a PLY file's header announces faces."""
    lines = read_head(path, _HEADER).split(b"end_header")[0].split(b"\n")
    return any(line.startswith(b"element face ") and line.split()[-1] != b"0" for line in lines)


def _las_points(path: Path) -> np.ndarray:
    laspy = require("laspy", "laz")
    data = read_bytes(path, most=memory() // 4)
    try:
        record = laspy.read(io.BytesIO(data))
        return np.stack([np.asarray(axis, np.float64) for axis in (record.x, record.y, record.z)], axis=1)
    except Exception as failure:  # laspy and its decoders raise many kinds
        raise SceneError(f"{path}: cannot be read ({first_line(failure)})") from None


def _xyz_points(path: Path) -> np.ndarray:
    try:
        rows = [line.split()[:3] for line in read_bytes(path).decode().splitlines() if line.strip()]
        points = np.array(rows, np.float64).reshape(-1, 3)
    except (UnicodeDecodeError, ValueError):
        raise SceneError(f"{path}: expected a line of three numbers for each point") from None
    return points
