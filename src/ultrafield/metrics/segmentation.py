"""Normalized covering and view consistency of hierarchical segmentations.

A hierarchical segmentation of a view is a stack of labels [L, H, W], one per cut, finest first; −1 means that a pixel
lies in no segment. Ground truth is one id map [H, W] per level, 0 for background.

*Without a segment.* None is no segment, so a ground-truth mask is never covered by it. One mask is different: the
background, of which "no segment" is the right answer; there, the pixels without a segment count as one. The published
script treats none (its id 200) as an id like any other; `published=True` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..cameras import Cameras
from ..cameras.pixels import resize_nearest
from ..errors import check_shape
from ..labels.stack import LabelStack
from ..parallel import in_threads, workers_for
from ..scene import GroundTruth
from .correspondence import Correspondence, correspond
from .matching import Seed, ViewPair, consistency, covering, covering_dense, make_draws, match_masks
from .overlap import number_segments
from .scores import LEVELS, Scores, SegmentationScores

_BYTES_PER_PIXEL = 200  # working memory for a pair of views


def normalized_covering(
    labels: np.ndarray,
    truth: np.ndarray,
    *,
    background: bool = False,
    sampling: int | None = None,
    seed: Seed = 0,
    published: bool = False,
) -> float:
    """Normalized covering (NC) of one view at one level of the ground truth.

    For each ground-truth mask of at least 20 pixels: the mean over its pixels of the best IoU with the mask among the
    segments, at any cut, that hold the pixel. Then the mean over the masks.

    Args:
        labels: Segment ids per cut [L, h, w], any integer type, −1 for none; another size than the ground truth's is
            resized to it by nearest neighbour.
        truth: Ground-truth ids [H, W], 0 for background.
        background: Whether the background is a mask to be scored.
        sampling: None for the exact mean over pixels; a number takes the mean over that many random pixels per mask.
        seed: Of the sampling.
        published: Treat none as an id like any other.

    Returns:
        In [0, 1]; NaN if no mask is large enough.

    Raises:
        ValueError: Shapes that do not fit, ids below −1 (labels) or 0 (truth), no cut, `sampling` below 1.
        TypeError: Ids that are no integers.

    Source: He et al., "View-Consistent Hierarchical 3D Segmentation Using Ultrametric Feature Fields", 2024.

    >>> truth = np.repeat([[1], [2]], 4, axis=0) * np.ones((1, 8), int)  # upper half, lower half
    >>> one = np.zeros((1, 8, 8), int)  # a single segment: IoU 1/2 with either
    >>> normalized_covering(one, truth)
    0.5
    >>> normalized_covering(np.stack([truth, one[0]]), truth)
    1.0
    """
    segments = _check_labels("labels", labels, truth)
    match = match_masks(segments, truth, background=background, none_counts=published)
    return covering(match, make_draws(sampling, seed))


def normalized_covering_dense(
    labels: np.ndarray, truth: np.ndarray, *, background: bool = False, published: bool = False
) -> float:
    """Dense normalized covering: like `normalized_covering`, with the best IoU of any segment at any cut per mask.

    Never less than `normalized_covering`. Arguments, result and errors as there.

    >>> truth = np.repeat([[1], [2]], 4, axis=0) * np.ones((1, 8), int)
    >>> normalized_covering_dense(np.where(truth == 2, -1, 0)[None], truth)  # 1 for the upper, 0 for the lower half
    0.5
    """
    segments = _check_labels("labels", labels, truth)
    return covering_dense(match_masks(segments, truth, background=background, none_counts=published))


def view_consistency(
    labels: np.ndarray,
    labels_other: np.ndarray,
    truth: np.ndarray,
    correspondence: Correspondence,
    *,
    background: bool = False,
    sampling: int | None = None,
    seed: Seed = 0,
    published: bool = False,
) -> float:
    """View consistency (VC) of a pair of views at one level of the ground truth.

    For each ground-truth mask of at least 20 pixels of view A, two pixels are drawn independently:

    1. p among all pixels of the mask. It chooses the cut: the one whose segment at p has the best IoU with the mask,
       as in `normalized_covering`; the finest of equals.
    2. q among the pixels of the mask that both views see (`Correspondence.mutual`) and that have a segment in view B
       at that cut. A cut without any such pixel is left out.

    The score of (p, q) is the IoU, over the pixels of A that B sees (`Correspondence.seen`), of the segment of view A
    that holds q and the segment of view B that holds q's target, warped back: a pixel of A is in it if its target is.
    It is 0 if q has no segment in A. Then the mean over draws (without `sampling` the exact expectation) and the mean
    over the masks; a mask of which no q can be drawn is left out. The ids of the two views need not agree.

    Args:
        labels: Segment ids of view A per cut [L, h, w], as for `normalized_covering`.
        labels_other: Segment ids of view B at the same cuts [L, h', w'].
        truth: Ground-truth ids of view A [H, W], 0 for background.
        correspondence: From A [H, W] to B, see `correspond`.
        background: Whether the background is a mask to be scored.
        sampling: None for the exact expectation; a number takes the mean over that many random (p, q) per mask.
        seed: Of the sampling.
        published: Treat none as an id like any other in view A (in view B q must have a segment there, too).

    Returns:
        In [0, 1]; NaN if no mask can be scored.

    Raises:
        ValueError: Shapes that do not fit, ids below −1 (labels) or 0 (truth), no cut, `sampling` below 1.
        TypeError: Ids that are no integers.

    Source: He et al. 2024, with the choices that its text leaves open made as in its published script.
    """
    check_shape("correspondence.target", correspondence.target, truth.shape)
    segments = _check_labels("labels", labels, truth)
    segments_other = _number_at_size("labels_other", labels_other, *correspondence.shape)
    _check_same_cuts(segments, segments_other)
    match = match_masks(segments, truth, background=background, none_counts=published)
    pair = ViewPair(segments, segments_other, correspondence, none_counts=published)
    return consistency(match, pair, make_draws(sampling, seed))


def evaluate_segmentation(
    labels_val: Sequence[np.ndarray | LabelStack],
    labels_rotate: Sequence[np.ndarray | LabelStack] | None,
    truth_val: GroundTruth,
    truth_rotate: GroundTruth | None,
    cameras_val: Cameras | None = None,
    cameras_rotate: Cameras | None = None,
    *,
    sampling: int | None = None,
    seed: int = 0,
    published: bool = False,
) -> SegmentationScores:
    """NC, NC-dense and VC of the validation views at the levels parts, objects and foreground.

    The background is left out of parts and objects; foreground has two masks, the background and the rest.

    Args:
        labels_val: Per validation view segment ids [L, h, w], finest cut first; of any size, −1 for none; or their
            stacks. Each view is read once, in any of several threads.
        labels_rotate: The same cuts in the paired rotated views, in the same order; None skips VC.
        truth_val: Ground truth of the validation views.
        truth_rotate: Ground truth of the rotated views. Without it VC takes what both views see from the
            validation views alone, and there is no `vc_truth`.
        cameras_val: Cameras of the validation views, normalised frame, of any size; needed for VC.
        cameras_rotate: Cameras of the rotated views; needed for VC.
        sampling: Random points per mask instead of exact expectations; the published scripts take 100.
        seed: Of the sampling; every view and metric has its own stream.
        published: Compute VC with the published rounding and 8-bit depth, and treat none as an id (see the module's
            text). Scores of this kind compare with published figures only.

    Raises:
        ValueError: Numbers of views, sizes or cuts that do not fit together; rotated labels without cameras.
        TypeError: Ids that are no integers.
    """
    count = len(truth_val.names)
    _check_count("labels_val", labels_val, count)
    follow = _correspondences(labels_rotate, truth_val, truth_rotate, cameras_val, cameras_rotate, published)

    def score(view: int) -> np.ndarray:
        """NC, NC-dense, VC and VC of the truth of one view at every level [4, levels]."""
        nc, nc_dense, vc, vc_truth = scores = np.full((4, len(LEVELS)), np.nan)
        levels = list(_levels(truth_val, view))
        segments = _check_labels(f"labels_val[{view}]", labels_val[view], levels[0][0])
        pair = None
        if follow is not None and labels_rotate is not None:
            correspondence = follow(view)
            other = _number_at_size(f"labels_rotate[{view}]", labels_rotate[view], *correspondence.shape)
            _check_same_cuts(segments, other)
            pair = ViewPair(segments, other, correspondence, none_counts=published)
            if truth_rotate is not None:
                vc_truth[:] = _truth_consistency(truth_val, truth_rotate, view, correspondence, sampling, seed)
        for level, (truth, background) in enumerate(levels):
            match = match_masks(segments, truth, background=background, none_counts=published)
            nc[level] = covering(match, make_draws(sampling, (seed, view, level, 0)))
            nc_dense[level] = covering_dense(match)
            if pair is not None:
                vc[level] = consistency(match, pair, make_draws(sampling, (seed, view, level, 1)))
        return scores

    working = _BYTES_PER_PIXEL * (truth_val.parts[0].size if count else 0)
    nc, nc_dense, vc, vc_truth = np.full((4, count, len(LEVELS)), np.nan)
    for view, scores in enumerate(in_threads(score, range(count), workers=workers_for(working))):
        nc[view], nc_dense[view], vc[view], vc_truth[view] = scores
    return SegmentationScores(
        names=truth_val.names,
        nc=Scores(nc),
        nc_dense=Scores(nc_dense),
        vc=None if follow is None else Scores(vc),
        vc_truth=None if follow is None or truth_rotate is None else Scores(vc_truth),
    )


def _truth_consistency(
    truth: GroundTruth, other: GroundTruth, view: int, correspondence: Correspondence, sampling: int | None, seed: int
) -> list[float]:
    """VC per level of the ground truth, taken for a segmentation whose cuts are its levels."""
    levels, levels_other = list(_levels(truth, view)), list(_levels(other, view))
    segments, segments_other = (_numbered(np.stack([ids for ids, _ in stack])) for stack in (levels, levels_other))
    pair = ViewPair(segments, segments_other, correspondence, none_counts=False)
    scores = []
    for level, (ids, background) in enumerate(levels):
        match = match_masks(segments, ids, background=background, none_counts=False)
        scores.append(consistency(match, pair, make_draws(sampling, (seed, view, level, 2))))
    return scores


def _levels(truth: GroundTruth, view: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Id map [H, W] of each level, and whether its background is scored."""
    yield truth.parts[view], False
    yield truth.objects[view], False
    yield (truth.objects[view] > 0).astype(np.int32), True


