"""Networks of the Segment Anything families with random weights whose answers look a little like masks.

Plain random weights answer every point with the same noise all over the picture, of which filters leave all or nothing.
Here the pixels of the decoder look at the tokens that are most like them (queries and keys of that attention are
projected alike, positions count against the picture), so that answers are patches that depend on the point; and the
last layers of the heads are scaled and shifted, by what they give on a picture, so that a mask is a small part of the
picture, its border is sharp, and predicted qualities lie around the usual threshold.

All of it follows from a seed and is stored as ordinary weights: whatever loads them has the same network.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SIDE = 12  # of the grid of points by whose answers heads are fitted
_SOME = 1 << 18  # numbers that quantiles are taken of
_QUIET = re.compile(r"mask_decoder.transformer.layers.*((self_attn|token_to_image)\.(out|o)_proj|mlp\.(lin2|proj_out))")
_FAINT = re.compile(r"neck\.layer_norm2|mask_decoder.*layer_norm3|no_mask_embed")
_SHARPNESS = 0.5
_FACTOR = 0.3  # of quiet layers and faint vectors


def randomise(model: Any, seed: int) -> None:
    """Draw all weights of a model of transformers with a mask decoder anew."""
    generator = torch.Generator().manual_seed(seed)
    positions = 0.5 * torch.randn(2, model.mask_decoder.hidden_size // 2, generator=generator)
    with torch.no_grad():
        for name, weight in sorted([*model.named_parameters(), *model.named_buffers()]):
            if name.endswith("positional_embedding"):
                weight.copy_(positions)
            elif weight.is_floating_point():
                weight.copy_(_drawn(name, weight, generator))
        for name, part in model.mask_decoder.named_modules():
            if name.endswith("cross_attn_image_to_token"):
                part.q_proj.weight.mul_(_SHARPNESS)
                part.k_proj.weight.copy_(part.q_proj.weight)


def fit_heads(model: Any, pixels: Tensor, *, spread: float, inside: float, quality: float) -> None:
    """Scale and shift the last layers of the decoder's heads.

    Args:
        model: A model with random weights.
        pixels: The network's input for some picture [1, 3, S, S].
        spread: Standard deviation of the logits of each of a point's masks.
        inside: Part of the logits that are above the threshold.
        quality: Predicted quality that half of all masks have.
    """
    with torch.no_grad():
        seen = _look(model, pixels)
        constant = _constant(seen.maps)
        masks = seen.logits.unbind(1)
        if hasattr(model.mask_decoder, "hq_token"):  # whose masks come in the order of their qualities
            masks = (seen.logits,) * len(masks)
        for mlp, logits in zip(model.mask_decoder.output_hypernetworks_mlps[1:], masks, strict=True):
            scale, threshold = spread / float(logits.std()), _quantile(logits, 1 - inside)
            mlp.proj_out.weight.mul_(scale)
            mlp.proj_out.bias.sub_(threshold * constant).mul_(scale)
        head, (mean, std) = model.mask_decoder.iou_prediction_head, (seen.qualities.mean(0), seen.qualities.std(0))
        middle, width = (math.log(quality / (1 - quality)), 0.4) if head.sigmoid_output else (quality, 0.04)
        head.proj_out.weight.mul_((width / std)[:, None])
        head.proj_out.bias.copy_((head.proj_out.bias - mean) * width / std + middle)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a decoder gives for a grid of points.

    Attributes:
        logits: [P, 3, h, w].
        maps: The maps that they are products of, at some pixels [N, C].
        qualities: Predicted qualities as the last layer gives them [P, 4].
    """

    logits: Tensor
    maps: Tensor
    qualities: Tensor


def _drawn(name: str, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Weights of one layer: products keep the size of what goes in, norms and biases change little."""
    noise = torch.randn(weight.shape, generator=generator)
    size = _FACTOR if _FAINT.search(name) or _QUIET.search(name) else 1.0
    if "norm" in name or "lambda" in name:
        return size * ((1 + 0.1 * noise) if name.endswith("weight") else 0.1 * noise)
    if name.endswith("bias"):
        return 0.1 * noise
    if "rel_pos" in name:  # products with queries, which must not decide alone where attention goes
        return noise / math.sqrt(weight.shape[-1])
    if weight.ndim < 2 or "embed" in name or "token" in name or "pos_" in name:
        return size * (noise if weight.ndim <= 2 else 0.2 * noise)
    if "upscale" in name:  # what the four new pixels of an old one get is nearly the same, or masks would be grids
        return (noise[..., :1, :1] + 0.05 * noise) / math.sqrt(weight.shape[0])
    return size * noise / math.sqrt(weight[0].numel())


def _look(model: Any, pixels: Tensor) -> _Seen:
    decoder, maps, qualities = model.mask_decoder, [], []
    hooks = [
        decoder.activation.register_forward_hook(lambda module, given, made: maps.append(made)),
        decoder.iou_prediction_head.proj_out.register_forward_hook(lambda module, given, made: qualities.append(made)),
    ]
    places = (torch.arange(_SIDE, device=pixels.device) + 0.5) * pixels.shape[-1] / _SIDE
    points = torch.cartesian_prod(places, places)[None, :, None]
    logits = model(pixel_values=pixels, input_points=points, multimask_output=True).pred_masks[0]
    for hook in hooks:
        hook.remove()
    upscaled = [made for made in maps if made.shape[1] == decoder.hidden_size // 8][-1].float()  # [P, C, h, w]
    step = max(1, upscaled.shape[-1] // 32)
    some = upscaled[:, :, ::step, ::step].permute(0, 2, 3, 1).flatten(0, 2)
    return _Seen(logits.float(), some, qualities[-1].flatten(0, -2).float())


def _constant(maps: Tensor) -> Tensor:
    """The factors [C] by which maps [N, C] give 1 everywhere, as nearly as can be."""
    values = maps.double()
    moments = values.T @ values / len(values)
    ridge = 1e-4 * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype, device=moments.device)
    return torch.linalg.solve(moments + ridge, values.mean(dim=0)).float()


def _quantile(values: Tensor, part: float) -> float:
    flat = values.flatten()
    return float(torch.quantile(flat[:: max(1, len(flat) // _SOME)], part))
