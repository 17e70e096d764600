"""The original generator of `segment-anything` on the same weights, where the package is (it needs torchvision)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_sam import blobs, original_sam

from ultrafield.masks.sam.checkpoint import open_checkpoint
from ultrafield.masks.sam.families import FAMILIES
from ultrafield.masks.sam.generator import MaskGenerator
from ultrafield.masks.sam.network import Network
from ultrafield.masks.sam.options import GeneratorOptions

pytestmark = pytest.mark.filterwarnings("ignore")  # of packages as old as this one
pytest.importorskip("torchvision", reason="needs torchvision")
anything = pytest.importorskip("segment_anything", reason="needs segment-anything")

BASE = {
    "points_per_side": 10,
    "pred_iou_thresh": 0.85,
    "stability_score_thresh": 0.5,
    "box_nms_thresh": 0.9,
    "crop_nms_thresh": 0.9,
    "min_mask_region_area": 0,
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "published": {"stability_score_thresh": 0.95, "box_nms_thresh": 0.7},
    "crops": {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "cleaned": {"min_mask_region_area": 25},
}


def original(folder: Path, name: str, settings: dict[str, Any]) -> Any:
    """The original generator with the weights in a folder."""
    import transformers

    model = transformers.AutoModelForMaskGeneration.from_pretrained(folder).eval()
    if name == "sam":
        return anything.SamAutomaticMaskGenerator(original_sam().original_model(model), **settings)
    family = FAMILIES["sam2"]
    return original_sam().stretched_generator(
        original_sam().StretchedPredictor(model, family.mean, family.std), **settings
    )


@pytest.mark.parametrize("name", ["sam", "sam2"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [(128, 128), (200, 150)])
def test_masks_are_the_originals_in_its_order(
    checkpoints: dict[str, Path], name: str, case: str, size: tuple[int, int]
) -> None:
    settings, picture = BASE | CASES[case], blobs(*size, seed=6)
    records = original(checkpoints[name], name, settings).generate(picture)
    network = Network(open_checkpoint(name, str(checkpoints[name])), torch.device("cpu"), "float32")  # type: ignore[arg-type]
    found = MaskGenerator(network, GeneratorOptions(**settings)).generate(picture)
    assert len(found) == len(records) >= 3
    masks = found.mask_set().masks()
    theirs = np.stack([record["segmentation"] for record in records])
    iou = (masks & theirs).sum((1, 2)) / (masks | theirs).sum((1, 2))
    assert (iou >= 0.99).mean() >= 0.99
    np.testing.assert_allclose(found.scores, [record["predicted_iou"] for record in records], atol=1e-4)
    np.testing.assert_allclose(found.stability, [record["stability_score"] for record in records], atol=5e-3)
    np.testing.assert_allclose(found.points, [record["point_coords"][0] for record in records], atol=1e-3)
