"""NC per level and VC of the training-free engine without each of its parts, with exact depth or a run's geometry.

    python benchmarks/lift.py SCENE [--run RUN] [--json FILE]

SCENE needs `exact/` depth of all splits (pickplace has it, and so does whatever `ultrafield synth` writes); RUN is a
folder of `ultrafield run SCENE --out RUN`, whose rendered depth is used instead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from lib.options import parser_of
from lib.results import Results, print_header, print_row

from ultrafield.cameras import RenderedView
from ultrafield.config import SegmentConfig
from ultrafield.labels import label_points, view_points
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.superpoints import join_superpoints, superpoints
from ultrafield.lift.view_votes import ViewVotes, view_votes
from ultrafield.lift.vote_graph import vote_graph
from ultrafield.masks.weights import mask_weights
from ultrafield.metrics import SegmentationScores, evaluate_segmentation
from ultrafield.pipeline.folder import RunFolder
from ultrafield.reading import read_npz
from ultrafield.scene import Scene, load_ground_truth, load_scene
from ultrafield.surface import Surface, surface_from_views
from ultrafield.ultrametric import AffinityGraph, build_tree, levels, spread_cuts

CONFIG = SegmentConfig()
COLUMNS = ("NC", "parts", "objects", "foreground", "VC", "seconds")
# Name of a form: exponent of mask sizes, whether uncovered pixels count as a mask, patches (0: votes of edges only).
FORMS = {
    "votes of edges, all masks alike": (0.0, False, 0),
    "+ small masks weigh more": (0.5, False, 0),
    "+ what no mask holds counts": (0.5, True, 0),
    "+ patches joined by all pairs of points": (0.5, True, CONFIG.superpoints),
    "5,000 patches": (0.5, True, 5_000),
    "all masks alike": (0.0, True, CONFIG.superpoints),
    "without what no mask holds": (0.5, False, CONFIG.superpoints),
}


def main() -> int:
    """Print one row of the table per form."""
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--run", type=Path, help="folder whose rendered depth is used")
    options = parser.parse_args()
    scene, results = load_scene(options.scene), Results("lift", options)
    views, surface, edges = seen(scene, options.run)
    print(f"{scene.name}: {len(surface)} points, {len(edges)} edges")
    print_header(["form", *COLUMNS])
    for name, form in FORMS.items():
        started = time.perf_counter()
        graph = lift_graph(surface, edges, scene, *form)
        seconds = time.perf_counter() - started
        report(name, score(graph, surface, scene, views), seconds, results)
    results.save()
    return 0


def seen(scene: Scene, run: Path | None) -> tuple[dict[str, list[RenderedView]], Surface, np.ndarray]:
    """Views of every split, as a run rendered them or with the dataset's own depth, their surface and its edges."""
    views = {
        split: [RunFolder(run).read_render(split, view.name) for view in scene.splits[split]]
        if run
        else exact_views(scene, split)
        for split in scene.splits
    }
    surface = surface_from_views(views["train"], scene.train.normalised_cameras, to_user=scene.to_user, config=CONFIG)
    return views, surface, neighbor_edges(surface, CONFIG.neighbors)


def report(name: str, scores: SegmentationScores, seconds: float, results: Results) -> None:
    """Print the scores of one graph and the seconds of building it."""
    values = (scores.nc.mean, *scores.nc.levels, scores.vc.mean)
    print_row([name, *(f"{value:.3f}" for value in values), f"{seconds:.1f}"])
    results.add(name=name, **dict(zip(COLUMNS, (*values, seconds), strict=True)))


def exact_views(scene: Scene, split: str) -> list[RenderedView]:
    """The dataset's own depth as rendered views."""
    depth = read_npz(scene.root / "exact" / f"{split}.npz")["depth"] / scene.to_user.scale
    return [
        RenderedView(np.zeros((*z.shape, 3), np.float32), z.astype(np.float32), (z > 0).astype(np.float32))
        for z in depth
    ]


def lift_graph(
    surface: Surface, edges: np.ndarray, scene: Scene, power: float, uncovered: bool, patches: int
) -> AffinityGraph:
    """The engine's graph in one of its forms."""
    votes = varied(power, uncovered)
    with patch("ultrafield.lift.vote_sums.view_votes", votes), patch("ultrafield.lift.memberships.view_votes", votes):
        graph = vote_graph(surface, edges, scene)
        return join_superpoints(surface, scene, graph, superpoints(graph, patches)) if patches else graph


def varied(power: float, uncovered: bool) -> Callable[[Surface, Scene], Iterator[ViewVotes]]:
    """`view_votes` with other weights of the masks."""

    def votes(surface: Surface, scene: Scene) -> Iterator[ViewVotes]:
        for view in view_votes(surface, scene):
            weights = np.zeros_like(view.weights)
            weights[: len(view.points)] = mask_weights(view.points, power=power)
            if not uncovered:
                weights[len(view.points) - 1] = 0.0
            yield replace(view, weights=weights)

    return votes


def score(
    graph: AffinityGraph, surface: Surface, scene: Scene, views: dict[str, list[RenderedView]]
) -> SegmentationScores:
    """NC and VC of the graph's tree, 50 cuts, exact expectations."""
    tree = build_tree(graph)
    heights = spread_cuts(tree, CONFIG.cuts, levels(tree))
    labels = {}
    for split in ("val", "val_rotate"):
        cameras = scene.splits[split].normalised_cameras
        points = (view_points(view.depth, cameras, index) for index, view in enumerate(views[split]))
        labels[split] = list(label_points(tree, surface, points, heights, config=CONFIG))
    return evaluate_segmentation(
        labels["val"],
        labels["val_rotate"],
        load_ground_truth(scene, "val"),
        load_ground_truth(scene, "val_rotate"),
        scene.splits["val"].normalised_cameras,
        scene.splits["val_rotate"].normalised_cameras,
    )


if __name__ == "__main__":
    sys.exit(main())
