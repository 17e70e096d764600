"""The networks that can be asked for masks at points, and what is particular to each family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...checkpoints import Color

FamilyName = Literal["sam", "sam2", "sam3"]
Precision = Literal["float32", "float16", "bfloat16"]

_IMAGENET_MEAN: Color = (0.485, 0.456, 0.406)
_IMAGENET_STD: Color = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Family:
    """What the networks of one family have in common.

    Attributes:
        name: Name of the family.
        model_types: What `model_type` in config.json may be.
        published: A model of the family on the Hugging Face hub.
        pred_iou_thresh: Threshold of the predicted IoU in the family's own mask generator.
        stretched: Whether pictures are stretched to the network's square input; otherwise they keep their proportions,
            and the rest of the square is empty.
        mean: Of the colours in [0, 1], unless the checkpoint says otherwise.
        std: Their standard deviation, likewise.
        half: Floats of 16 bits that the family's authors compute with, or that lose least.
    """

    name: FamilyName
    model_types: tuple[str, ...]
    published: str
    pred_iou_thresh: float
    stretched: bool
    mean: Color
    std: Color
    half: Precision


FAMILIES: dict[FamilyName, Family] = {
    "sam": Family(
        "sam", ("sam", "sam_hq"), "facebook/sam-vit-huge", 0.88, False, _IMAGENET_MEAN, _IMAGENET_STD, "float16"
    ),
    "sam2": Family(
        "sam2",
        ("sam2", "sam2_video"),
        "facebook/sam2.1-hiera-large",
        0.8,
        True,
        _IMAGENET_MEAN,
        _IMAGENET_STD,
        "float16",
    ),
    "sam3": Family(
        "sam3", ("sam3_tracker", "sam3_video"), "facebook/sam3", 0.8, True, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bfloat16"
    ),
}

assert tuple(FAMILIES) == get_args(FamilyName)


def family_of(model_type: object) -> Family | None:
    """The family that a `model_type` in config.json belongs to, None if to none."""
    return next((family for family in FAMILIES.values() if model_type in family.model_types), None)
