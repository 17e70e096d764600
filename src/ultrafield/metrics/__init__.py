"""Quality metrics of pictures (PSNR, SSIM) and of hierarchical segmentations (NC, NC-dense, VC)."""

from .correspondence import Correspondence, correspond
from .image import psnr, ssim
from .scores import LEVELS, Scores, SegmentationScores, published_scores
from .segmentation import evaluate_segmentation, normalized_covering, normalized_covering_dense, view_consistency

__all__ = [
    "LEVELS",
    "Correspondence",
    "Scores",
    "SegmentationScores",
    "correspond",
    "evaluate_segmentation",
    "normalized_covering",
    "normalized_covering_dense",
    "psnr",
    "published_scores",
    "ssim",
    "view_consistency",
]
