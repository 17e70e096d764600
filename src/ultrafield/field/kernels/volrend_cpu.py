"""Packed volume rendering on the CPU, in parallel over rays."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...kernels.compile import compiled


@compiled(parallel=True)
def weights_forward(sigma, delta, offsets, weights):
    for ray in prange(len(offsets) - 1):
        depth = np.float32(0)  # optical depth so far
        for s in range(offsets[ray], offsets[ray + 1]):
            step = sigma[s] * delta[s]
            weights[s] = np.exp(-depth) * -np.expm1(-step)
            depth += step


@compiled(parallel=True)
def weights_backward(grad, sigma, delta, offsets, weights, grad_sigma):
    # ∂wᵢ/∂σᵢ = δᵢ Tᵢ exp(−σᵢ δᵢ) and ∂wⱼ/∂σᵢ = −δᵢ wⱼ for every j behind i.
    for ray in prange(len(offsets) - 1):
        depth = np.float32(0)
        for s in range(offsets[ray], offsets[ray + 1]):
            depth += sigma[s] * delta[s]
            grad_sigma[s] = delta[s] * grad[s] * np.exp(-depth)
        behind = np.float32(0)
        for s in range(offsets[ray + 1] - 1, offsets[ray] - 1, -1):
            grad_sigma[s] -= delta[s] * behind
            behind += grad[s] * weights[s]


@compiled(parallel=True)
def accumulate_forward(weights, values, offsets, out):
    channels = values.shape[1]
    for ray in prange(len(offsets) - 1):
        for c in range(channels):
            out[ray, c] = 0
        for s in range(offsets[ray], offsets[ray + 1]):
            for c in range(channels):
                out[ray, c] += weights[s] * values[s, c]


@compiled(parallel=True)
def accumulate_backward(grad, weights, values, offsets, grad_weights, grad_values):
    channels = values.shape[1]
    for ray in prange(len(offsets) - 1):
        for s in range(offsets[ray], offsets[ray + 1]):
            dot = np.float32(0)
            for c in range(channels):
                dot += values[s, c] * grad[ray, c]
                grad_values[s, c] = weights[s] * grad[ray, c]
            grad_weights[s] = dot


@compiled(parallel=True)
def distortion_forward(weights, position, delta, offsets, loss, slope):
    """Loss per ray and its derivative in each weight; prefix sums make the double sum linear in the samples."""
    for ray in prange(len(offsets) - 1):
        first, last = offsets[ray], offsets[ray + 1]
        mass, moment = np.float32(0), np.float32(0)  # Σ w and Σ w s in front of the sample
        total = np.float32(0)
        for s in range(first, last):
            w, x = weights[s], position[s]
            slope[s] = 2 * (x * mass - moment) + 2 * w * delta[s] / 3
            total += 2 * w * (x * mass - moment) + w * w * delta[s] / 3
            mass += w
            moment += w * x
        loss[ray] = total
        mass, moment = np.float32(0), np.float32(0)  # the same behind it
        for s in range(last - 1, first - 1, -1):
            slope[s] += 2 * (moment - position[s] * mass)
            mass += weights[s]
            moment += weights[s] * position[s]
