"""Settings of the mask generator; their names are those of the published generators."""

from __future__ import annotations

from dataclasses import dataclass

from ...config.ranges import FRACTION, Range, Ranges, check_settings, none_for_zero

LIMITS: Ranges = {
    "points_per_side": Range(1, 256),
    "points_per_batch": Range(1, 1 << 16),
    "pred_iou_thresh": FRACTION,
    "stability_score_thresh": FRACTION,
    "stability_score_offset": Range(0, 1000),
    "box_nms_thresh": FRACTION,
    "crop_n_layers": Range(0, 4),
    "crop_nms_thresh": FRACTION,
    "crop_overlap_ratio": Range(0, 1, below=True),
    "crop_n_points_downscale_factor": Range(1, 64),
    "mask_nms_thresh": FRACTION,
    "min_mask_region_area": Range(0, 1 << 30),
}


@dataclass(frozen=True)
class GeneratorOptions:
    """How masks of everything in a picture are found.

    Attributes:
        points_per_side: Points along each side of the grid at which the network is asked.
        points_per_batch: Points that are asked about at once, which bounds memory; by default 256 with CUDA, else 16.
        pred_iou_thresh: Masks of which the network expects no higher IoU are dropped; by default 0.88 for sam, or 0.8.
        stability_score_thresh: Masks that shrink to less than this part when the threshold rises are dropped.
        stability_score_offset: How far the threshold moves up and down for that, in logits.
        box_nms_thresh: Of masks whose boxes overlap by a higher IoU, the best one stays.
        crop_n_layers: Layers of crops (2x2, 4x4, …) in which the picture is asked again.
        crop_nms_thresh: The same IoU between masks of different crops, of which that from the smaller crop stays.
        crop_overlap_ratio: Overlap of the crops of the first layer, as a part of the shorter side.
        crop_n_points_downscale_factor: How many times fewer points a side the crops of each further layer get.
        mask_nms_thresh: Of masks that overlap by a higher IoU, pixel by pixel, the best one stays; None keeps them.
        min_mask_region_area: Holes and islands of fewer pixels are filled and removed.
    """

    points_per_side: int = 32
    points_per_batch: int | None = None
    pred_iou_thresh: float | None = None
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    mask_nms_thresh: float | None = None
    min_mask_region_area: int = 100

    def __post_init__(self) -> None:
        none_for_zero(self, "points_per_batch", "mask_nms_thresh")
        check_settings(self, LIMITS)
