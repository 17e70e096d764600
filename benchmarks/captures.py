"""Import photographs whose cameras are known, and say how far the cameras that are found are from those.

    python benchmarks/captures.py fox plush [--out DIR] [--threads 2] [--json FILE]

Each scene is a folder with pictures in `images` and a model of any kind that `load_scene` reads. Only the pictures are
imported. Then the cameras are brought onto the known ones by the similarity that fits their centres best. Errors of
centres are parts of the known cameras' mean distance from their middle, those of directions are degrees.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from lib.machine import processor
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row

from ultrafield.cameras import Similarity
from ultrafield.capture import ImportConfig, import_scene
from ultrafield.scene.frames import ListingOptions, poses
from ultrafield.scene.layout import find_scene, list_scene

_COLUMNS = (
    *("scene", "pictures", "registered", "reprojection, px", "centres mean", "median", "largest"),
    *("directions median", "largest", "minutes"),
)


def main() -> int:
    """Import every scene and print a row each."""
    parser = parser_of(__doc__)
    parser.add_argument("scenes", type=Path, nargs="+", metavar="SCENE", help="folder with images and known cameras")
    parser.add_argument("--out", type=Path, help="where to leave the imported scenes; they are not kept without")
    parser.add_argument("--threads", type=positive, default=None)
    options = parser.parse_args()
    results = Results("captures", options)
    print(processor())
    print_header(_COLUMNS)
    for scene in options.scenes:
        with tempfile.TemporaryDirectory() as folder:
            run(scene, (options.out or Path(folder)) / scene.name, options, results)
    results.save()
    return 0


def run(scene: Path, out: Path, options: argparse.Namespace, results: Results) -> None:
    """Import one scene and print its row."""
    start = time.perf_counter()
    outcome = import_scene(scene / "images", out, ImportConfig(threads=options.threads), say=lambda _: None)
    minutes = (time.perf_counter() - start) / 60
    found, known = cameras_of(out), cameras_of(scene)
    names = sorted(found.keys() & known.keys())
    ours, theirs = (np.stack([cameras[name] for name in names]) for cameras in (found, known))
    move = align(ours[:, :, 3], theirs[:, :, 3])
    moved = move.apply_poses(ours)
    radius = np.linalg.norm(theirs[:, :, 3] - theirs[:, :, 3].mean(axis=0), axis=1).mean()
    centres = np.linalg.norm(moved[:, :, 3] - theirs[:, :, 3], axis=1) / radius
    cosines = (np.einsum("nij,nij->n", moved[:, :, :3], theirs[:, :, :3]) - 1) / 2
    turns = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    given = outcome.used + len(outcome.left_out)
    print_row(
        [
            scene.name,
            str(given),
            f"{len(outcome.pictures)} ({len(outcome.pictures) / given:.0%})",
            f"{outcome.error:.2f}",
            *(f"{value:.2%}" for value in (centres.mean(), np.median(centres), centres.max())),
            *(f"{value:.2f}°" for value in (np.median(turns), turns.max())),
            f"{minutes:.1f}",
        ]
    )
    results.add(
        scene=scene.name,
        pictures=given,
        registered=len(outcome.pictures),
        error=outcome.error,
        centres=centres,
        degrees=turns,
        minutes=minutes,
    )


def cameras_of(scene: Path) -> dict[str, np.ndarray]:
    """Poses of a scene's views by their names; no picture is read."""
    options = ListingOptions(None, True, None, lambda _: None)
    listing = list_scene(find_scene(scene, "auto", options), options, recentre=False)
    frames = [frame for split in listing.splits.values() for frame in split]
    return dict(zip([frame.name for frame in frames], poses(frames), strict=True))


def align(points: np.ndarray, targets: np.ndarray) -> Similarity:
    """The similarity that brings points [N, 3] nearest to their targets [N, 3].

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    source, target = points - points.mean(axis=0), targets - targets.mean(axis=0)
    left, values, right = np.linalg.svd(target.T @ source)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left * signs @ right
    scale = float((values * signs).sum() / (source**2).sum())
    return Similarity(scale, rotation, targets.mean(axis=0) - scale * rotation @ points.mean(axis=0))


if __name__ == "__main__":
    sys.exit(main())
