"""Tracing of rays through a radiance field: the samples that light reaches, with their densities and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..budget import release_memory
from .level_set import LAG
from .model import RadianceField
from .samples import Samples
from .trace_cpu import TooManySamples, trace_cpu
from .volrend import ray_indices

_SAMPLES_PER_RAY = 32  # visible ones, on average; more are fog, and then fewer rays are traced together
_PIECES = 16


@dataclass(frozen=True)
class Batches:
    """Batch sizes: as much as fits in caches on the CPU, as much as fills the device within some 3 GB on CUDA.

    Attributes:
        rays: Rays traced together.
        positions: Positions evaluated together.
        pixels: Pixels of the views rendered, and copied to the host, together; at least one view.
        stage: Samples that rays advance together before opaque ones drop out.
        most_rays: Rays traced together where few of their samples are visible.
        visible: Visible samples up to which more than `rays` are traced together.
    """

    rays: int
    positions: int
    pixels: int
    stage: int
    most_rays: int
    visible: int

    def fitting(self, rays: int, visible: int) -> int:
        """Rays to trace together after so many, which had so many visible samples: at most twice as many."""
        return max(self.rays, min(self.most_rays, 2 * rays, self.visible * rays // max(1, visible)))


_FEW_RAYS = 1 << 12  # are always traced together
_ON_CPU = Batches(rays=1 << 15, positions=1 << 16, pixels=1, stage=12, most_rays=1 << 15, visible=0)
_ON_CUDA = Batches(rays=1 << 18, positions=1 << 20, pixels=1 << 23, stage=24, most_rays=1 << 20, visible=1 << 22)


def batches(device: torch.device) -> Batches:
    """Batch sizes that suit a device."""
    return _ON_CUDA if device.type == "cuda" else _ON_CPU


@dataclass(frozen=True, eq=False)
class Traced:
    """Visible samples of rays.

    Attributes:
        samples: The visible samples of R rays.
        sigma: Their densities [S].
        weights: Their rendering weights [S].
        vectors: Inputs of the colour network [S, 16], if asked for.
        encoded: Features of the hash grid [S, L · F], if asked for.
        lag: So many sample lengths in front of a sample lies the middle of what it stands for.
    """

    samples: Samples
    sigma: Tensor
    weights: Tensor
    vectors: Tensor | None = None
    encoded: Tensor | None = None
    lag: float = 0.0


def sample_positions(rays_o: Tensor, rays_d: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
    """Positions [S, 3] of packed samples, and the ray of each [S]."""
    rays = ray_indices(samples.offsets, len(samples))
    return rays_o[rays] + samples.t[:, None] * rays_d[rays], rays


@torch.no_grad()
def trace(
    field: RadianceField,
    rays_o: Tensor,
    rays_d: Tensor,
    *,
    jitter: Tensor | None = None,
    stage: int | None = None,
    vectors: bool = False,
    encoded: bool = False,
    most: int | None = None,
) -> Traced:
    """Find all visible samples of rays, without gradients.

    Rays advance `stage` samples at a time, and opaque ones drop out: behind the first surface, only the rest of its
    stage is evaluated.

    Args:
        field: Geometry.
        rays_o: Origins [R, 3].
        rays_d: Unit directions [R, 3].
        jitter: Position within the steps [R], as for `march`.
        stage: Samples per ray in the first stage, as suits the device if None; later stages, in which fewer rays are
            left, are longer.
        vectors: Whether to return the inputs of the colour network, for `shade`.
        encoded: Whether to return the features of the hash grid, on the CPU, for `RadianceField.geometry`.
        most: Visible samples beyond which the work is given up, on the CPU; see `traced_parts`.

    Returns:
        Samples in front of which the transmittance exceeds `min_transmittance`, with densities and weights.
    """
    limit = -float(np.log(field.config.min_transmittance))
    at_once = batches(rays_o.device).positions
    stage = batches(rays_o.device).stage if stage is None else stage
    how: dict[str, Any] = {"jitter": jitter, "limit": limit, "stage": stage, "vectors": vectors, "at_once": at_once}
    if rays_o.is_cuda:
        from .trace_gpu import trace_gpu  # Triton exists only beside CUDA builds

        return Traced(*trace_gpu(field, rays_o, rays_d, **how), lag=_lag(field))
    return Traced(*trace_cpu(field, rays_o, rays_d, **how, encoded=encoded, most=most), lag=_lag(field))


def _lag(field: RadianceField) -> float:
    return 0.0 if field.level_set is None else LAG


def traced_parts(
    field: RadianceField, rays_o: Tensor, rays_d: Tensor, *, vectors: bool = False
) -> Iterator[tuple[slice, Traced]]:
    """Trace rays, all together or, where that would take much memory, some at a time.

    Args:
        field: Geometry.
        rays_o: Origins [R, 3].
        rays_d: Unit directions [R, 3].
        vectors: As for `trace`.

    Yields:
        Which rays, and what `trace` finds along them; first to last.
    """
    most = None if rays_o.is_cuda else _SAMPLES_PER_RAY * max(len(rays_o), _FEW_RAYS)
    waiting, size = [slice(0, len(rays_o))], len(rays_o)
    while waiting:
        part = waiting.pop()
        count = part.stop - part.start
        if count > size:  # as many as could be traced before
            starts = range(part.start, part.stop, size)
            waiting += reversed([slice(first, min(first + size, part.stop)) for first in starts])
            continue
        try:
            traced = [
                trace(field, rays_o[part], rays_d[part], vectors=vectors, most=most if count > _FEW_RAYS else None)
            ]
        except TooManySamples:
            size = -(-count // _PIECES)
            waiting.append(part)
            release_memory()
            continue
        foggy = most is not None and 2 * len(traced[0].weights) > most
        yield part, traced.pop()  # without holding it until the next rays are traced
        if foggy:
            release_memory()
