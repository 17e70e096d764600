"""The mask generator against one that goes mask by mask, for every kind of network that it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from slow_generator import SlowMask, slow_masks
from tiny_sam import FAMILIES, SIDE, blobs

from ultrafield.masks.sam.checkpoint import open_checkpoint
from ultrafield.masks.sam.families import Precision
from ultrafield.masks.sam.generator import GeneratedMasks, MaskGenerator
from ultrafield.masks.sam.network import Network
from ultrafield.masks.sam.options import GeneratorOptions

MANY = GeneratorOptions(
    points_per_side=8, stability_score_thresh=0.5, box_nms_thresh=0.9, crop_nms_thresh=0.9, min_mask_region_area=0
)


def generate(folder: Path, kind: str, picture: np.ndarray, options: GeneratorOptions) -> GeneratedMasks:
    network = Network(open_checkpoint(FAMILIES[kind], str(folder)), torch.device("cpu"), "float32")
    return MaskGenerator(network, options).generate(picture)


def check(found: GeneratedMasks, expected: list[SlowMask], size: tuple[int, int], *, least: int) -> None:
    """The same masks in the same order, in two forms."""
    assert len(found) == len(expected) >= least
    masks = found.mask_set()
    assert masks.shape == size
    for index, mask in enumerate(expected):
        assert (masks.mask(index) != mask.mask).sum() <= 2e-4 * mask.mask.size  # logits that are 0 but for rounding
        np.testing.assert_allclose(found.boxes[index], mask.box, atol=1)
    for values, name in ((found.scores, "score"), (found.stability, "stability"), (found.points, "point")):
        np.testing.assert_allclose(values, [getattr(mask, name) for mask in expected], atol=2e-3)


def replaced(**changes: object) -> GeneratorOptions:
    return GeneratorOptions(**(vars(MANY) | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_kind_of_network_gives_the_masks_of_the_slow_way(checkpoints: dict[str, Path], kind: str) -> None:
    picture = blobs(90, 150, seed=3)
    expected = slow_masks(checkpoints[kind], FAMILIES[kind], picture, MANY)
    check(generate(checkpoints[kind], kind, picture, MANY), expected, (90, 150), least=8)


CASES = {
    "as published": {"stability_score_thresh": 0.95, "box_nms_thresh": 0.7, "crop_nms_thresh": 0.7},
    "everything": {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0},
    "hard offset": {"stability_score_offset": 5.0, "pred_iou_thresh": 0.8},
    "small regions": {"min_mask_region_area": 60},
    "near duplicates": {"mask_nms_thresh": 0.4, "min_mask_region_area": 9},
}


@pytest.mark.parametrize("case", CASES)
def test_every_option_counts_and_counts_right(checkpoints: dict[str, Path], case: str) -> None:
    picture, options = blobs(SIDE, SIDE, seed=6), replaced(**CASES[case])
    expected = slow_masks(checkpoints["sam"], "sam", picture, options)
    plain = slow_masks(checkpoints["sam"], "sam", picture, MANY)
    assert [mask.mask.tolist() for mask in expected] != [mask.mask.tolist() for mask in plain]
    check(generate(checkpoints["sam"], "sam", picture, options), expected, (SIDE, SIDE), least=3)


def test_crops_are_asked_too(checkpoints: dict[str, Path]) -> None:
    picture, options = blobs(230, 310, seed=2), replaced(crop_n_layers=1, crop_n_points_downscale_factor=2)
    expected = slow_masks(checkpoints["sam"], "sam", picture, options)
    assert len({mask.crop_area for mask in expected}) > 1
    check(generate(checkpoints["sam"], "sam", picture, options), expected, (230, 310), least=12)


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_points_that_are_asked_at_once_change_nothing(checkpoints: dict[str, Path], count: int) -> None:
    picture = blobs(60, 80, seed=5)
    found = generate(checkpoints["sam"], "sam", picture, replaced(points_per_batch=count, points_per_side=5))
    plain = generate(checkpoints["sam"], "sam", picture, replaced(points_per_side=5))
    assert len(found) > 3
    np.testing.assert_array_equal(found.bits, plain.bits)


def test_a_mask_at_full_size_is_measured_at_a_time_if_need_be(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = blobs(60, 80, seed=5)
    plain = generate(checkpoints["sam"], "sam", picture, MANY)
    monkeypatch.setattr("ultrafield.masks.sam.generator._BLOCK_BYTES", {"cpu": 1})
    np.testing.assert_array_equal(generate(checkpoints["sam"], "sam", picture, MANY).bits, plain.bits)


def test_a_picture_may_have_no_masks(checkpoints: dict[str, Path]) -> None:
    options = replaced(pred_iou_thresh=1.0, stability_score_thresh=1.0, crop_n_layers=1, min_mask_region_area=5)
    found = generate(checkpoints["sam2"], "sam2", blobs(40, 50), options)
    assert (len(found), found.mask_set().shape) == (0, (40, 50))


def test_a_picture_may_be_a_pixel(checkpoints: dict[str, Path]) -> None:
    options = replaced(pred_iou_thresh=0.0, stability_score_thresh=0.0, min_mask_region_area=0)
    found = generate(checkpoints["sam"], "sam", blobs(1, 1), options)
    assert found.mask_set().areas.tolist() == [1] * len(found)


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_every_kind_of_network_computes_in_16_bits(
    checkpoints: dict[str, Path], kind: str, precision: Precision
) -> None:
    checkpoint = open_checkpoint(FAMILIES[kind], str(checkpoints[kind]))
    points = torch.rand(5, 2, generator=torch.Generator().manual_seed(0)) * 100
    answers = []
    for one in (precision, "float32"):
        network = Network(checkpoint, torch.device("cpu"), one)  # type: ignore[arg-type]
        embedding = network.encode(blobs(100, 120))
        assert embedding.features.dtype == network.dtype
        answers.append(network.decode(embedding, points))
    (logits, scores), (exact, right) = answers
    assert logits.dtype == getattr(torch, precision)
    assert scores.dtype == torch.float32
    assert ((logits > 0) == (exact > 0)).float().mean() > 0.8  # random weights amplify rounding
    assert (scores - right).abs().mean() < 0.1


def test_bfloat16_gives_nearly_the_same_masks(checkpoints: dict[str, Path]) -> None:
    picture, folder = blobs(SIDE, SIDE, seed=6), checkpoints["sam"]
    exact = generate(folder, "sam", picture, replaced(box_nms_thresh=1.0)).mask_set().masks()
    network = Network(open_checkpoint("sam", str(folder)), torch.device("cpu"), "bfloat16")
    masks = MaskGenerator(network, replaced(box_nms_thresh=1.0)).generate(picture).mask_set().masks()
    shared = np.einsum("mhw,nhw->mn", masks.astype(np.int64), exact.astype(np.int64))
    union = masks.sum((1, 2))[:, None] + exact.sum((1, 2))[None] - shared
    assert len(masks) > 20
    assert np.median((shared / union).max(axis=1)) > 0.8  # random weights amplify rounding more than trained ones


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_refused(checkpoints: dict[str, Path], picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture"):
        generate(checkpoints["sam"], "sam", picture, MANY)
