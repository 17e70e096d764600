"""Layout of a multi-resolution hash grid: which rows of its table belong to which level.

Source: Müller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..config import HashGridConfig

# Multipliers of the spatial hash (Müller et al. 2022, eq. 4); the first axis has 1, for coherent reads along it.
HASH_PRIMES = (1, 2654435761, 805459861)


@dataclass(frozen=True, eq=False)
class GridLayout:
    """Rows of each level in the table of a hash grid.

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
