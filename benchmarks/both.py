"""NC per level and VC of the three engines on a run's geometry.

    python benchmarks/both.py RUN [--mask-views N] [--json FILE]

RUN is a folder of `ultrafield run SCENE --out RUN --engine field`, whose geometry, depth and features are used.
With --mask-views only so many training views, evenly spread, have masks, and features are trained on these anew.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from lib.options import parser_of, positive
from lib.results import Results, print_header
from lift import COLUMNS, CONFIG, report, score

from ultrafield.config import Config, Engine
from ultrafield.field import FeatureField, point_features
from ultrafield.lift import build_graph
from ultrafield.pipeline.folder import RunFolder
from ultrafield.scene import Scene, Split, load_scene
from ultrafield.surface import surface_from_views
from ultrafield.training import Fields, fit_features, load_fields, posed


def main() -> int:
    """Print one row of the table per engine."""
    parser = parser_of(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--mask-views", type=positive, help="training views that have masks; all of them if not given")
    options = parser.parse_args()
    run, results = RunFolder(options.run), Results("both", options)
    stored, fields = run.read_config(), load_fields(run.root)
    scene = posed(load_scene(stored.scene, **stored.data.arguments()), fields.geometry)
    views = {split: [run.read_render(split, view.name) for view in scene.splits[split]] for split in scene.splits}
    surface = surface_from_views(views["train"], scene.train.normalised_cameras, to_user=scene.to_user, config=CONFIG)
    trained = fields.features
    if options.mask_views is not None:
        kept = np.unique(np.linspace(0, len(scene.train) - 1, options.mask_views).astype(int))
        trained = features_of(scene, kept, fields, stored.config)
        scene = masked(scene, kept)
    features = point_features(trained, surface.points)
    print(f"{scene.name}: {len(surface)} points, masks in {sum(view.masks is not None for view in scene.train)} views")
    print_header(["engine", *COLUMNS])
    for engine in get_args(Engine):
        started = time.perf_counter()
        graph = build_graph(surface, engine=engine, scene=scene, features=features, config=CONFIG)
        seconds = time.perf_counter() - started
        report(engine, score(graph, surface, scene, views), seconds, results)
    results.save()
    return 0


def features_of(scene: Scene, kept: np.ndarray, fields: Fields, config: Config) -> FeatureField:
    """Features trained on some of the views only."""
    train = Split(tuple(scene.train.views[index] for index in kept), scene.train.normalised_cameras[kept])
    few = replace(scene, splits=scene.splits | {"train": train})
    return fit_features(fields.geometry, few, config, device=fields.geometry.device, out=None, progress=False)


def masked(scene: Scene, kept: np.ndarray) -> Scene:
    """The scene with masks in some of its training views only."""
    views = tuple(view if index in kept else replace(view, masks=None) for index, view in enumerate(scene.train.views))
    return replace(scene, splits=scene.splits | {"train": replace(scene.train, views=views)})


if __name__ == "__main__":
    sys.exit(main())
