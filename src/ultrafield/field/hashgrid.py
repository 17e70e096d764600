"""Multi-resolution hash grid: trilinear look-ups in a table of learned features.

Source: Müller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..config import HashGridConfig
from ..errors import check_shape

# Multipliers of the spatial hash (Müller et al. 2022, eq. 4); the first axis has 1, for coherent reads along it.
HASH_PRIMES = (1, 2654435761, 805459861)


@dataclass(frozen=True)
class GridLayout:
    """Where each level's rows lie in the table.

    Attributes:
        resolutions: Cells along an edge [L], int64.
        offsets: First row of each level, and the end [L + 1], int64.
        hashed: Whether a level has fewer rows than vertices [L] bool.
        features: Channels per level F.
    """

    resolutions: np.ndarray
    offsets: np.ndarray
    hashed: np.ndarray
    features: int
    _devices: dict[torch.device, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def levels(self) -> int:
        """Number of levels L."""
        return len(self.resolutions)

    @property
    def channels(self) -> int:
        """Channels of the encoding, L · F."""
        return self.levels * self.features

    def on(self, device: torch.device) -> Tensor:
        """Resolution, first row and hash mask of each level [3, L], int64; the mask is −1 where the level is dense.

        Copied to a device once, so that later calls do not wait for it.
        """
        if device not in self._devices:
            masks = np.where(self.hashed, np.diff(self.offsets) - 1, -1)
            self._devices[device] = torch.from_numpy(np.stack([self.resolutions, self.offsets[:-1], masks])).to(device)
        return self._devices[device]


def grid_layout(config: HashGridConfig) -> GridLayout:
    """Resolutions and table rows of a grid: dense where all vertices fit, hashed to a power of two elsewhere."""
    growth = (config.max_resolution / config.base_resolution) ** (1.0 / max(1, config.levels - 1))
    # The small addend keeps e.g. 16 · 2^5 from being floored to 511 by rounding.
    resolutions = np.floor(config.base_resolution * growth ** np.arange(config.levels) + 1e-6).astype(np.int64)
    vertices = (resolutions + 1) ** 3
    hashed = vertices > 1 << config.log2_entries
    rows = np.where(hashed, 1 << config.log2_entries, vertices)
    offsets = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    return GridLayout(resolutions, offsets, hashed, config.features)


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
        return nn.functional.pad(_EncodeCpu.apply(x[:count], table, layout), (0, 0, 0, len(x) - count))
    return _EncodeCpu.apply(x, table, layout)


class _EncodeCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
        from .kernels.hashgrid_cpu import encode_forward

        ctx.layout = layout
        ctx.save_for_backward(x, table)
        out = np.empty((len(x), layout.channels), np.float32)
        encode_forward(x.detach().contiguous().numpy(), table.detach().numpy(), layout, out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        from .kernels.hashgrid_cpu import encode_backward_table, encode_backward_x

        x, table = ctx.saved_tensors
        grad, x = grad.contiguous().numpy(), x.detach().contiguous().numpy()
        grad_x = grad_table = None
        if ctx.needs_input_grad[1]:
            grad_table = torch.from_numpy(encode_backward_table(x, grad, ctx.layout))
        if ctx.needs_input_grad[0]:
            grad_x = torch.from_numpy(encode_backward_x(x, table.detach().numpy(), grad, ctx.layout))
        return grad_x, grad_table, None
