"""Hash-grid encoding in plain PyTorch: any device, gradients by autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from ..layout import HASH_PRIMES, GridLayout


def encode_torch(x: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
    """Features [S, L · F] at positions x [S, 3]; see `encode`."""
    corners = torch.tensor([[c & 1, c >> 1 & 1, c >> 2] for c in range(8)], device=x.device)  # [8, 3]
    outputs = []
    for level in range(layout.levels):
        resolution = int(layout.resolutions[level])
        scaled = x.clamp(0.0, 1.0) * resolution
        cell = scaled.detach().floor().long().clamp(max=resolution - 1)  # [S, 3]
        inner = (scaled - cell)[:, None]  # [S, 1, 3]
        vertices = cell[:, None] + corners  # [S, 8, 3]
        weights = torch.where(corners.bool(), inner, 1.0 - inner).prod(-1)  # [S, 8]
        rows = _rows(vertices, level, layout)
        # index_select's gradient is one scatter-add; advanced indexing would sort the rows first.
        picked = table.index_select(0, rows.reshape(-1)).view(*rows.shape, layout.features)  # [S, 8, F]
        outputs.append((weights[..., None] * picked).sum(1))
    return torch.cat(outputs, dim=1)


def _rows(vertices: Tensor, level: int, layout: GridLayout) -> Tensor:
    offset, size = int(layout.offsets[level]), int(layout.offsets[level + 1] - layout.offsets[level])
    if layout.hashed[level]:
        key = vertices[..., 0] ^ (vertices[..., 1] * HASH_PRIMES[1]) ^ (vertices[..., 2] * HASH_PRIMES[2])
        return offset + (key & (size - 1))
    edge = int(layout.resolutions[level]) + 1
    return offset + vertices[..., 0] + edge * (vertices[..., 1] + edge * vertices[..., 2])
