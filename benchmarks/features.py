"""NC per level and VC of the engine "field" with different settings of feature training, on finished geometry.

    python benchmarks/features.py SCENE RUN [SCENE RUN ...] [--rows NAME ...] [--steps N] [--seeds N] [--jobs N]
        [--json FILE]

Each RUN is a folder of `ultrafield train SCENE --out RUN`, in which nothing is changed, or the word "exact" for the
depth that the dataset itself has. A row of the table is a training of features on each scene and what its tree scores:
exact expectations, 50 cuts. The first columns are means over the scenes, NC with its standard deviation from seed to
seed, if there are several; then per scene NC of parts / objects / foreground, their mean, and VC. The last are means
over scenes of the cross-entropies over the last quarter of the steps (ln 2 = 0.693 is chance with one negative) and of
the seconds of the steps. Rows that ask for the same settings are trained once. With --jobs trainings run side by side,
also on one GPU: their seconds then say little.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from feature_rows import GROUPS, Changes, choose
from feature_training import EXACT, Row, measure_all
from lib.machine import cores
from lib.options import DEVICES, PRESETS, parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.config import Config, preset
from ultrafield.pipeline.folder import RunFolder


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    options = parse(arguments)
    rows, started = choose(options.rows), time.perf_counter()
    results = Results("features", options)
    folders = list(zip(options.folders[::2], options.folders[1::2], strict=True))
    asked = [[configs(run, changes, options) for changes in rows.values()] for _, run in folders]  # [scene][row][seed]
    threads = str(max(1, cores() // options.jobs))
    os.environ |= {"NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}  # of the processes to come
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        trained = train(pool, folders, asked, options)
    header = ["features", "NC", "VC", *(scene.name for scene, _ in folders), "euclidean", "ultrametric", "seconds"]
    print()
    print_header(header)
    for index, name in enumerate(rows):
        of_scenes = [[by[config] for config in scene[index]] for by, scene in zip(trained, asked, strict=True)]
        print_row([name, *cells(of_scenes)])
        results.add(row=name, scenes=[[asdict(row) for row in seeds] for seeds in of_scenes])
    results.save()
    print(f"\n{time.perf_counter() - started:.0f} s in all")
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="SCENE RUN")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help=f"rows, or groups: {', '.join(GROUPS)}")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--preset", choices=PRESETS, help="of features; the run's, or draft")
    parser.add_argument("--steps", type=positive, help="optimiser steps; the preset's if none")
    parser.add_argument("--seeds", type=positive, default=1, help="trainings per row and scene")
    parser.add_argument("--jobs", type=positive, default=1, help="processes side by side")
    options = parser.parse_args(arguments)
    if len(options.folders) % 2:
        parser.error("expected a RUN after every SCENE")
    return options


def configs(run: Path, changes: Changes, options: argparse.Namespace) -> list[Config]:
    """The settings of one row on one scene, for every seed."""
    stored = preset("draft") if run == EXACT else RunFolder(run).read_config().config
    name = options.preset or stored.preset
    steps = {} if options.steps is None else {"steps": options.steps}
    features = replace(preset(name).features, **changes, **steps)
    return [replace(stored, preset=name, engine="field", features=features, seed=seed) for seed in range(options.seeds)]


def train(
    pool: Executor, folders: list[tuple[Path, Path]], asked: list[list[list[Config]]], options: argparse.Namespace
) -> list[dict[Config, Row]]:
    """Result of each of the settings, scene by scene."""
    parts = max(1, options.jobs // len(folders))  # processes that share a scene
    pending = []
    for (scene, run), rows in zip(folders, asked, strict=True):
        different = list(dict.fromkeys(config for row in rows for config in row))
        shares = [share for share in (different[part::parts] for part in range(parts)) if share]
        pending.append([(share, pool.submit(measure_all, scene, run, share, options.device)) for share in shares])
    return [
        {config: row for share, future in shares for config, row in zip(share, future.result(), strict=True)}
        for shares in pending
    ]


def cells(scenes: list[list[Row]]) -> list[str]:
    """Cells of a row of the table.

    Args:
        scenes: Results for each scene and seed.
    """
    nc = np.array([[row.nc for row in scene] for scene in scenes])  # [scene, seed, level]
    vc = np.array([[row.vc for row in scene] for scene in scenes])  # [scene, seed]
    losses = np.mean([[row.losses for row in scene] for scene in scenes], axis=(0, 1))
    seconds = np.mean([[row.seconds for row in scene] for scene in scenes])
    by_seed = nc.mean(axis=(0, 2))
    spread = f" ± {by_seed.std(ddof=1):.3f}" if len(by_seed) > 1 else ""
    of_scenes = [
        f"{' / '.join(f'{level:.3f}' for level in levels)}: {levels.mean():.3f}, VC {consistency:.3f}"
        for levels, consistency in zip(nc.mean(axis=1), vc.mean(axis=1), strict=True)
    ]
    terms = ["" if np.isnan(loss) else f"{loss:.3f}" for loss in losses]
    return [f"{by_seed.mean():.3f}{spread}", f"{vc.mean():.3f}", *of_scenes, *terms, f"{seconds:.1f}"]


if __name__ == "__main__":
    sys.exit(main())
