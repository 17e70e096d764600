"""A scene of random household objects as a GLB file, for `ultrafield synth`: many parts, many borders, no two alike.

python benchmarks/clutter.py clutter.glb --objects 16 --seed 1
ultrafield synth clutter.glb clutter --up z --seed 7
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import trimesh
from numpy.random import Generator
from trimesh.creation import annulus, box, capsule, cone, cylinder, icosphere, torus

Parts = dict[str, trimesh.Trimesh]
_APART = 0.42  # least distance of two objects; they are about 0.3 to 0.6 wide
_UPRIGHT = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])


def at(mesh: trimesh.Trimesh, *place: float) -> trimesh.Trimesh:
    """The mesh, moved."""
    return mesh.apply_translation(place)


def mug(rng: Generator) -> Parts:
    radius, height = rng.uniform(0.12, 0.2), rng.uniform(0.2, 0.4)
    handle = torus(height * 0.25, 0.025).apply_transform(_UPRIGHT)
    return {
        "body": at(cylinder(radius, height, sections=40), 0, 0, height / 2),
        "rim": at(annulus(radius * 0.8, radius * 1.05, 0.04, sections=40), 0, 0, height + 0.02),
        "handle": at(handle, radius + 0.02, 0, height / 2),
    }


def lamp(rng: Generator) -> Parts:
    height, radius = rng.uniform(0.5, 0.9), rng.uniform(0.12, 0.2)
    return {
        "base": at(cylinder(radius, 0.05, sections=40), 0, 0, 0.025),
        "stem": at(cylinder(0.03, height, sections=20), 0, 0, 0.05 + height / 2),
        "shade": at(cone(radius * 1.2, 0.3, sections=40), 0, 0, height),
        "switch": at(icosphere(2, 0.04), radius * 0.6, 0, 0.06),
    }


def table(rng: Generator) -> Parts:
    width, depth, height = rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.5), rng.uniform(0.2, 0.35)
    parts = {
        "top": at(box((width, depth, 0.05)), 0, 0, height),
        "vase": at(capsule(0.08, 0.06, count=[20, 20]), 0, 0, height + 0.1),
    }
    for index, (x, y) in enumerate([(1, 1), (1, -1), (-1, 1), (-1, -1)]):
        leg = box((0.05, 0.05, height))
        parts[f"legs/leg{index}"] = at(leg, x * (width / 2 - 0.03), y * (depth / 2 - 0.03), height / 2)
    return parts


def tower(rng: Generator) -> Parts:
    parts: Parts = {}
    top, width = 0.0, rng.uniform(0.2, 0.35)
    for index in range(rng.integers(3, 6)):
        height, own = rng.uniform(0.06, 0.15), width * rng.uniform(0.6, 1)
        square = rng.random() < 0.6
        block = box((own, own * rng.uniform(0.6, 1), height)) if square else cylinder(own / 2, height, sections=32)
        parts[f"block{index}"] = at(block, 0, 0, top + height / 2)
        top += height
    return parts


def cabinet(rng: Generator) -> Parts:
    width, depth, height = rng.uniform(0.35, 0.5), rng.uniform(0.25, 0.4), rng.uniform(0.4, 0.7)
    parts, drawers = {"body": at(box((width, depth, height)), 0, 0, height / 2)}, rng.integers(2, 4)
    for index in range(drawers):
        middle = height * (index + 0.5) / drawers
        front = box((width * 0.9, 0.04, height * 0.85 / drawers))
        parts[f"drawer{index}/front"] = at(front, 0, -depth / 2 - 0.02, middle)
        parts[f"drawer{index}/knob"] = at(icosphere(2, 0.035), 0, -depth / 2 - 0.06, middle)
    return parts


def toy(rng: Generator) -> Parts:
    size = rng.uniform(0.12, 0.2)
    nose = cone(size * 0.15, size * 0.5, sections=20).apply_transform(_UPRIGHT)
    return {
        "body": at(icosphere(3, size), 0, 0, size),
        "head": at(icosphere(3, size * 0.65), 0, 0, 2.4 * size),
        "face/nose": at(nose, 0, -size * 0.6, 2.4 * size),
        "arms/left": at(capsule(size, size * 0.2, count=[16, 16]), size * 0.95, 0, size * 0.6),
        "arms/right": at(capsule(size, size * 0.2, count=[16, 16]), -size * 0.95, 0, size * 0.6),
        "hat": at(cylinder(size * 0.4, size * 0.5, sections=30), 0, 0, 3.2 * size),
    }


def clutter(objects: int, seed: int) -> trimesh.Scene:
    """That many objects on a slab, in four groups by quarter; node names are paths."""
    rng, scene = np.random.default_rng(seed), trimesh.Scene()
    half = 0.25 * np.sqrt(objects)
    _add(scene, "floor/floor", {"slab": at(box((2 * half + 0.5, 2 * half + 0.5, 0.06)), 0, 0, -0.03)}, np.eye(4), rng)
    places: list[np.ndarray] = []
    for _ in range(200 * objects):
        place = rng.uniform(-half, half, 2)
        if len(places) < objects and all(np.linalg.norm(place - other) >= _APART for other in places):
            places.append(place)
            kind = (mug, lamp, table, tower, cabinet, toy)[rng.integers(6)]
            pose = trimesh.transformations.rotation_matrix(rng.uniform(0, 2 * np.pi), [0, 0, 1])
            pose[:2, 3] = place
            group = f"quarter{2 * int(place[0] > 0) + int(place[1] > 0)}"
            _add(scene, f"{group}/{kind.__name__}{len(places)}", kind(rng), pose, rng)
    return scene


def _add(scene: trimesh.Scene, path: str, parts: Parts, pose: np.ndarray, rng: Generator) -> None:
    """Hang an object's parts, each in a colour of its own, below the node `path`."""
    for name, mesh in parts.items():
        color = np.append(rng.uniform(60, 240, 3), 255).astype(np.uint8)
        mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=np.tile(color, (len(mesh.vertices), 1)))
        node = f"{path}/{name}"
        scene.add_geometry(mesh, node_name=node, geom_name=node, transform=pose)


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    clutter(options.objects, options.seed).export(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
