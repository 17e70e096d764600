"""The training-free engine with exact depth and SAM-like masks: what it scores when geometry is no excuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ultrafield.cameras import Cameras, RenderedView, Similarity
from ultrafield.config import SegmentConfig
from ultrafield.io import read_json
from ultrafield.labels import label_points, view_points
from ultrafield.lift import build_graph
from ultrafield.masks import read_masks
from ultrafield.metrics import normalized_covering
from ultrafield.scene import Scene, Split, View
from ultrafield.surface import surface_from_views
from ultrafield.ultrametric import build_tree, levels, spread_cuts

RADIUS = 1.5  # distance of the normalised cameras from the origin
SIZE = (200, 200)


def exact_split(root: Path, split: str, chosen: slice) -> tuple[list[RenderedView], Cameras, float, np.ndarray]:
    """Exact views, normalised cameras, user's units per normalised unit, and part ids."""
    with np.load(root / "exact" / f"{split}.npz") as exact:
        poses, depth, parts = exact["c2w"][chosen, :3, :4], exact["depth"][chosen], exact["part"][chosen]
    poses[:, :, 1:3] *= -1.0  # OpenGL to OpenCV
    scale = float(np.linalg.norm(poses[0, :, 3])) / RADIUS
    poses[:, :, 3] /= scale
    angle = read_json(root / f"transforms_{split}.json")["camera_angle_x"]
    focal = 0.5 * SIZE[1] / np.tan(0.5 * angle)
    cameras = Cameras.pinhole(poses, [focal, focal, SIZE[1] / 2, SIZE[0] / 2], SIZE[::-1])
    views = [
        RenderedView(np.full((*SIZE, 3), 0.5, np.float32), (z / scale).astype(np.float32), (z > 0).astype(np.float32))
        for z in depth
    ]
    return views, cameras, scale, parts.astype(np.int64)


def test_lift_with_exact_depth_covers_the_parts(pickplace: Path) -> None:
    views, cameras, scale, _ = exact_split(pickplace, "train", slice(0, 60, 3))
    to_user = Similarity(scale)
    pictures = tuple(View(f"r_{i}", None, read_masks(pickplace, "train", f"r_{i}", SIZE)) for i in range(0, 60, 3))
    scene = Scene("pickplace", pickplace, "blender-hs", {"train": Split(pictures, cameras)}, to_user, np.ones(3))
    config = SegmentConfig(voxel=0.009)  # 0.012 in the units of the files
    surface = surface_from_views(views, cameras, to_user=to_user, config=config)
    tree = build_tree(build_graph(surface, engine="lift", scene=scene, config=config))
    held_out, cameras, _, parts = exact_split(pickplace, "val", slice(0, 16, 4))
    points = [view_points(view, cameras, index) for index, view in enumerate(held_out)]
    labels = label_points(tree, surface, points, spread_cuts(tree, 50, levels(tree)), config=config)
    covering = [normalized_covering(found, truth) for found, truth in zip(labels, parts, strict=True)]
    assert len(surface) > 30_000
    assert np.mean(covering) > 0.9
