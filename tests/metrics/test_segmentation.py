"""NC, NC-dense and VC: by hand, against brute force, and on exact ground truth."""

from __future__ import annotations

import doctest
import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.cameras import Cameras
from ultrafield.metrics import (
    Correspondence,
    evaluate_segmentation,
    normalized_covering,
    normalized_covering_dense,
    view_consistency,
)
from ultrafield.scene import GroundTruth

SIZE = 10
COLUMN = np.tile(np.arange(SIZE), (SIZE, 1))
HALVES = np.where(COLUMN < 5, 1, 2)  # two masks of 50 pixels
ONE = np.zeros((1, SIZE, SIZE), np.int32)


def _identity(shape: tuple[int, int] = (SIZE, SIZE)) -> Correspondence:
    everywhere = np.ones(shape, bool)
    return Correspondence(np.arange(everywhere.size).reshape(shape), everywhere, everywhere, shape)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def _covering_by_loops(labels: np.ndarray, truth: np.ndarray, background: bool, published: bool) -> tuple[list, list]:
    """Per mask the scores of its pixels in row order, and the cuts that reached them."""
    scores, cuts = [], []
    for mask_id in np.unique(truth):
        mask = truth == mask_id
        if (mask_id == 0 and not background) or mask.sum() < 20:
            continue
        none_counts = published or mask_id == 0
        scores.append([])
        cuts.append([])
        for row, column in np.argwhere(mask):
            found = [
                _iou(level == level[row, column], mask) if none_counts or level[row, column] >= 0 else 0.0
                for level in labels
            ]
            scores[-1].append(max(found))
            cuts[-1].append(int(np.argmax(found)))
    return scores, cuts


def _consistency_by_loops(labels, labels_other, truth, pair, background: bool, published: bool) -> float:
    """Expected VC, drawing every p and every q."""
    _, cuts = _covering_by_loops(labels, truth, background, published)
    masks = [
        truth == mask_id for mask_id in np.unique(truth) if (mask_id or background) and (truth == mask_id).sum() >= 20
    ]
    means = []
    for mask, mask_cuts in zip(masks, cuts, strict=True):
        draws = []
        for cut in mask_cuts:
            here, warped = labels[cut], labels_other[cut].ravel()[pair.target]
            candidates = np.argwhere(mask & pair.mutual & (warped != -1))
            values = [
                _iou((here == here[r, c]) & pair.seen, (warped == warped[r, c]) & pair.seen)
                if published or here[r, c] >= 0
                else 0.0
                for r, c in candidates
            ]
            if values:
                draws.append(np.mean(values))
        if draws:
            means.append(np.mean(draws))
    return np.mean(means) if means else float("nan")


def _random_view(rng: np.random.Generator, cuts: int, ids: int) -> np.ndarray:
    """Blocky labels with none among them."""
    blocks = rng.integers(-1, ids, (cuts, 4, 3))
    return np.kron(blocks, np.ones((1, 3, 3), np.int64)).astype(np.int32)  # [L, 12, 9]


def _random_pair(rng: np.random.Generator) -> Correspondence:
    target = rng.permutation(12 * 9).reshape(12, 9)
    target[:, 0] = -1
    seen = (target >= 0) & (rng.random((12, 9)) < 0.8)
    return Correspondence(target, seen, seen & (rng.random((12, 9)) < 0.8), (12, 9))