def _correspondences(
    labels_rotate: Sequence[np.ndarray | LabelStack] | None,
    truth_val: GroundTruth,
    truth_rotate: GroundTruth | None,
    cameras_val: Cameras | None,
    cameras_rotate: Cameras | None,
    published: bool,
) -> Callable[[int], Correspondence] | None:
    """The correspondence of each view pair; None where VC is not asked for or the ground truth lacks what it needs."""
    depth, visible = truth_val.depth, truth_val.visible
    if labels_rotate is None or depth is None or visible is None:
        return None
    if cameras_val is None or cameras_rotate is None:
        raise ValueError("view consistency needs cameras_val and cameras_rotate")
    count = len(truth_val.names)
    _check_count("labels_rotate", labels_rotate, count)
    _check_count("cameras_val", cameras_val, count)
    _check_count("cameras_rotate", cameras_rotate, count)
    if truth_rotate is not None:
        _check_count("truth_rotate", truth_rotate.names, count)
    rotated = truth_val if truth_rotate is None else truth_rotate
    visible_other = None if truth_rotate is None else truth_rotate.visible
    cameras = _at_size(cameras_val, truth_val.parts.shape)
    cameras_other = _at_size(cameras_rotate, rotated.parts.shape)

    def follow(view: int) -> Correspondence:
        return correspond(
            depth[view],
            visible[view],
            None if visible_other is None else visible_other[view],
            cameras[[view]],
            cameras_other[[view]],
            published=published,
        )

    return follow


