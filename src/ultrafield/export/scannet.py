"""Segments in the files of ScanNet: a mesh, an over-segmentation of its vertices, and aggregations of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io import write_json
from .parts import PartMesh
from .ply import position_columns, write_ply
from .segments import Segments

_STEM = "_vh_clean_2"


def write_scannet(folder: Path, stem: str, segments: Segments, parts: Sequence[PartMesh]) -> None:
    """Write `STEM_vh_clean_2.ply`, `STEM_vh_clean_2.0.010000.segs.json` and aggregations.

    `segIndices` of a vertex is the lasting id of its segment at the finest level. Each coarser level has an aggregation
    `STEM_LEVEL.aggregation.json`; `STEM.aggregation.json` is that of the level above the finest. A group has `label`
    (the name, "segment" without one), `objectId`, the ids of its segments, and `node`, its lasting id.
    """
    vertices = np.concatenate([part.vertices for part in parts] or [np.zeros((0, 3))])
    colors = np.concatenate([part.colors for part in parts] or [np.zeros((0, 3), np.uint8)])
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + offset for part, offset in zip(parts, offsets, strict=False)]
    ids = np.repeat([segments.ids[part.index] for part in parts], np.diff(offsets)).astype(np.int64)
    columns = position_columns(vertices, segments.surface.voxel_user)
    columns |= zip(("red", "green", "blue"), colors.T, strict=True)
    file = f"{stem}{_STEM}.ply"
    write_ply(folder / file, columns, faces=np.concatenate(faces or [np.zeros((0, 3), np.int64)]))
    segs = f"{stem}{_STEM}.0.010000.segs.json"
    content = {"params": {"kThresh": "0.0001", "segMinVerts": "20"}, "sceneId": stem, "segIndices": ids.tolist()}
    write_json(folder / segs, content, indent=None)
    coarser = range(max(1, len(segments.levels) - 1))
    for level in coarser:
        groups = _aggregation(segments, parts, level, stem, segs)
        write_json(folder / f"{stem}_{segments.levels[level].column}.aggregation.json", groups, indent=1)
    write_json(folder / f"{stem}.aggregation.json", _aggregation(segments, parts, coarser[-1], stem, segs), indent=1)


def _aggregation(segments: Segments, parts: Sequence[PartMesh], level: int, stem: str, segs: str) -> dict[str, Any]:
    """Groups of the parts that one segment of a level holds; parts that none holds are in no group."""
    holder = np.full(len(segments), -1)
    for index, above in enumerate(segments.parents.tolist()):  # parents come first
        holder[index] = holder[above] if above >= 0 and holder[above] >= 0 else -1
        if holder[index] < 0 and segments.member[index, level]:
            holder[index] = index
    groups: dict[int, list[int]] = {}
    for part in parts:
        if holder[part.index] >= 0:
            groups.setdefault(int(holder[part.index]), []).append(int(segments.ids[part.index]))
    listed = [
        {
            "id": number,
            "objectId": number,
            "segments": members,
            "label": segments.names[index] or "segment",
            "node": int(segments.ids[index]),
        }
        for number, (index, members) in enumerate(sorted(groups.items()))
    ]
    return {
        "sceneId": f"ultrafield.{stem}",
        "appId": "ultrafield",
        "segGroups": listed,
        "segmentsFile": f"ultrafield.{segs}",
    }
