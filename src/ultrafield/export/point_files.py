"""Points with the id of their segment at every level, as PLY and LAZ."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..extras import require
from ..io import atomic_write
from .ply import position_columns, write_ply
from .segments import Segments

_LONGEST = 40  # characters of a name in a file name
_STEPS = 1e-3  # of a LAZ coordinate, as a part of the points' spacing
_INTEGERS = 2.0**30  # LAZ coordinates are 32-bit integers times a step


def write_segment_ply(path: Path, segments: Segments, chosen: np.ndarray | None = None) -> None:
    """Write points as PLY: x y z, nx ny nz, red green blue, `instance_id`, and one integer column per level.

    Args:
        path: Target.
        segments: What to write.
        chosen: Which points [N], bool; those that are not left out if None.
    """
    surface, rows = segments.surface, segments.kept if chosen is None else chosen
    columns = position_columns(surface.points_user[rows], surface.voxel_user)
    columns |= zip(("nx", "ny", "nz"), surface.normals_user[rows].T, strict=True)
    columns |= zip(("red", "green", "blue"), surface.colors[rows].T, strict=True)
    columns |= {name: values[rows] for name, values in segments.columns().items()}
    comments = [f"{level.column}: cut at height {level.height:.6g}" for level in segments.levels]
    write_ply(path, columns, comments=["ids are explained in labels.json", *comments])


def write_segment_laz(path: Path, segments: Segments, chosen: np.ndarray | None = None) -> None:
    """Write points as LAZ (or LAS, by the ending), with an extra dimension `instance_id` and one for each level.

    Raises:
        BackendError: laspy or lazrs is not installed.
    """
    laspy = require("laspy", "laz")
    require("lazrs", "laz")
    surface, rows = segments.surface, segments.kept if chosen is None else chosen
    points = surface.points_user[rows]
    header = laspy.LasHeader(point_format=7, version="1.4")
    low, high = points.min(axis=0, initial=np.inf), points.max(axis=0, initial=-np.inf)
    extent = float((high - low).max(initial=0.0)) if len(points) else 0.0
    header.offsets = np.floor(low) if len(points) else np.zeros(3)
    header.scales = np.full(3, max(_STEPS * surface.voxel_user, (extent + 1.0) / _INTEGERS))
    for name in segments.columns():
        header.add_extra_dim(laspy.ExtraBytesParams(name=name, type=np.int32))
    record = laspy.LasData(header)
    record.x, record.y, record.z = points.T
    record.red, record.green, record.blue = (257 * surface.colors[rows].T.astype(np.uint16)).astype(np.uint16)
    for name, values in segments.columns().items():
        record[name] = values[rows]
    buffer = io.BytesIO()
    record.write(buffer, do_compress=path.suffix.lower() == ".laz")
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def write_each(
    folder: Path,
    segments: Segments,
    level: int,
    ending: str,
    write: Callable[[Path, Segments, np.ndarray], None],
) -> int:
    """Write the points of every segment of a level to a file of its own; returns how many.

    Segments too small to be more than crumbs are left out; their points are in the file of all.
    """
    count = 0
    for index, chosen in each_segment(segments, level):
        write(folder / f"{file_name(segments, index)}{ending}", segments, chosen)
        count += 1
    return count


def each_segment(segments: Segments, level: int) -> Iterator[tuple[int, np.ndarray]]:
    """Index and points [N] bool of the segments of a level, crumbs left out, the largest first."""
    column = segments.labels[:, level]
    order = np.argsort(column, kind="stable")
    order = order[np.searchsorted(column[order], 0) :]
    ids, first = np.unique(column[order], return_index=True)
    places = segments.index_of(ids)
    groups = np.split(order, first[1:]) if len(ids) else []
    large = np.flatnonzero((segments.sizes[places] >= segments.least) | (places == 0))
    for item in sorted(large.tolist(), key=lambda item: (-len(groups[item]), item)):
        chosen = np.zeros(len(column), bool)
        chosen[groups[item]] = True
        yield int(places[item]), chosen


def plain_name(text: str, longest: int) -> str:
    """The letters, digits, `_` and `-` of a text, a dash for whatever else there is; empty if nothing is left."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:longest]


def file_name(segments: Segments, index: int) -> str:
    """A node's id and, as far as it is plain ASCII, its name."""
    plain = plain_name(segments.names[index], _LONGEST).strip("-")
    return f"{segments.ids[index]}_{plain}" if plain else str(segments.ids[index])
