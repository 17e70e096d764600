"""Compositing of packed samples: weights, sums, distortion."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from lib.case import Case, Op, Outputs, Setup, compare
from lib.runs import packed_runs, weighted
from torch import Tensor

from ultrafield.field.kernels.volrend_torch import accumulate_torch, distortion_torch, render_weights_torch
from ultrafield.field.volrend import accumulate, distortion, ray_indices, render_weights


def cases(setup: Setup) -> Iterator[Case]:
    """Every operation of this kind that exists on the device."""
    size = f"{setup.composited:,} samples"
    yield Case("render_weights", size, lambda: _weights(setup))
    yield Case("render_weights, backward", size, lambda: _weights_backward(setup))
    yield Case("distortion", size, lambda: _distortion(setup))
    yield Case("distortion, backward", size, lambda: _distortion_backward(setup))
    for channels in (1, 4, 64):
        wide = f"{size}, {channels} channels"
        yield Case("accumulate", wide, lambda c=channels: _accumulate(setup, c))
        yield Case("accumulate, backward", wide, lambda c=channels: _accumulate_backward(setup, c))
    if setup.triton:
        yield Case("ray_indices", size, lambda: _ray_indices(setup))


def _volume_ops(setup: Setup) -> tuple[Callable[..., Tensor], Callable[..., Tensor], Callable[..., Tensor]]:
    """Weights, sums and distortion."""
    if setup.triton:
        from ultrafield.field.kernels.accumulate_gpu import accumulate_gpu
        from ultrafield.field.kernels.volrend_gpu import distortion_gpu, render_weights_gpu

        return render_weights_gpu, accumulate_gpu, distortion_gpu
    return render_weights, accumulate, distortion


def _weights(setup: Setup) -> Op:
    runs, function = packed_runs(setup), _volume_ops(setup)[0]
    inputs = (runs.sigma, runs.delta, runs.offsets)

    def wanted() -> Outputs:
        return (render_weights_torch(runs.sigma.double(), runs.delta.double(), runs.offsets),)

    return Op(lambda: (function(*inputs),), compare(wanted, 1e-5), bytes=12 * runs.count + runs.bounds)


def _weights_backward(setup: Setup) -> Op:
    runs, function = packed_runs(setup), _volume_ops(setup)[0]
    sigma, upstream = runs.sigma.requires_grad_(), setup.normal(runs.count, seed=3)
    weights = function(sigma, runs.delta, runs.offsets)

    def wanted() -> Outputs:
        exact = sigma.detach().double().requires_grad_()
        out = render_weights_torch(exact, runs.delta.double(), runs.offsets)
        return torch.autograd.grad(out, exact, upstream.double())

    return Op(
        lambda: torch.autograd.grad(weights, sigma, upstream, retain_graph=True),
        compare(wanted, 1e-4),
        bytes=20 * runs.count + runs.bounds,
    )


def _distortion(setup: Setup) -> Op:
    (runs, weights), function = weighted(setup), _volume_ops(setup)[2]
    weights.requires_grad_()

    def wanted() -> Outputs:
        inputs = (tensor.detach().double() for tensor in (weights, runs.t, runs.delta))
        return (distortion_torch(*inputs, runs.offsets),)

    return Op(
        lambda: (function(weights, runs.t, runs.delta, runs.offsets),),
        # Differences of sums: the kernels take the ray's first sample as origin, or sum in float32 from the camera on.
        compare(wanted, 1e-4),
        # With the slopes, which the gradient needs.
        bytes=16 * runs.count + runs.bounds + 4 * (len(runs.offsets) - 1),
    )


def _distortion_backward(setup: Setup) -> Op:
    (runs, weights), function = weighted(setup), _volume_ops(setup)[2]
    weights.requires_grad_()
    upstream = setup.normal(len(runs.offsets) - 1, seed=3)
    loss = function(weights, runs.t, runs.delta, runs.offsets)

    def wanted() -> Outputs:
        exact = weights.detach().double().requires_grad_()
        out = distortion_torch(exact, runs.t.double(), runs.delta.double(), runs.offsets)
        return torch.autograd.grad(out, exact, upstream.double())

    return Op(
        lambda: torch.autograd.grad(loss, weights, upstream, retain_graph=True),
        compare(wanted, 1e-4),
        bytes=8 * runs.count + runs.bounds + 4 * len(upstream),
    )


def _accumulate(setup: Setup, channels: int) -> Op:
    (runs, weights), function = weighted(setup), _volume_ops(setup)[1]
    values = setup.normal(runs.count, channels, seed=3)

    def wanted() -> Outputs:
        return (accumulate_torch(weights.double(), values.double(), runs.offsets),)

    moved = 4 * runs.count * (channels + 1) + 4 * (len(runs.offsets) - 1) * channels + runs.bounds
    return Op(lambda: (function(weights, values, runs.offsets),), compare(wanted, 1e-5), bytes=moved)


def _accumulate_backward(setup: Setup, channels: int) -> Op:
    (runs, weights), function = weighted(setup), _volume_ops(setup)[1]
    rays = len(runs.offsets) - 1
    weights.requires_grad_()
    values = setup.normal(runs.count, channels, seed=3).requires_grad_()
    upstream = setup.normal(rays, channels, seed=4)
    sums = function(weights, values, runs.offsets)

    def wanted() -> Outputs:
        owner, w, v = ray_indices(runs.offsets, runs.count), weights.detach().double(), values.detach().double()
        slope = upstream.double()[owner]  # [S, C]
        return (slope * v).sum(1), w[:, None] * slope

    return Op(
        lambda: torch.autograd.grad(sums, (weights, values), upstream, retain_graph=True),
        compare(wanted, 1e-5),
        bytes=8 * runs.count * (channels + 1) + 4 * rays * channels + runs.bounds,
    )


def _ray_indices(setup: Setup) -> Op:
    from ultrafield.field.kernels.volrend_gpu import ray_indices_gpu

    runs = packed_runs(setup)
    rays = torch.arange(len(runs.offsets) - 1, device=setup.device)
    return Op(
        lambda: (ray_indices_gpu(runs.offsets, runs.count),),
        compare(lambda: (torch.repeat_interleave(rays, runs.offsets.diff()),), 0.0),
        bytes=8 * runs.count + runs.bounds,
    )
