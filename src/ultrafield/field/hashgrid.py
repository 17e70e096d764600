"""Multi-resolution hash grid: trilinear look-ups in a table of learned features.

Source: Müller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022, section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import HashGridConfig
from ..errors import check_shape
from .layout import GridLayout, grid_layout


class HashGrid(nn.Module):
    """A trainable hash grid.

    Attributes:
        table: Learned rows [T, F], float32, uniform in ±1e-4 at the start.
        layout: Where the levels lie in `table`.
    """

    def __init__(self, config: HashGridConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.layout = grid_layout(config)
        shape = (int(self.layout.offsets[-1]), config.features)
        self.table = nn.Parameter(torch.rand(shape, generator=generator) * 2e-4 - 1e-4)

    def forward(self, x: Tensor, live: Tensor | None = None) -> Tensor:
        """Encode positions x [S, 3] in [0, 1] as [S, L · F]; only the first `live` rows count."""
        return encode(x, self.table, self.layout, live)

    def resume(self, x: Tensor, encoded: Tensor) -> Tensor:
        """What `forward` gives for x [S, 3], its gradients included, from values [S, L · F] computed before; CPU."""
        return _EncodeCpu.apply(x, self.table, self.layout, encoded)


def encode(x: Tensor, table: Tensor, layout: GridLayout, live: Tensor | None = None) -> Tensor:
    """Interpolate the table's features at positions, level by level.

    Args:
        x: Positions [S, 3], float32, in [0, 1]; values outside are clamped to the border.
        table: Feature rows [T, F], float32.
        layout: Where the levels lie in `table`.
        live: How many positions are real [1], int64, on the device of `x`; all if None.

    Returns:
        Features [S, L · F], float32, coarse levels first, zeros behind the real rows; differentiable in `table` and, if
        it requires a gradient, `x` (zero where clamped).

    Raises:
        ValueError: Shapes that do not fit the layout.

    Source: Müller et al. 2022, section 3.
    """
    check_shape("x", x, (None, 3))
    check_shape("table", table, (int(layout.offsets[-1]), layout.features))
    if x.is_cuda:
        from .kernels.hashgrid_gpu import encode_gpu  # Triton exists only beside CUDA builds

        return encode_gpu(x, table.contiguous(), layout, live)
    if live is not None:
        count = min(int(live), len(x))
        return nn.functional.pad(_EncodeCpu.apply(x[:count], table, layout, None), (0, 0, 0, len(x) - count))
    return _EncodeCpu.apply(x, table, layout, None)


class _EncodeCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, layout: GridLayout, known: Tensor | None) -> Tensor:
        from .kernels.hashgrid_cpu import encode_forward

        ctx.layout = layout
        ctx.save_for_backward(x, table)
        if known is not None:
            return known.view_as(known)
        out = np.empty((len(x), layout.channels), np.float32)
        encode_forward(x.detach().contiguous().numpy(), table.detach().numpy(), layout, out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        from .kernels.hashgrid_cpu import encode_backward_table, encode_backward_x

        x, table = (saved.detach().contiguous().numpy() for saved in ctx.saved_tensors)
        upstream = grad.contiguous().numpy()
        grad_x = grad_table = None
        if ctx.needs_input_grad[1]:
            grad_table = torch.from_numpy(encode_backward_table(x, upstream, ctx.layout))
        if ctx.needs_input_grad[0]:
            grad_x = torch.from_numpy(encode_backward_x(x, table, upstream, ctx.layout))
        return grad_x, grad_table, None, None