def _at_size(cameras: Cameras, shape: tuple[int, ...]) -> Cameras:
    """Cameras that take pictures of the ground truth's size [V, H, W]."""
    return cameras.resized(np.broadcast_to(np.array([shape[2], shape[1]]), (len(cameras), 2)))


def _check_labels(name: str, labels: np.ndarray | LabelStack, truth: np.ndarray) -> LabelStack:
    """Check a view's labels and ground truth; the numbered segments at the ground truth's size."""
    check_shape("truth", truth, (None, None))
    if not np.issubdtype(truth.dtype, np.integer):
        raise TypeError(f"truth: expected integers, got {truth.dtype}")
    if truth.size and truth.min() < 0:
        raise ValueError(f"truth: ids must be 0 (background) or more, got {truth.min()}")
    return _number_at_size(name, labels, *truth.shape)


def _number_at_size(name: str, labels: np.ndarray | LabelStack, height: int, width: int) -> LabelStack:
    if isinstance(labels, np.ndarray):
        check_shape(name, labels, (None, None, None))
    if 0 in labels.shape:
        raise ValueError(f"{name}: expected at least one cut and one pixel, got shape {list(labels.shape)}")
    numbered = _numbered(labels)
    return LabelStack(resize_nearest(numbered.index, (height, width)), numbered.columns)


def _numbered(labels: np.ndarray | LabelStack) -> LabelStack:
    """A stack of the label maps, with ids numbered without gaps."""
    stack = labels if isinstance(labels, LabelStack) else LabelStack.of(labels)
    return LabelStack(stack.index, number_segments(stack.columns))


def _check_same_cuts(segments: LabelStack, segments_other: LabelStack) -> None:
    cuts, cuts_other = segments.shape[0], segments_other.shape[0]
    if cuts != cuts_other:
        raise ValueError(f"the two views have {cuts} and {cuts_other} cuts; they must be the same")


def _check_count(name: str, items: Sequence[object] | Cameras, count: int) -> None:
    if len(items) != count:
        raise ValueError(f"{name}: expected {count}, one per validation view, got {len(items)}")
