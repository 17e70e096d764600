"""NC per level and VC of the training-free engine on masks made without weights: from pictures alone, and with shape.

    python benchmarks/weightless.py SCENE [--run RUN] [--json FILE]

SCENE needs `exact/` depth of all splits; RUN is a folder of `ultrafield run SCENE --out RUN`, whose rendered depth is
used instead, for the masks as for the surface. The scene's own masks are the last row. `s/MP` is the time of one core
for a megapixel.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from lib.options import parser_of
from lib.results import Results, print_header, print_row
from lift import CONFIG, lift_graph, score, seen

from ultrafield.cameras import RenderedView
from ultrafield.masks import build_mask_set, watershed_masks
from ultrafield.masks.relief import ViewDepth
from ultrafield.scene import Scene, load_scene

COLUMNS = ("NC", "parts", "objects", "foreground", "VC", "masks", "s/MP")


def main() -> int:
    """Print one row of the table per kind of masks."""
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--run", type=Path, help="folder whose rendered depth is used")
    options = parser.parse_args()
    scene, results = load_scene(options.scene), Results("weightless", options)
    views, surface, edges = seen(scene, options.run)
    print_header(["masks from", *COLUMNS])
    for name, depths in {"pictures": None, "pictures and depth": views["train"], "the scene": ()}.items():
        started = time.perf_counter()
        masked = scene if name == "the scene" else with_masks(scene, depths)
        megapixels = sum(view.image.shape[0] * view.image.shape[1] for view in scene.train if view.image is not None)
        seconds = (time.perf_counter() - started) / megapixels * 1e6
        count = np.mean([len(view.masks) for view in masked.train if view.masks is not None])
        scores = score(lift_graph(surface, edges, masked, 0.5, True, CONFIG.superpoints), surface, scene, views)
        values = (scores.nc.mean, *scores.nc.levels, scores.vc.mean, float(count), seconds)
        print_row([name, *(f"{value:.3f}" for value in values[:5]), f"{count:.0f}", f"{seconds:.2f}"])
        results.add(name=name, **dict(zip(COLUMNS, values, strict=True)))
    results.save()
    return 0


def with_masks(scene: Scene, depths: Sequence[RenderedView] | None) -> Scene:
    """The scene with masks that are made without weights."""
    cameras, views = scene.train.normalised_cameras, []
    for index, view in enumerate(scene.train):
        assert view.image is not None
        depth = None if depths is None else ViewDepth(depths[index].depth, cameras.intrinsics[index])
        views.append(replace(view, masks=build_mask_set(watershed_masks(view.image, depth))))
    return replace(scene, splits=scene.splits | {"train": replace(scene.train, views=tuple(views))})


if __name__ == "__main__":
    sys.exit(main())
