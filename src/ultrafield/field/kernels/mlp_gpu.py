"""Perceptrons in Triton: all layers of a tile of rows in one program, so that only inputs and outputs touch memory.

Networks that are too large for that are cut. A program walks over many tiles and keeps the weights in shared memory if
they fit. Backwards, it computes the hidden layers again and sums the weights' gradients in registers. Each program
writes its sums once and they are added up in a fixed order: gradients are the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import torch
import triton
from torch import Tensor

from .mlp_layers_gpu import backward_kernel, forward_kernel

Precision = Literal["tf32", "bf16", "ieee"]

_MOST_LAYERS = 4
_LEAST = 16  # the tensor cores' smallest side
_TILES = 99 << 10  # bytes of shared memory that the rows of a program may take, whatever the widths


@dataclass(frozen=True)
class _Device:
    """Limits of a device that decide how a kernel is launched.

    Attributes:
        processors: Multiprocessors, each of which runs some programs at a time.
        shared_memory: Bytes that a program can have.
    """

    processors: int
    shared_memory: int

    @classmethod
    def of(cls, device: torch.device) -> _Device:
        """Limits of a CUDA device, or of Triton's interpreter, which runs one program after the other."""
        if device.type != "cuda":
            return cls(processors=1, shared_memory=1 << 40)
        properties = torch.cuda.get_device_properties(device)
        return cls(properties.multi_processor_count, properties.shared_memory_per_block_optin)

    def holds(self, weights: int, precision: Precision) -> bool:
        """Whether so many weights fit in shared memory twice, in the orders of both passes."""
        return 2 * weights * (2 if precision == "bf16" else 4) + _TILES <= self.shared_memory


@dataclass(frozen=True)
class _Launch:
    """How a network is spread over the device.

    Attributes:
        weights: Most weights, padded, that it is for; backwards, those whose gradients are summed.
        block: Rows of a tile.
        warps: Warps of a program.
        programs: Programs on each multiprocessor.
        stages: Tiles being read ahead.
    """

    weights: int
    block: int
    warps: int
    programs: int
    stages: int


_FORWARD = (_Launch(7168, 128, 4, 3, 1), _Launch(9216, 128, 4, 2, 1), _Launch(24576, 128, 8, 1, 1))
# Tiles of 32 rows: with more, the sums and the hidden layers do not fit in the registers together.
_BACKWARD = (_Launch(5120, 32, 4, 3, 1), _Launch(9216, 32, 4, 2, 1), _Launch(24576, 32, 8, 1, 1))


def mlp_gpu(
    x: Tensor,
    weights: list[Tensor],
    *,
    final_relu: bool = False,
    precision: Precision = "tf32",
    live: Tensor | None = None,
) -> Tensor:
    """Linear layers with ReLU between them, differentiable.

    Args:
        x: Rows [S, C₀], float32.
        weights: Matrices [C₁, C₀], [C₂, C₁], …, float32; widths up to 128.
        final_relu: Whether a ReLU follows the last layer.
        precision: How products are rounded: to TensorFloat-32, to bfloat16, or not at all. Sums are float32.
        live: How many rows are real [1], int64; all if None. The output's and the gradient's rows behind them are zero.

    Returns:
        Rows [S, Cₙ], float32.
    """
    first = 0
    while first < len(weights):
        last = _fitting(weights, first)
        x = _Mlp.apply(x, final_relu or last < len(weights), precision, live, *weights[first:last])
        first = last
    return x


def _fitting(weights: list[Tensor], first: int) -> int:
    """End of the layers from `first` on that one kernel takes; at least one."""
    last = first + 1
    while last < min(len(weights), first + _MOST_LAYERS) and _size(weights[first : last + 1]) <= _BACKWARD[-1].weights:
        last += 1
    return last


class _Mlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, x: Tensor, final_relu: bool, precision: Precision, live: Tensor | None, *weights: Tensor
    ) -> Tensor:
        ctx.final_relu, ctx.precision, ctx.live = final_relu, precision, live
        x, weights = x.contiguous(), [weight.contiguous() for weight in weights]
        ctx.save_for_backward(x, *weights)
        out = x.new_empty(len(x), len(weights[-1]))
        if len(x):
            launch = _choose(_FORWARD, _size(weights))
            forward_kernel[(_programs(launch, x),)](
                x,
                *_padded(weights),
                out,
                live,
                len(x),
                **_shape(x, weights),
                FINAL_RELU=final_relu,
                PRECISION=precision,
                **_options(launch),
            )
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        wanted = ctx.needs_input_grad[4:]
        # Every matrix starts at a multiple of 16 bytes.
        starts = [0, *accumulate(triton.cdiv(weight.numel(), 4) * 4 for weight in weights)]
        launch = _choose(_BACKWARD, _size(weights))
        programs = _programs(launch, x)
        partial = x.new_empty(programs, starts[-1]) if any(wanted) else None
        if programs:
            backward_kernel[(programs,)](
                x,
                *_padded(weights),
                grad.contiguous(),
                grad_x,
                partial,
                ctx.live,
                len(x),
                starts[-1],
                *(starts + [0] * _MOST_LAYERS)[:_MOST_LAYERS],
                **_shape(x, weights),
                FINAL_RELU=ctx.final_relu,
                PRECISION=ctx.precision,
                HELD=_Device.of(x.device).holds(_size(weights), ctx.precision),
                **_options(launch),
            )
        if partial is None:
            return grad_x, None, None, None, *(None for _ in weights)
        sums = partial.sum(0)
        grads = (sums[a : a + weight.numel()].view_as(weight) for a, weight in zip(starts, weights, strict=False))
        return grad_x, None, None, None, *(part if want else None for part, want in zip(grads, wanted, strict=True))


def _pad(width: int) -> int:
    return max(_LEAST, triton.next_power_of_2(width))


def _size(weights: list[Tensor]) -> int:
    """Number of weights, padded."""
    return sum(_pad(weight.shape[0]) * _pad(weight.shape[1]) for weight in weights)


def _choose(launches: tuple[_Launch, ...], size: int) -> _Launch:
    return next((launch for launch in launches if size <= launch.weights), launches[-1])


def _programs(launch: _Launch, x: Tensor) -> int:
    """As many programs as run at a time, or one per tile of the rows x."""
    return min(_Device.of(x.device).processors * launch.programs, triton.cdiv(len(x), launch.block))


def _options(launch: _Launch) -> dict[str, int]:
    return {"BLOCK": launch.block, "num_warps": launch.warps, "num_stages": launch.stages}


def _padded(weights: list[Tensor]) -> list[Tensor | None]:
    """As many pointers as the kernels take."""
    return [*weights, *[None] * (_MOST_LAYERS - len(weights))]


def _shape(x: Tensor, weights: list[Tensor]) -> dict[str, int]:
    """Widths C and padded widths P of all layers; 0 for those there are not."""
    widths = [x.shape[1], *(len(weight) for weight in weights)]
    widths += [0] * (_MOST_LAYERS + 1 - len(widths))
    padded = {f"P{layer}": _pad(width) if width else 0 for layer, width in enumerate(widths)}
    return {f"C{layer}": width for layer, width in enumerate(widths)} | padded