class TestCovering:
    def test_the_truth_itself_is_perfect(self) -> None:
        assert normalized_covering(HALVES[None], HALVES) == 1.0
        assert normalized_covering_dense(HALVES[None], HALVES) == 1.0

    def test_one_segment_scores_the_share_of_each_mask(self) -> None:
        truth = np.where(COLUMN < 3, 1, np.where(COLUMN < 8, 2, 0))
        assert normalized_covering(ONE, truth) == pytest.approx((0.3 + 0.5) / 2)
        assert normalized_covering(ONE, truth, background=True) == pytest.approx((0.2 + 0.3 + 0.5) / 3)

    def test_shifted_halves(self) -> None:
        labels = np.where(COLUMN < 6, 7, 8)[None]  # 60 and 40 pixels: IoU 5/6 left; right 4/5, and 1/10 in one column
        assert normalized_covering(labels, HALVES) == pytest.approx((5 / 6 + 0.8 * 4 / 5 + 0.2 * 1 / 10) / 2)
        assert normalized_covering_dense(labels, HALVES) == pytest.approx((5 / 6 + 4 / 5) / 2)

    def test_every_pixel_takes_its_best_cut(self) -> None:
        left = np.where(COLUMN < 5, 0, COLUMN)  # the left half whole, the right in columns
        right = np.where(COLUMN >= 5, 9, COLUMN)
        assert normalized_covering(np.stack([left, right]), HALVES) == 1.0
        assert normalized_covering(left[None], HALVES) == pytest.approx((1 + 1 / 5) / 2)

    def test_no_segment_covers_no_mask_but_the_background(self) -> None:
        truth = np.where(COLUMN < 5, 1, 0)
        nothing = np.full((1, SIZE, SIZE), -1)
        assert normalized_covering(nothing, truth) == 0.0
        assert normalized_covering_dense(nothing, truth) == 0.0
        assert normalized_covering(np.where(truth == 1, 0, -1)[None], truth, background=True) == 1.0
        assert normalized_covering(nothing, truth, background=True) == pytest.approx((0.5 + 0) / 2)

    def test_the_published_script_takes_none_for_a_segment(self) -> None:
        truth = np.where(COLUMN < 5, 1, 0)
        nothing = np.full((1, SIZE, SIZE), -1)
        assert normalized_covering(nothing, truth, published=True) == 0.5
        assert normalized_covering_dense(nothing, truth, published=True) == 0.5

    def test_masks_below_20_pixels_are_left_out(self) -> None:
        truth = np.where(COLUMN < 2, 1, 2)
        truth[0, 0] = 3  # leaves 19 pixels to mask 1
        assert normalized_covering(ONE, truth) == pytest.approx(0.8)
        truth[0, 0] = 1
        assert normalized_covering(ONE, truth) == pytest.approx((0.2 + 0.8) / 2)

    def test_nothing_to_score_is_nan(self) -> None:
        assert np.isnan(normalized_covering(ONE, np.zeros((SIZE, SIZE), int)))
        assert np.isnan(normalized_covering_dense(ONE, np.zeros((SIZE, SIZE), int)))

    def test_labels_of_another_size(self) -> None:
        fine = np.kron(HALVES, np.ones((4, 4), int))
        assert normalized_covering(fine[None], HALVES) == 1.0
        assert normalized_covering(HALVES[None], fine) == 1.0

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans(), st.booleans())
    def test_against_loops(self, seed: int, cuts: int, background: bool, published: bool) -> None:
        rng = np.random.default_rng(seed)
        labels, truth = _random_view(rng, cuts, 4), _random_view(rng, 1, 2)[0] + 1
        scores, _ = _covering_by_loops(labels, truth, background, published)
        options = {"background": background, "published": published}
        expected = np.mean([np.mean(mask) for mask in scores]) if scores else np.nan
        dense = np.mean([max(mask) for mask in scores]) if scores else np.nan
        assert normalized_covering(labels, truth, **options) == pytest.approx(expected, nan_ok=True)
        assert normalized_covering_dense(labels, truth, **options) == pytest.approx(dense, nan_ok=True)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_invariances(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        labels, truth = _random_view(rng, 3, 4), _random_view(rng, 1, 2)[0] + 1
        score = normalized_covering(labels, truth, background=True)
        renamed = np.where(labels < 0, -1, np.array([900_000_000, 3, 17, 0], np.int32)[labels])
        assert normalized_covering(renamed, truth, background=True) == score
        assert normalized_covering(labels[::-1], truth, background=True) == score
        assert normalized_covering(labels[:2], truth, background=True) <= score + 1e-12
        assert normalized_covering_dense(labels, truth, background=True) >= score - 1e-12

    def test_sampling_converges_to_the_expectation(self) -> None:
        rng = np.random.default_rng(5)
        labels, truth = _random_view(rng, 3, 4), _random_view(rng, 1, 2)[0] + 1
        exact = normalized_covering(labels, truth)
        sampled = normalized_covering(labels, truth, sampling=200_000)
        assert sampled != exact
        assert sampled == pytest.approx(exact, abs=2e-3)  # standard deviation below 0.5 / sqrt(200 000) = 1.1e-3

    def test_sampling_is_seeded(self) -> None:
        rng = np.random.default_rng(5)
        labels, truth = _random_view(rng, 3, 4), _random_view(rng, 1, 2)[0] + 1
        scores = [normalized_covering(labels, truth, sampling=10, seed=seed) for seed in (0, 0, 1)]
        assert scores[0] == scores[1] != scores[2]


class TestConsistency:
    def test_equal_views_are_consistent_whatever_their_ids(self) -> None:
        assert view_consistency(HALVES[None], 50 - HALVES[None], HALVES, _identity()) == 1.0

    def test_one_segment_is_consistent(self) -> None:
        assert view_consistency(ONE, ONE, HALVES, _identity()) == 1.0

    def test_a_border_that_moves(self) -> None:
        other = np.where(COLUMN < 6, 1, 2)[None]
        # Left: 50 of 60 pixels. Right: 40 of 50, but in one column in five the views' segments share 10 of 100.
        expected = (5 / 6 + 0.8 * 4 / 5 + 0.2 * 1 / 10) / 2
        assert view_consistency(HALVES[None], other, HALVES, _identity()) == pytest.approx(expected)

    def test_only_the_best_cut_counts(self) -> None:
        labels, other = np.stack([HALVES, ONE[0]]), np.stack([HALVES, COLUMN])
        assert view_consistency(labels, other, HALVES, _identity()) == 1.0

    def test_only_seen_pixels_are_compared(self) -> None:
        other = np.where(COLUMN < 6, 1, 2)[None]
        seen = COLUMN != 5
        pair = replace(_identity(), seen=seen, mutual=seen)
        assert view_consistency(HALVES[None], other, HALVES, pair) == 1.0

    def test_points_need_a_segment_in_the_other_view(self) -> None:
        other = np.where(COLUMN < 2, -1, HALVES)[None]
        # Points come from columns 2 to 4 only; the segment there has 30 of the 50 pixels.
        assert view_consistency(HALVES[None], other, HALVES, _identity()) == pytest.approx((0.6 + 1) / 2)

    def test_a_point_without_a_segment_in_the_first_view_scores_nothing(self) -> None:
        labels = np.where(COLUMN < 5, -1, 2)[None]
        assert view_consistency(labels, HALVES[None], HALVES, _identity()) == pytest.approx(0.5)
        assert view_consistency(labels, HALVES[None], HALVES, _identity(), published=True) == 1.0

    def test_masks_without_points_are_left_out(self) -> None:
        pair = replace(_identity(), mutual=COLUMN < 5)
        other = np.where(COLUMN < 5, 1, COLUMN)[None]
        assert view_consistency(HALVES[None], other, HALVES, pair) == 1.0
        nowhere = np.zeros((SIZE, SIZE), bool)
        assert np.isnan(view_consistency(ONE, ONE, HALVES, replace(pair, seen=nowhere, mutual=nowhere)))

    def test_views_of_different_sizes(self) -> None:
        fine = np.kron(HALVES, np.ones((2, 2), int))
        rows, columns = np.mgrid[:SIZE, :SIZE]
        everywhere = np.ones((SIZE, SIZE), bool)
        pair = Correspondence(2 * rows * 2 * SIZE + 2 * columns, everywhere, everywhere, (2 * SIZE, 2 * SIZE))
        assert view_consistency(HALVES[None], fine[None], HALVES, pair) == 1.0
        assert view_consistency(HALVES[None], HALVES[None], HALVES, pair) == 1.0

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans(), st.booleans())
    def test_against_loops(self, seed: int, cuts: int, background: bool, published: bool) -> None:
        rng = np.random.default_rng(seed)
        labels, other, truth = _random_view(rng, cuts, 3), _random_view(rng, cuts, 3), _random_view(rng, 1, 2)[0] + 1
        pair = _random_pair(rng)
        expected = _consistency_by_loops(labels, other, truth, pair, background, published)
        found = view_consistency(labels, other, truth, pair, background=background, published=published)
        assert found == pytest.approx(expected, nan_ok=True)

    def test_sampling_converges_to_the_expectation(self) -> None:
        rng = np.random.default_rng(6)
        labels, other, truth = _random_view(rng, 3, 3), _random_view(rng, 3, 3), _random_view(rng, 1, 2)[0] + 1
        pair = _random_pair(rng)
        exact = view_consistency(labels, other, truth, pair)
        sampled = view_consistency(labels, other, truth, pair, sampling=200_000)
        assert sampled != exact
        assert sampled == pytest.approx(exact, abs=2e-3)


