"""Tracing of rays on the CPU: between two evaluations of the field everything is compiled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .kernels.trace_cpu import append, append_samples, place, stop_light, walk_on
from .model import RadianceField
from .samples import Samples
from .volrend import render_weights


class TooManySamples(Exception):
    """Rays have more visible samples than were asked for at most."""


@dataclass(frozen=True, eq=False)
class _Stage:
    """Samples evaluated in one stage of tracing.

    Attributes:
        rays: Rays that were not yet opaque [A], int64.
        offsets: First of their next samples, and S [A + 1], int64.
        kept: How many of these, the first ones, are visible [A], int64.
        t, delta: Distances and lengths, of each ray from the first column on [A, L].
        sigma: Densities [S].
        rows: Further columns [S, C], in the order in which they were asked for.
    """

    rays: np.ndarray
    offsets: np.ndarray
    kept: np.ndarray
    t: np.ndarray
    delta: np.ndarray
    sigma: np.ndarray
    rows: list[np.ndarray]


@torch.no_grad()
def trace_cpu(
    field: RadianceField,
    rays_o: Tensor,
    rays_d: Tensor,
    *,
    jitter: Tensor | None,
    limit: float,
    stage: int,
    vectors: bool,
    encoded: bool,
    at_once: int,
    most: int | None,
) -> tuple[Samples, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Visible samples, their densities, weights, vectors and features of the hash grid; see `trace`.

    Each stage is twice as long as the one before, unless that would be more samples than the first one or a batch may
    have: most rays end in the first, and the others need few more.

    Raises:
        TooManySamples: More than `most` samples are visible.
    """
    origins, directions = (rays.contiguous().numpy() for rays in (rays_o, rays_d))
    places = np.full(len(origins), 0.5, np.float32) if jitter is None else jitter.contiguous().numpy()
    edges, grid = field.edges.numpy(), field.occupancy
    scene = (origins, directions, grid.occupied.numpy(), edges, places, grid.resolution)
    alive, step = np.arange(len(origins)), np.zeros(len(origins), np.int64)
    depth, before = np.zeros(len(origins)), np.zeros((len(origins), 3), np.float32)
    before[:, 1] = -np.inf
    surface = np.zeros(0, np.float32) if field.level_set is None else field.level_set.along_rays()
    stages: list[_Stage] = []
    visible, shortest, room = 0, stage, max(stage * len(origins), at_once)
    while len(alive):
        counts = np.empty(len(alive), np.int64)
        t, delta = np.empty((2, len(alive), stage), np.float32)
        walk_on(*scene, alive, step, counts, t, delta)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        positions = np.empty((offsets[-1], 3), np.float32)
        place(origins, directions, alive, offsets, t, positions)
        density, function, rows = _evaluated(field, torch.from_numpy(positions), vectors, encoded, at_once)
        sigma, kept = np.empty(offsets[-1], np.float32), np.empty(len(alive), np.int64)
        stop_light(alive, offsets, t, delta, density, function, surface, limit, depth, before, sigma, kept)
        visible += int(kept.sum())
        if most is not None and visible > most:
            raise TooManySamples
        stages.append(_Stage(alive, offsets, kept, t, delta, sigma, rows))
        stage = max(shortest, min(2 * stage, room // len(alive)))
        alive = alive[(step[alive] < len(edges) - 1) & (depth[alive] < limit)]
    samples, sigma_along, merged = _merged(stages, len(origins), vectors + encoded)
    weights = render_weights(sigma_along, samples.delta, samples.offsets)
    return samples, sigma_along, weights, merged[0] if vectors else None, merged[-1] if encoded else None


def _evaluated(
    field: RadianceField, positions: Tensor, vectors: bool, encoded: bool, at_once: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Density at positions [S], f over its width for a surface [S], and vectors and features if asked for [S, C]."""
    parts: list[list[Tensor]] = []
    for part in positions.split(at_once):
        features = field.encode(part) if encoded else None
        density, raw = field.geometry(part) if features is None else field.decode(features)
        function = density[:0] if field.level_set is None else field.level_set.scaled(raw[:, 0])
        parts.append([density, function, *([raw] if vectors else []), *([] if features is None else [features])])
    columns = (torch.cat(column) if len(column) > 1 else column[0] for column in zip(*parts, strict=True))
    density_of, function_of, *rows = (column.numpy() for column in columns)
    return density_of, function_of, rows


def _merged(stages: list[_Stage], count: int, columns: int) -> tuple[Samples, Tensor, list[Tensor]]:
    """The visible samples of all stages in one run per ray, near to far; stages are dropped as soon as they are copied.

    Returns:
        The samples, their densities [N], and the further columns [N, C].
    """
    numbers = np.zeros(count, np.int64)
    for stage in stages:
        numbers[stage.rays] += stage.kept  # each ray once
    offsets = np.concatenate([[0], np.cumsum(numbers)])
    samples = tuple(np.empty((3, offsets[-1]), np.float32))
    widths = [stages[0].rows[index].shape[1] if stages else 0 for index in range(columns)]
    rows = [np.empty((offsets[-1], width), np.float32) for width in widths]
    filled = offsets[:-1].copy()
    while stages:
        stage = stages.pop(0)
        run = (stage.rays, stage.offsets, stage.kept, filled)
        for column, out in zip(stage.rows, rows, strict=True):
            append(*run, column, out)
        append_samples(*run, stage.t, stage.delta, stage.sigma, samples)
    t, delta, sigma = (torch.from_numpy(array) for array in samples)
    return Samples(torch.from_numpy(offsets), t, delta), sigma, [torch.from_numpy(array) for array in rows]
