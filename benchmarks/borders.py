"""The ultrametric loss of perfect features, for every kind of border evidence.

    python benchmarks/borders.py SCENE [SCENE ...] [--json FILE]

No training: pixels, masks, comparisons and graph are those of training steps, and the features come from the ground
truth of the training views. A loss that agrees with the ground truth is low for them, as the Euclidean one is; ln 2 =
0.693 is chance, and a higher loss rewards wrong features.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
from lib.options import parser_of
from lib.results import Results, print_header, print_row
from torch import Tensor
from torch.nn.functional import one_hot

from ultrafield.config import FeatureConfig
from ultrafield.scene import GroundTruth, load_ground_truth, load_scene
from ultrafield.training.contrast import euclidean_loss, pixel_graph, sample_pairs, ultrametric_loss, unpack_membership
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.contrast.neighbors import border_evidence

# Weighting, factor, penalty.
FORMS = (
    ("any", 0.0, 10.0),
    ("any", 0.0, 1.0),
    ("any", 0.0, 0.5),
    ("any", 0.0, 0.25),
    ("any", 1.0, 0.0),
    ("any", 10.0, 0.0),
    ("share", 0.0, 10.0),
    ("share", 0.0, 1.0),
    ("share", 0.0, 0.5),
    ("share", 0.0, 0.25),
    ("share", 1.0, 0.0),
    ("share", 10.0, 0.0),
    ("share", 0.0, 0.0),
)
STEPS = 8


def main() -> int:
    """Print one table per scene."""
    parser = parser_of(__doc__)
    parser.add_argument("scenes", type=Path, nargs="+")
    options = parser.parse_args()
    results = Results("borders", options)
    for folder in options.scenes:
        scene = load_scene(folder)
        truth = load_ground_truth(scene, "train")
        if truth is None or truth.parts.shape[1:] != scene.train.views[0].masks.shape:
            sys.exit(f"{folder}: has no ground truth of the training views at the masks' size")
        losses, edges = measure(MaskPool(scene), truth, FeatureConfig())
        print(f"\n{scene.name}: of {len(scene.train)} views' graph edges, {edges[0]:.1%} cross the border of a mask, ")
        print(f"{edges[1]:.1%} do so inside a part, {edges[2]:.1%} join two parts where no mask ends\n")
        print_header(["loss", "one-hot parts", "one-hot parts, objects, foreground"])
        for name, values in [*losses.items(), ("(chance)", np.full(2, math.log(2)))]:
            results.add(scene=scene.name, loss=name, values=values)
            print_row([name, *(f"{value:.3f}" for value in values)])
    results.save()
    return 0


def measure(masks: MaskPool, truth: GroundTruth, settings: FeatureConfig) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Cross-entropies of both kinds of features by form [2], and shares of edges [3], means over steps."""
    generator = np.random.default_rng(0)
    losses: dict[str, list[list[float]]] = {}
    shares = []
    for _ in range(STEPS):
        batch = masks.draw(settings.images, settings.pixels, settings.mask_balance, generator)
        membership, image_of_mask = unpack_membership(batch.bits, batch.image_of_pixel, batch.masks_per_image)
        pairs = sample_pairs(
            membership,
            batch.image_of_pixel,
            image_of_mask,
            batch.chains,
            pairs_per_mask=settings.pairs_per_mask,
            negatives=1,
            hierarchical=True,
            min_pixels=settings.min_pixels,
            generator=generator,
        )
        edges = pixel_graph(batch.positions, batch.image_of_pixel, settings.neighbors)
        parts, objects = truth.parts.reshape(-1)[batch.pixels], truth.objects.reshape(-1)[batch.pixels]
        perfect = (hot(parts), torch.cat([hot(parts), hot(objects), hot(objects > 0)], dim=1))
        values = [euclidean_loss(features, pairs, temperature=settings.temperature).item() for features in perfect]
        losses.setdefault("Euclidean", []).append(values)
        for weighting, factor, penalty in FORMS:
            crossings = border_evidence(edges, batch.bits, weighting)
            values = [
                ultrametric_loss(
                    features,
                    pairs,
                    edges,
                    crossings,
                    temperature=settings.temperature,
                    border_penalty=penalty,
                    border_factor=factor,
                ).item()
                for features in perfect
            ]
            losses.setdefault(form_name(weighting, factor, penalty), []).append(values)
        crosses, true = border_evidence(edges, batch.bits, "any"), parts[edges[:, 0]] != parts[edges[:, 1]]
        shares.append([crosses.mean(), (crosses & ~true).mean(), (true & ~crosses).mean()])
    return {name: np.mean(values, axis=0) for name, values in losses.items()}, np.mean(shares, axis=0)


def hot(ids: np.ndarray) -> Tensor:
    """One channel per id [N, C]."""
    return one_hot(torch.from_numpy(ids.astype(np.int64))).float()


def form_name(weighting: str, factor: float, penalty: float) -> str:
    """Name of a form in the table."""
    if factor == penalty == 0:
        return "no border evidence"
    return f"{weighting}, " + (f"factor {factor:g}" if factor else f"+ {penalty:g}")


if __name__ == "__main__":
    sys.exit(main())