def _still_pair(labels: np.ndarray) -> tuple[GroundTruth, Cameras]:
    """A plane seen by a camera whose "rotated" view is the same one."""
    objects = np.where(labels > 0, 1, 0)
    shape = labels.shape
    truth = GroundTruth(
        names=("a",),
        parts=labels[None].astype(np.int32),
        objects=objects[None].astype(np.int32),
        depth=np.full((1, *shape), 1.0, np.float32),
        depth_exact=True,
        visible=np.ones((1, *shape), bool),
    )
    pose = np.eye(4)[None, :3]
    return truth, Cameras.pinhole(pose, [4 * SIZE, 4 * SIZE, 2 * SIZE, 2 * SIZE], [4 * SIZE, 4 * SIZE])


class TestEvaluate:
    truth, cameras = _still_pair(np.where(COLUMN < 7, HALVES, 0))  # parts 50 and 20, background 30
    labels = np.stack([HALVES, ONE[0], np.where(COLUMN < 7, 0, -1)]).astype(np.int32)

    def test_levels(self) -> None:
        scores = evaluate_segmentation([self.labels], None, self.truth, None)
        assert scores.names == ("a",)
        assert scores.vc is None
        assert scores.vc_truth is None
        # Parts: the left half is exact, 20 of the 50 right pixels are right. Object and foreground: the last cut.
        np.testing.assert_allclose(scores.nc.per_view, [[(1 + 0.4) / 2, 1, 1]])
        np.testing.assert_allclose(scores.nc_dense.per_view, [[(1 + 0.4) / 2, 1, 1]])

    def test_consistency_beside_that_of_the_truth(self) -> None:
        args = ([self.labels], [self.labels], self.truth, self.truth, self.cameras, self.cameras)
        scores = evaluate_segmentation(*args)
        np.testing.assert_allclose(scores.vc.per_view, [[1, 1, 1]])
        np.testing.assert_allclose(scores.vc_truth.per_view, [[1, 1, 1]])

    def test_without_rotated_truth_there_is_no_consistency_of_the_truth(self) -> None:
        scores = evaluate_segmentation([self.labels], [self.labels], self.truth, None, self.cameras, self.cameras)
        np.testing.assert_allclose(scores.vc.per_view, [[1, 1, 1]])
        assert scores.vc_truth is None

    @pytest.mark.parametrize("missing", ["depth", "visible"])
    def test_consistency_needs_depth_and_visibility(self, missing: str) -> None:
        truth = replace(self.truth, **{missing: None})
        scores = evaluate_segmentation([self.labels], [self.labels], truth, truth, self.cameras, self.cameras)
        assert scores.vc is None

    def test_sampling_is_seeded(self) -> None:
        def nc(seed: int) -> np.ndarray:
            found = evaluate_segmentation([HALVES[None]], None, shifted, None, sampling=10, seed=seed)
            return found.nc.per_view

        shifted, _ = _still_pair(np.where(COLUMN < 6, 1, 2))  # one column is in the wrong half
        np.testing.assert_array_equal(nc(0), nc(0))
        assert (nc(0) != nc(3)).any()

    def test_empty_split(self) -> None:
        nothing = np.zeros((0, SIZE, SIZE), np.int32)
        scores = evaluate_segmentation([], None, GroundTruth((), nothing, nothing, None, False, None), None)
        assert scores.nc.per_view.shape == (0, 3)


