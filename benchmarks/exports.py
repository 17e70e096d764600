"""Seconds and size of every export of a scene with exact depth, and how far its meshes are from the truth.

    python benchmarks/exports.py SCENE [--faces N] [--json FILE]

Surface and tree come from the exact depth of the training views (engine lift). The true surface are the points that
these views show, by part: of each part, the median distance of its triangles' middles to them, in voxels.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import trimesh
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row
from scipy.spatial import cKDTree

import ultrafield as uf
from ultrafield.cameras.projection import back_project
from ultrafield.errors import UltrafieldError
from ultrafield.scene import GroundTruth, Scene, load_ground_truth, load_scene

FORMATS = ("ply", "laz", "glb", "usd", "scannet", "coco", "panoptic", "png")


def main() -> int:
    """Print two tables."""
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--faces", type=positive, default=200_000, help="triangles of all meshes together")
    options = parser.parse_args()
    results = Results("exports", options)
    scene = load_scene(options.scene)
    truth = load_ground_truth(scene, "train")
    if truth is None or truth.depth is None or not truth.depth_exact:
        sys.exit(f"{options.scene}: has no exact depth of the training views")
    segmentation, views = segmented(scene, truth)
    print(f"{scene.name}: {segmentation}\n")
    with tempfile.TemporaryDirectory() as place:
        print_header(["to", "seconds", "MB"])
        for to in FORMATS:
            row = export_row(segmentation, views, to, Path(place) / to, options.faces)
            results.add(**row)
            print_row([to, f"{row['seconds']:.1f}", f"{row['bytes'] / 1e6:.1f}"])
        distances = part_distances(scene, truth, Path(place) / "glb" / "segments.glb", segmentation.surface.voxel_user)
        listed = json.loads((Path(place) / "glb" / "labels.json").read_text())
    closed, offsets = len(listed["watertight"]), list(distances.values())
    results.facts = {"meshes": listed["meshes"], "watertight": closed, "distances": distances}
    print(f"\n{listed['meshes']} meshes of {listed['triangles']} triangles, {closed} watertight; median distance of a")
    print(f"part to the truth: {np.median(offsets):.2f} voxels at the median, {max(offsets):.2f} at most")
    results.save()
    return 0


def segmented(scene: Scene, truth: GroundTruth) -> tuple[uf.Segmentation, dict]:
    """The segmentation of a scene from its exact depth, and its training views for exports."""
    depths = [depth.astype(np.float64) * scene.to_user.scale for depth in truth.depth]
    surface = uf.surface_from_depth(depths, scene.train.cameras, [view.image for view in scene.train])
    return uf.segment(surface, scene), {"cameras": scene.train.cameras, "depths": depths}


def export_row(segmentation: uf.Segmentation, views: dict, to: str, out: Path, faces: int) -> dict:
    """Seconds and bytes of one format; a package that is missing ends the benchmark."""
    start = time.perf_counter()
    try:
        segmentation.export(out, to=to, faces=faces, **views)
    except UltrafieldError as failure:
        sys.exit(str(failure))
    seconds = time.perf_counter() - start
    return {
        "to": to,
        "seconds": seconds,
        "bytes": sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
    }


def part_distances(scene: Scene, truth: GroundTruth, glb: Path, voxel: float) -> dict[int, float]:
    """Median distance of the triangles on each true part to the true surface, in voxels."""
    points, parts = [], []
    cameras = scene.train.cameras.resized(np.array([depth.shape[::-1] for depth in truth.depth]))
    for index, depth in enumerate(truth.depth):
        seen = depth > 0
        points.append(back_project(cameras, index, depth.astype(np.float64) * scene.to_user.scale)[seen])
        parts.append(truth.parts[index][seen])
    true, ids = np.concatenate(points), np.concatenate(parts)
    middles = np.concatenate([part.triangles_center for part in trimesh.load(glb).dump()])
    distance, nearest = cKDTree(true).query(middles)
    found = {int(part): distance[ids[nearest] == part] for part in np.unique(ids[ids > 0])}
    return {part: float(np.median(values) / voxel) for part, values in found.items() if len(values)}


if __name__ == "__main__":
    sys.exit(main())
