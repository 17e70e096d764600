"""The published `3dseg.py EXP OUTPUT`: one tree of surface points, cut at 50 thresholds, seen from every test view.

Reads what `train.py` (or `render.py`) wrote; writes `vis/OUTPUT.ply` and `vis/OUTPUT/<i>/<t>.png|.npy` for t = 0.010 …
0.500, i counting the validation views in file order and the rotated views after them. Ids run from 0, the largest
segment, to 199; 200 is none.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import SegmentConfig
from ..config.ranges import Range
from ..errors import ConfigError, RunError
from ..export.ply import position_columns, write_ply
from ..io import write_image, write_npy
from ..names import check_name
from ..owner import owned
from ..pipeline.console import Report
from ..pipeline.guard import guarded
from ..removal import check_ours, kinds, remove_ours, sweep
from ..surface import Surface
from .options import check_flag
from .parsing import below
from .segment_ids import largest_first, segment_palette
from .stored import PublishedView, last_written, read_to_user, read_view, read_view_list

THRESHOLDS = np.arange(1, 51) / 100.0
NUM_SEGMENTS = 200
NEIGHBORS = 16
VOXEL = 2e-3
OUTLIER_RADIUS = 4e-3
NEAREST_DEPTH = 0.3
_VIEW_FILES = kinds(r"\d\.\d{3}\.(png|npy)")  # what is written into the folder of a view
_CANDIDATES = 32  # nearest points looked at before asking for those with an id of their own


@dataclass(frozen=True)
class PublishedSegmentOptions:
    """Arguments of `3dseg.py` under their published names."""

    exp: str
    output: str
    threshold: float
    k_query: int
    n_outliers: int


def build_parser() -> argparse.ArgumentParser:
    """The parser of `3dseg.py`, with the published defaults."""
    parser = argparse.ArgumentParser(prog="3dseg.py", description="The published command, on Ultrafield.")
    parser.add_argument("exp", help="name of the experiment that train.py wrote")
    parser.add_argument("output", help="name of the result below vis/")
    parser.add_argument("-t", "--threshold", type=float, default=5e-3, help="squared distance to points that vote")
    parser.add_argument("--k_query", type=int, default=5, help="nearest points that vote on a pixel")
    parser.add_argument("-o", "--n_outliers", type=int, default=2, help="points needed within 0.004, itself counted")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """`python 3dseg.py EXP OUTPUT`; returns the exit code."""
    return guarded("3dseg.py", lambda: _run(PublishedSegmentOptions(**vars(build_parser().parse_args(arguments)))))


def _run(options: PublishedSegmentOptions) -> None:
    check_flag("threshold", options.threshold, float, Range(0, 10**6))
    check_flag("k_query", options.k_query, int, Range(1, 1000))
    check_flag("n_outliers", options.n_outliers, int, Range(1, 10**6))
    for name in ("exp", "output"):
        check_name(getattr(options, name), name.upper(), ConfigError)
    vis = Path("vis")
    target = vis / options.output
    for folder in _view_folders(target):
        check_ours(folder, _VIEW_FILES)  # what can be refused is refused before anything is removed
    folder = find_results(options.exp)
    name = re.escape(options.output)
    with owned(target, lock=vis / f".{options.output}.lock"):
        sweep(vis, kinds(rf"{name}\.ply", rf"{name}/\d+/(?:{_VIEW_FILES.pattern})"))
        _segment(options, folder, target)


def _segment(options: PublishedSegmentOptions, folder: Path, target: Path) -> None:
    report, vis = Report(), target.parent
    views = read_view_list(folder)
    if not views.test:
        raise RunError(f"{folder}: holds no test views")
    with report.stage("points"):
        points, features = training_points(folder, views.training, options.n_outliers, report)
    with report.stage("tree"):
        segments = segment_points(points, features)
    clear_output(target)
    to_user = read_to_user(folder)
    exported = to_user.apply(points.astype(np.float64))
    write_cloud(vis / f"{options.output}.ply", exported, segments, spacing=VOXEL * to_user.scale)
    labeller = PixelLabeller(points, segments, k_query=options.k_query, threshold=options.threshold)
    with report.stage("views"):
        for number, stem in report.track(enumerate(views.test), len(views.test), "views"):
            view = read_view(folder, stem, features=False)
            _write_labels(target / str(number), labeller(view))
    report.result(f"{vis / options.output}.ply")
    report.result(f"{target}: {len(views.test)} views, {len(THRESHOLDS)} thresholds")


def find_results(exp: str) -> Path:
    """The folder of the views of an experiment that were written last.

    Raises:
        RunError: There is none.
    """
    for dataset in ("nerf", "partnet"):
        folder = last_written(Path("results") / dataset / exp)
        if folder is not None:
            return folder
    raise RunError(f"results/nerf/{exp}: no results; run train.py with --exp_name {exp} --render_train first")


def clear_output(target: Path) -> None:
    """Remove what an earlier call wrote for this OUTPUT, so that no view of it stays beside the new ones."""
    target.with_name(f"{target.name}.ply").unlink(missing_ok=True)
    for folder in _view_folders(target):
        remove_ours(folder, _VIEW_FILES)


def _view_folders(target: Path) -> list[Path]:
    """The folders of views below an OUTPUT."""
    if target.is_symlink():
        raise RunError(f"{target}: is a link, through which nothing is written; choose another OUTPUT")
    return [entry for entry in target.glob("*") if entry.is_dir() and entry.name.isdecimal()]


def training_points(folder: Path, stems: Sequence[str], needed: int, report: Report) -> tuple[np.ndarray, np.ndarray]:
    """Thinned surface points of the training views [N, 3] and their features [N, D], float32.

    The first point of each voxel is kept, if `needed` points (itself counted) lie within the outlier radius.
    """
    if not stems:
        raise RunError(f"{folder}: holds no training views; train.py needs --render_train")
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for stem in stems:
        view = read_view(folder, stem, features=True)
        near = view.depth > NEAREST_DEPTH
        points = view.surface[near]
        # Thinning each view by itself first saves memory and changes nothing: the first point of a voxel stays first.
        first = first_per_voxel(points, VOXEL)
        assert view.features is not None  # asked for
        kept.append((points[first], view.features[near][first]))
    points, features = (np.concatenate(column) for column in zip(*kept, strict=True))
    first = first_per_voxel(points, VOXEL)
    points, features = points[first], features[first]
    together = without_loners(points, OUTLIER_RADIUS, needed)
    report.note(f"{len(points)} points after thinning, {together.sum()} of them with others within {OUTLIER_RADIUS:g}")
    if together.sum() <= NEIGHBORS:
        raise RunError(f"{folder}: only {together.sum()} surface points; was the geometry trained long enough?")
    return points[together], features[together]


def first_per_voxel(points: np.ndarray, edge: float) -> np.ndarray:
    """Indices [K], ascending, of the first point in each cubic cell of the grid through the origin."""
    cells = np.floor(points / edge).astype(np.int64)
    cells -= cells.min(axis=0, initial=0)
    extent = cells.max(axis=0, initial=0) + 1
    keys = (cells[:, 0] * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2]
    return np.sort(np.unique(keys, return_index=True)[1])


def without_loners(points: np.ndarray, radius: float, needed: int) -> np.ndarray:
    """Which points have at least `needed` points, themselves counted, within `radius` [N] bool."""
    from scipy.spatial import cKDTree

    return cKDTree(points).query_ball_point(points, radius, return_length=True, workers=-1) >= needed


def segment_points(points: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Segment number of every point at every threshold [T, N], int16: 0 … 199 by size, 200 beyond the 200 largest.

    Points among each other's 16 nearest belong together if their features are nearer than the threshold. Single linkage
    of the neighbour graph holds the components of all thresholds at once.
    """
    from ..lift import build_graph
    from ..ultrametric import build_tree, cut

    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    config = SegmentConfig(neighbors=NEIGHBORS)
    graph = build_graph(_as_surface(points), engine="field", features=features, config=config, reach=np.inf)
    tree = build_tree(graph, linkage="single")
    return np.stack([largest_first(cut(tree, below(t)), NUM_SEGMENTS) for t in THRESHOLDS]).astype(np.int16)


