"""Adam in Triton: one pass over a parameter, its gradient and its moments."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = {"BLOCK": 256, "num_warps": 4}  # of 16 bytes each
_TAU = tl.constexpr(6.283185307179586)


def advance_gpu(
    step: Tensor, lr: Tensor, rates: Tensor, *, betas: tuple[float, float], steps: int, floor: float
) -> None:
    """Count a step and compute the rates that all parameters share.

    Args:
        step: Steps done so far [1], int64; incremented.
        lr: Initial learning rate [1], float64.
        rates: Output [2], float32: the learning rate over the first moment's bias correction, and one over the square
            root of the second's.
        betas: Decays of the moments.
        steps: Steps over which the rate falls along half a cosine; 0 keeps it constant.
        floor: Fraction of the initial rate at the end.
    """
    _advance_kernel[(1,)](step, lr, rates, BETA1=betas[0], BETA2=betas[1], STEPS=steps, FLOOR=floor, num_warps=1)


def adam_gpu(
    parameter: Tensor,
    gradient: Tensor,
    average: Tensor,
    square: Tensor,
    rates: Tensor,
    *,
    betas: tuple[float, float],
    eps: float,
    sparse: bool,
    clear: bool,
) -> None:
    """Update a parameter and its moments in place; all four contiguous, float32, of one shape.

    Args:
        parameter: Any shape.
        gradient: Its gradient.
        average: Running mean of the gradient.
        square: Running mean of its square.
        rates: From `advance_gpu`.
        betas: Decays of the moments.
        eps: Added to the root of the second moment.
        sparse: Leave entries, and their moments, whose gradient is exactly zero as they are.
        clear: Whether to zero the gradient after use.
    """
    count = parameter.numel()
    quads = triton.cdiv(count, 4)
    if count:
        _adam_kernel[(triton.cdiv(quads, _BLOCK["BLOCK"]),)](
            parameter,
            gradient,
            average,
            square,
            rates,
            count,
            quads,
            BETA1=betas[0],
            BETA2=betas[1],
            EPS=eps,
            SPARSE=sparse,
            CLEAR=clear,
            WHOLE=count % 4 == 0,
            **_BLOCK,
        )


@triton.jit
def _advance_kernel(
    step, lr, rates, BETA1: tl.constexpr, BETA2: tl.constexpr, STEPS: tl.constexpr, FLOOR: tl.constexpr
):
    # A power's distance from one needs float64 while steps are few.
    one = tl.arange(0, 1)
    done = tl.load(step + one).to(tl.float64)
    rate = tl.load(lr + one)
    if STEPS > 0:
        rate *= FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + tl.cos(done * (_TAU / 2 / STEPS)))
    first = 1.0 - tl.exp((done + 1.0) * tl.log(tl.full([1], BETA1, tl.float64)))
    second = 1.0 - tl.exp((done + 1.0) * tl.log(tl.full([1], BETA2, tl.float64)))
    tl.store(rates + one, (rate / first).to(tl.float32))
    tl.store(rates + 1 + one, (1.0 / tl.sqrt(second)).to(tl.float32))
    tl.store(step + one, tl.load(step + one) + 1)


@triton.jit
def _adam_kernel(
    parameter,
    gradient,
    average,
    square,
    rates,
    count,
    quads,
    BETA1: tl.constexpr,
    BETA2: tl.constexpr,
    EPS: tl.constexpr,
    SPARSE: tl.constexpr,
    CLEAR: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    quad = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    lane = tl.arange(0, 4)[None, :]
    here = quad * 4 + lane
    # Masks are the same for all four entries, so that each access stays one of 16 bytes.
    mask = (quad < quads) & (lane < 4)
    if not WHOLE:
        mask = mask & (here < count)
    g = tl.load(gradient + here, mask=mask, other=0.0)
    if SPARSE:
        mask = mask & (tl.max((g != 0).to(tl.int32), axis=1) > 0)[:, None]
    p = tl.load(parameter + here, mask=mask, other=0.0)
    m = tl.load(average + here, mask=mask, other=0.0)
    v = tl.load(square + here, mask=mask, other=0.0)
    new_m = m + (1.0 - BETA1) * (g - m)
    new_v = BETA2 * v + (1.0 - BETA2) * g * g
    rate = tl.load(rates)
    root = tl.load(rates + 1)
    new_p = p - rate * new_m / (tl.sqrt(new_v) * root + EPS)
    if SPARSE:
        touched = g != 0
        new_p = tl.where(touched, new_p, p)
        new_m = tl.where(touched, new_m, m)
        new_v = tl.where(touched, new_v, v)
    tl.store(parameter + here, new_p, mask=mask)
    tl.store(average + here, new_m, mask=mask)
    tl.store(square + here, new_v, mask=mask)
    if CLEAR:
        tl.store(gradient + here, tl.zeros([BLOCK, 4], tl.float32), mask=mask)
