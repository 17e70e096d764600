"""Quality metrics of pictures (PSNR, SSIM), of depth, and of hierarchical segmentations (NC, NC-dense, VC)."""

from .correspondence import Correspondence, correspond
from .depth import FOOTPRINTS, DepthScores, evaluate_depth
from .image import psnr, ssim
from .scores import LEVELS, Scores, SegmentationScores, published_scores
from .segmentation import evaluate_segmentation, normalized_covering, normalized_covering_dense, view_consistency

__all__ = [
    "FOOTPRINTS",
    "LEVELS",
    "Correspondence",
    "DepthScores",
    "Scores",
    "SegmentationScores",
    "correspond",
    "evaluate_depth",
    "evaluate_segmentation",
    "normalized_covering",
    "normalized_covering_dense",
    "psnr",
    "published_scores",
    "ssim",
    "view_consistency",
]
