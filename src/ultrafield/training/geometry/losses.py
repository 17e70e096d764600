"""The losses of geometry training, from what a step has rendered.

Source: Barron et al., "Mip-NeRF 360", 2022 (distortion); He et al. 2024, section 3.2 (depth smoothness).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...config import GeometryConfig
from .planes import MIN_OPACITY, planes_loss
from .smoothness import smoothness_loss

_LEAST_OPACITY = 1e-6
_PLANAR_TOLERANCE = 4.0  # footprints


def ray_losses(
    color: Tensor,
    opacity: Tensor,
    target: Tensor,
    background: Tensor,
    settings: GeometryConfig,
    *,
    spread: Tensor | None,
    counted: Tensor | None = None,
    gains: Tensor | None = None,
) -> dict[str, Tensor]:
    """The losses that every ray contributes to.

    Args:
        color: Rendered colours [R, 3], without background.
        opacity: Rendered opacities [R].
        target: Colours of the picture [R, 3].
        background: Colours behind the rendering, [R, 3] or [3].
        settings: The weights.
        spread: Distortion of each ray [R]; None leaves that loss out.
        counted: Rays that count [R], bool; all if None.
        gains: By how much the photographs are brighter than what is rendered [R, 3]; all alike if None.

    Returns:
        "color", "opacity" and "distortion", weighted scalars, differentiable in what was rendered.
    """
    if color.is_cuda and counted is not None:
        from .kernels.losses_gpu import ray_losses_gpu  # Triton exists only beside CUDA builds

        weights, tensors = (settings.opacity_weight, settings.distortion_weight), (color, opacity, target, background)
        means = ray_losses_gpu(
            *tensors, spread=spread, counted=counted, gains=gains, least=_LEAST_OPACITY, weights=weights
        )
        return dict(zip(("color", "opacity", "distortion")[: 2 if spread is None else 3], means, strict=False))
    shown = (color if gains is None else gains * color) + (1 - opacity)[:, None] * background
    if gains is not None:
        shown = torch.where(target < 1, shown, shown.clamp(max=1.0))  # a photograph shows nothing brighter than white
    losses = {"color": _mean((shown - target).square(), counted)}
    certain = opacity.clamp(_LEAST_OPACITY, 1.0)
    losses["opacity"] = settings.opacity_weight * _mean(-(certain * certain.log()), counted)
    if spread is not None:
        losses["distortion"] = settings.distortion_weight * _mean(spread, counted)
    return losses


def spread_axis(t: Tensor, delta: Tensor, *, bounded: bool) -> tuple[Tensor, Tensor]:
    """Positions and lengths of samples [S] on the axis along which their distortion is measured.

    In a scene with surroundings far samples count by disparity, or the background would dominate the loss.
    """
    return (t, delta) if bounded else (t / (1 + t), delta / (1 + t).square())


def depth_smoothness(
    depth: Tensor, opacity: Tensor, settings: GeometryConfig, *, counted: Tensor | None = None
) -> Tensor:
    """Weighted `smoothness_loss` of rendered quadruples.

    Args:
        depth: Σ weight · z-depth of each ray [4 Q], not divided by the opacity; the rays of a quadruple side by side.
        opacity: [4 Q].
        settings: Weight, least opacity and tolerance.
        counted: Rays that count [4 Q], bool; all if None. A quadruple with one that does not is left out.
    """
    expected = depth / opacity.clamp(min=_LEAST_OPACITY)
    opaque = opacity if counted is None else torch.where(counted, opacity, 0.0)
    loss = smoothness_loss(
        expected.view(-1, 4),
        opaque.view(-1, 4),
        min_opacity=settings.depth_smooth_opacity,
        tolerance=settings.depth_smooth_tolerance,
    )
    return settings.depth_smooth_weight * loss


def planarity(
    depth: Tensor,
    opacity: Tensor,
    part: Tensor,
    focal: Tensor,
    settings: GeometryConfig,
    *,
    counted: Tensor,
) -> Tensor:
    """Weighted `planes_loss` of rendered triples.

    Args:
        depth: Σ weight · z-depth of each ray [3 T], not divided by the opacity; the rays of a triple side by side.
        opacity: [3 T].
        part: As in `Triples` [T].
        focal: Focal length of each triple's picture, in pixels [T].
        settings: The weight.
        counted: Triples that count [T], bool.
    """
    if depth.is_cuda:
        from .kernels.planes_gpu import planarity_gpu  # Triton exists only beside CUDA builds

        columns = (depth, opacity, part, focal, counted)
        return settings.planar_weight * planarity_gpu(*columns, opaque=MIN_OPACITY, tolerance=_PLANAR_TOLERANCE)
    expected = depth / opacity.clamp(min=_LEAST_OPACITY)
    loss = planes_loss(expected.view(-1, 3), opacity.view(-1, 3), part, focal, counted, tolerance=_PLANAR_TOLERANCE)
    return settings.planar_weight * loss


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    """Mean of values [R] or [R, C] over the rays that count."""
    if counted is None:
        return values.mean()
    per_ray = values if values.ndim == 1 else values.mean(1)
    return torch.where(counted, per_ray, 0.0).sum() / counted.sum().clamp(min=1)
