"""Seconds of every part of what engine `lift` does between rendering and labels, with exact depth.

    python benchmarks/graph.py SCENE [--device cuda] [--repeats 3] [--json FILE]

SCENE needs `exact/` depth, as `pickplace` and whatever `ultrafield synth` makes have it. The first repeat loads kernels
and is shown apart. At the end a digest of the tree, by which two versions can be compared, and NC and VC.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from lib import machine
from lib.options import DEVICES, parser_of, positive
from lib.results import Results, print_header, print_row
from lift import CONFIG, exact_views, score

from ultrafield.lift import superpoints as patches
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.vote_graph import vote_graph
from ultrafield.scene import Scene, load_scene
from ultrafield.surface import surface_from_views
from ultrafield.ultrametric import build_tree

_Value = TypeVar("_Value")


class Clock:
    """Seconds of named parts, one list for each name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def time(self, name: str, run: Callable[[], _Value]) -> _Value:
        """The result of a call, whose seconds are kept under a name."""
        begin = time.perf_counter()
        value = run()
        self.seconds.setdefault(name, []).append(time.perf_counter() - begin)
        return value


def main() -> int:
    """Time, print, and score."""
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--device", default="cpu", choices=[name for name in DEVICES if name != "auto"])
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--no-score", action="store_true", help="leave out NC and VC")
    options = parser.parse_args()
    results, clock = Results("graph", options), Clock()
    print(f"{machine.processor()}, {machine.cores()} cores, device {options.device}")
    for _ in range(options.repeats + 1):
        scene, facts = once(clock, options.scene, options.device)
    print(f"{scene.name}: {facts['points']} points, {facts['edges']} edges, {facts['patches']} patches")
    print_header(["seconds", "first", "median of the others"])
    for name, seconds in clock.seconds.items():
        first, later = seconds[0], float(np.median(seconds[1:]))
        print_row([name, f"{first:.3f}", f"{later:.3f}"])
        results.add(name=name, first=first, median=later)
    print(f"tree {facts['digest']}")
    if not options.no_score:
        views = {split: exact_views(scene, split) for split in scene.splits}
        scores = score(facts["graph"], facts["surface"], scene, views)
        print(f"NC {scores.nc.mean:.4f}, VC {scores.vc.mean:.4f}")
        results.facts = {"nc": scores.nc.mean, "vc": scores.vc.mean, "tree": facts["digest"]}
    results.save()
    return 0


def once(clock: Clock, folder: Path, device: str) -> tuple[Scene, dict[str, Any]]:
    """All parts once; the scene, and what is to be printed of them."""
    scene = clock.time("load", lambda: load_scene(folder, progress=False))
    views, cameras = exact_views(scene, "train"), scene.train.normalised_cameras
    surface = clock.time("surface", lambda: surface_from_views(views, cameras, to_user=scene.to_user, config=CONFIG))
    edges = clock.time("neighbours", lambda: neighbor_edges(surface, CONFIG.neighbors))
    votes = clock.time("votes", lambda: vote_graph(surface, edges, scene, device=device))
    labels = clock.time("patches", lambda: patches.superpoints(votes, CONFIG.superpoints or len(surface)))
    count = int(labels.max()) + 1
    rows = clock.time("memberships of patches", lambda: patches.memberships(surface, scene, labels, count))
    graph = clock.time("joining patches", lambda: patches.join_regions(votes, labels, rows))
    tree = clock.time("tree", lambda: build_tree(graph))
    digest = hashlib.sha256(tree.parents.tobytes() + tree.heights.tobytes()).hexdigest()[:16]
    return scene, {
        "surface": surface,
        "points": len(surface),
        "edges": len(edges),
        "patches": count,
        "graph": graph,
        "digest": digest,
    }


if __name__ == "__main__":
    sys.exit(main())