class TestErrors:
    @pytest.mark.parametrize("metric", [normalized_covering, normalized_covering_dense])
    def test_bad_labels_and_truth(self, metric) -> None:
        with pytest.raises(ValueError, match=r"labels: expected shape \[\*, \*, \*\], got \[10, 10\]"):
            metric(HALVES, HALVES)
        with pytest.raises(ValueError, match=r"truth: expected shape \[\*, \*\], got \[1, 10, 10\]"):
            metric(ONE, ONE)
        with pytest.raises(
            ValueError, match=r"labels: expected at least one cut and one pixel, got shape \[0, 10, 10\]"
        ):
            metric(ONE[:0], HALVES)
        with pytest.raises(ValueError, match=r"labels: ids must be −1 \(none\) or more, got -4"):
            metric(ONE - 4, HALVES)
        with pytest.raises(ValueError, match=r"truth: ids must be 0 \(background\) or more, got -1"):
            metric(ONE, HALVES - 2)
        with pytest.raises(TypeError, match="labels: expected integers, got float64"):
            metric(ONE * 1.0, HALVES)
        with pytest.raises(TypeError, match="truth: expected integers, got bool"):
            metric(ONE, HALVES > 1)

    def test_sampling_needs_points(self) -> None:
        with pytest.raises(ValueError, match="sampling: expected at least 1 point per mask, got 0"):
            normalized_covering(ONE, HALVES, sampling=0)

    def test_views_must_have_the_same_cuts(self) -> None:
        with pytest.raises(ValueError, match="the two views have 1 and 2 cuts; they must be the same"):
            view_consistency(ONE, np.concatenate([ONE, ONE]), HALVES, _identity())

    def test_correspondence_must_have_the_size_of_the_truth(self) -> None:
        with pytest.raises(ValueError, match=r"correspondence.target: expected shape \[10, 10\], got \[5, 5\]"):
            view_consistency(ONE, ONE, HALVES, _identity((5, 5)))

    def test_numbers_of_views(self) -> None:
        truth, cameras = TestEvaluate.truth, TestEvaluate.cameras
        two = cameras[[0, 0]]
        with pytest.raises(ValueError, match="labels_val: expected 1, one per validation view, got 0"):
            evaluate_segmentation([], None, truth, None)
        with pytest.raises(ValueError, match="labels_rotate: expected 1, one per validation view, got 2"):
            evaluate_segmentation([ONE], [ONE, ONE], truth, None, cameras, cameras)
        with pytest.raises(ValueError, match="cameras_val: expected 1, one per validation view, got 2"):
            evaluate_segmentation([ONE], [ONE], truth, None, two, cameras)
        with pytest.raises(ValueError, match="cameras_rotate: expected 1, one per validation view, got 2"):
            evaluate_segmentation([ONE], [ONE], truth, None, cameras, two)
        both = {"parts": truth.parts[[0, 0]], "objects": truth.objects[[0, 0]], "depth": None, "visible": None}
        twice = replace(truth, names=("a", "b"), **both)
        with pytest.raises(ValueError, match="truth_rotate: expected 1, one per validation view, got 2"):
            evaluate_segmentation([ONE], [ONE], truth, twice, cameras, cameras)

    def test_consistency_needs_cameras(self) -> None:
        with pytest.raises(ValueError, match="view consistency needs cameras_val and cameras_rotate"):
            evaluate_segmentation([ONE], [ONE], TestEvaluate.truth, None)

    def test_messages_name_the_view(self) -> None:
        with pytest.raises(ValueError, match=r"labels_val\[0\]: expected shape"):
            evaluate_segmentation([HALVES], None, TestEvaluate.truth, None)


