"""Rays through pixels in Triton: in which picture a pixel lies, and the ray through it."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 128


def locate_gpu(starts: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Which of several runs of pixels holds each one.

    Args:
        starts: First pixel of each run, and P [V + 1], int64.
        pixels: Numbers of pixels below P [R], int64.

    Returns:
        Runs [R], and places within them [R], int64.
    """
    pixels = pixels.contiguous()
    runs, inside = torch.empty_like(pixels), torch.empty_like(pixels)
    if len(pixels):
        grid = (triton.cdiv(len(pixels), _BLOCK),)
        _locate_kernel[grid](starts, pixels, runs, inside, len(starts), len(pixels), BLOCK=_BLOCK)
    return runs, inside


def rays_gpu(
    c2w: Tensor, directions: Tensor, starts: Tensor, camera: Tensor, pixel: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rays through pixel centres; see `RayTable`, whose columns the first three arguments are, and its `rays`.

    Args:
        c2w: Poses [N, 3, 4], float32.
        directions: Directions in camera axes [P, 3], float32.
        starts: First row of each camera's picture in `directions` [N], int64.
        camera: Camera of each ray [R], int64.
        pixel: Row-major pixel index [R], int64.

    Returns:
        Origins [R, 3], unit directions [R, 3] and cosines [R], float32; not differentiable.
    """
    rays_o = torch.empty(len(pixel), 3, device=pixel.device)
    rays_d, cosine = torch.empty_like(rays_o), torch.empty_like(rays_o[:, 0])
    if len(pixel):
        _rays_kernel[(triton.cdiv(len(pixel), _BLOCK),)](
            c2w.contiguous(),
            directions.contiguous(),
            starts,
            camera.contiguous(),
            pixel.contiguous(),
            rays_o,
            rays_d,
            cosine,
            len(pixel),
            BLOCK=_BLOCK,
        )
    return rays_o, rays_d, cosine


@triton.jit(do_not_specialize=["bounds", "count"])
def _locate_kernel(starts, pixels, runs, inside, bounds, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = place < count
    pixel = tl.load(pixels + place, mask=real, other=0)
    run = find_run(starts, bounds, pixel)
    tl.store(runs + place, run, mask=real)
    tl.store(inside + place, pixel - tl.load(starts + run, mask=real, other=0), mask=real)


@triton.jit
def find_run(starts, bounds, pixel):
    """The run that holds each pixel, int64, from the runs' first pixels and their end, `bounds` numbers in all."""
    # The first start beyond the pixel lies neither in front of `low` nor behind `high`.
    low = tl.zeros_like(pixel)
    high = low + bounds
    left = bounds
    while left > 0:
        middle = (low + high) // 2
        below = tl.load(starts + middle, mask=middle < bounds, other=0) <= pixel
        low = tl.where(below, middle + 1, low)
        high = tl.where(below, high, middle)
        left //= 2
    return low - 1


@triton.jit(do_not_specialize=["count"])
def _rays_kernel(c2w, directions, starts, cameras, pixels, rays_o, rays_d, cosines, count, BLOCK: tl.constexpr):
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = ray < count
    camera = tl.load(cameras + ray, mask=real, other=0)
    row = tl.load(starts + camera, mask=real, other=0) + tl.load(pixels + ray, mask=real, other=0)
    x = tl.load(directions + 3 * row, mask=real, other=1.0)
    y = tl.load(directions + 3 * row + 1, mask=real, other=1.0)
    z = tl.load(directions + 3 * row + 2, mask=real, other=1.0)
    cosine = 1 / tl.sqrt(x * x + y * y + z * z)
    tl.store(cosines + ray, cosine, mask=real)
    for axis in tl.static_range(3):
        pose = c2w + 12 * camera + 4 * axis
        along = x * tl.load(pose, mask=real, other=0.0)
        along += y * tl.load(pose + 1, mask=real, other=0.0)
        along += z * tl.load(pose + 2, mask=real, other=0.0)
        tl.store(rays_d + 3 * ray + axis, along * cosine, mask=real)
        tl.store(rays_o + 3 * ray + axis, tl.load(pose + 3, mask=real, other=0.0), mask=real)