def _as_surface(points: np.ndarray) -> Surface:
    """Bare points as a surface; the graph of the `field` engine looks at nothing else."""
    count = len(points)
    visible = np.zeros((0, (count + 7) // 8), np.uint8)
    return Surface(
        points.astype(np.float32), np.zeros((count, 3), np.float32), np.zeros((count, 3), np.uint8), visible, VOXEL
    )


class PixelLabeller:
    """Segment numbers of pixels at every threshold of the tree.

    A pixel takes the most frequent number (the smallest of equals) among the nearest points whose number is not 200; it
    takes 200 if the squared distance to the farthest of these exceeds the threshold, or if there are not so many.

    Args:
        points: [N, 3].
        segments: Number of each point at each threshold [T, N].
        k_query: Points that vote.
        threshold: Largest squared distance.
    """

    def __init__(self, points: np.ndarray, segments: np.ndarray, *, k_query: int, threshold: float) -> None:
        from scipy.spatial import cKDTree

        self._points, self._segments = points, segments.astype(np.int64)
        self._k, self._reach = k_query, float(np.sqrt(threshold))
        self._candidates = min(max(_CANDIDATES, k_query), len(points))
        self._tree = cKDTree(points)
        self._numbered = [np.flatnonzero(numbers != NUM_SEGMENTS) for numbers in self._segments]
        self._numbered_trees: dict[int, cKDTree] = {}

    def __call__(self, view: PublishedView) -> np.ndarray:
        """Labels [T, H, W], int64, of the pixels of `view`; 200 where it shows nothing."""
        from .kernels.vote_cpu import vote

        seen = np.flatnonzero(view.depth > 0)
        queries = view.surface[seen]
        shape = (len(seen), self._candidates)
        nearby = self._tree.query(queries, self._candidates, workers=-1)
        distance, nearest = (np.asarray(array).reshape(shape) for array in nearby)
        labels = np.full((len(self._segments), view.depth.size), NUM_SEGMENTS, np.int64)
        for level, numbers in enumerate(self._segments):
            winners = vote(nearest, distance, numbers, NUM_SEGMENTS, self._k, self._reach)
            undecided = np.flatnonzero(winners < 0)
            winners[undecided] = self._search(level, queries[undecided])
            labels[level, seen] = winners
        return labels.reshape(len(labels), *view.shape)

    def _search(self, level: int, queries: np.ndarray) -> np.ndarray:
        """Labels [P] of queries [P, 3] whose nearest points of any number did not suffice."""
        from scipy.spatial import cKDTree

        from .kernels.vote_cpu import vote

        numbered = self._numbered[level]
        if len(queries) == 0 or len(numbered) < self._k:
            return np.full(len(queries), NUM_SEGMENTS, np.int64)
        if level not in self._numbered_trees:
            self._numbered_trees[level] = cKDTree(self._points[numbered])
        shape = (len(queries), self._k)
        nearby = self._numbered_trees[level].query(queries, self._k, workers=-1)
        distance, nearest = (np.asarray(array).reshape(shape) for array in nearby)
        numbers = self._segments[level][numbered]
        return vote(nearest, distance, numbers, NUM_SEGMENTS, self._k, self._reach)


def _write_labels(folder: Path, labels: np.ndarray) -> None:
    palette = segment_palette(NUM_SEGMENTS)
    for threshold, ids in zip(THRESHOLDS, labels, strict=True):
        write_npy(folder / f"{threshold:.3f}.npy", ids)
        write_image(folder / f"{threshold:.3f}.png", palette[ids])


def write_cloud(path: Path, points: np.ndarray, segments: np.ndarray, *, spacing: float) -> None:
    """Write points with their colours and segment numbers as PLY, atomically.

    Args:
        path: Target.
        points: Positions [N, 3], user's frame.
        segments: Number of each point at each threshold [T, N]; the property `segment` is that at the middle threshold,
            which also decides the colour, and `segment_<t>` that at every tenth.
        spacing: Typical distance of neighbouring points, user's units.
    """
    levels = {"segment": len(THRESHOLDS) // 2 - 1}
    levels |= {f"segment_{THRESHOLDS[index]:.2f}".replace(".", "_"): index for index in range(9, len(THRESHOLDS), 10)}
    columns = position_columns(points, spacing)
    colors = segment_palette(NUM_SEGMENTS)[segments[levels["segment"]]]
    columns |= zip(("red", "green", "blue"), colors.T, strict=True)
    columns |= {name: segments[index].astype(np.int32) for name, index in levels.items()}
    note = f"segment: feature distance {THRESHOLDS[levels['segment']]:.2f}; 0 is the largest, {NUM_SEGMENTS} is none"
    write_ply(path, columns, comments=[note])