def _pickplace_split(root: Path, split: str, visible: str) -> tuple[GroundTruth, Cameras]:
    from ultrafield.reading import read_image

    data = json.loads((root / f"transforms_{split}.json").read_text())
    names = tuple(Path(frame["file_path"]).name for frame in data["frames"])
    poses = np.array([frame["transform_matrix"] for frame in data["frames"]])[:, :3]
    poses[:, :, 1:3] *= -1  # OpenGL axes to OpenCV's
    factor = 1.5 / np.linalg.norm(poses[:, :, 3], axis=1)
    poses[:, :, 3] *= factor[:, None]
    focal = 100 / np.tan(data["camera_angle_x"] / 2)
    with np.load(root / "exact" / f"{split}.npz") as exact:
        parts, objects, depth = (exact[key] for key in ("part", "object", "depth"))
    truth = GroundTruth(
        names=names,
        parts=parts.astype(np.int32),
        objects=objects.astype(np.int32),
        depth=(depth * factor[:, None, None]).astype(np.float32),
        depth_exact=True,
        visible=np.stack([read_image(root / "val_visible" / visible.format(name))[..., 0] > 0 for name in names]),
    )
    return truth, Cameras.pinhole(poses, [focal, focal, 100, 100], [200, 200])


class TestPickplace:
    @pytest.fixture(scope="class")
    @staticmethod
    def scene(pickplace: Path) -> tuple:
        truth, cameras = _pickplace_split(pickplace, "val", "{}.png")
        truth_rotate, cameras_rotate = _pickplace_split(pickplace, "val_rotate", "{}_rotate.png")
        return truth, truth_rotate, cameras, cameras_rotate

    def test_one_segment_for_everything(self, scene: tuple) -> None:
        one = [np.zeros((1, 200, 200), np.int32)] * 16
        scores = evaluate_segmentation(one, one, *scene)
        assert scores.vc.mean == 1.0
        assert scores.nc.mean == pytest.approx(0.178, abs=0.001)
        assert scores.vc_truth.mean == pytest.approx(0.945, abs=0.001)

    def test_published_rounding_and_depth(self, scene: tuple) -> None:
        one = [np.zeros((1, 200, 200), np.int32)] * 16
        scores = evaluate_segmentation(one, one, *scene, published=True)
        assert scores.vc_truth.mean == pytest.approx(0.831, abs=0.001)

    def test_the_truth_covers_itself(self, scene: tuple) -> None:
        truth, truth_rotate, *_ = scene
        labels, rotated = (
            [
                np.stack([parts, objects, np.minimum(objects, 1)])
                for parts, objects in zip(t.parts, t.objects, strict=True)
            ]
            for t in (truth, truth_rotate)
        )
        scores = evaluate_segmentation(labels, rotated, *scene)
        assert scores.nc.mean == 1.0
        assert scores.vc.mean == scores.vc_truth.mean


@pytest.mark.parametrize("module", ["image", "overlap", "scores", "segmentation"])
def test_examples_in_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"ultrafield.metrics.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
