"""Packed samples along rays: all rays' samples in one array, each ray's in one contiguous run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEGLIGIBLE = 1e-4  # samples that weigh less are not shaded and not kept


@dataclass(frozen=True, eq=False)
class Samples:
    """Packed samples along R rays.

    Attributes:
        offsets: First sample of each ray, and S [R + 1], int64.
        t: Distance along the unit ray [S], float32.
        delta: Length of each sample [S], float32.
    """

    offsets: Tensor
    t: Tensor
    delta: Tensor

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True, eq=False)
class FixedSamples:
    """Packed samples along R rays in arrays of a fixed size C, of which the first offsets[R] entries are in use.

    C is a multiple of four, as kernels read four entries at once.

    Attributes:
        offsets: First sample of each ray, and the number of samples [R + 1], int64.
        t: Distance along the unit ray [C], float32; zeros behind the last sample, as in `delta` and `rays`.
        delta: Length of each sample [C], float32.
        rays: Ray of each sample [C], int32.
        complete: Whether a ray is real and has all of its samples [R], bool.
    """

    offsets: Tensor
    t: Tensor
    delta: Tensor
    rays: Tensor
    complete: Tensor

    @classmethod
    def empty(cls, rays: int, capacity: int, device: torch.device, *, cleared: bool = True) -> FixedSamples:
        """Room for `capacity` samples or up to three more, all zeros if `cleared`.

        What is not cleared, `offsets` and `complete` have still to be written, unless there are no rays.
        """
        make = torch.zeros if cleared else torch.empty
        t, delta, indices = make(
            (3, -(-capacity // 4) * 4), device=device
        )  # one call, as launches count in short steps
        offsets = torch.empty(rays + 1, dtype=torch.int64, device=device)
        complete = torch.empty(rays, dtype=torch.bool, device=device)
        return cls(offsets if rays else offsets.zero_(), t, delta, indices.view(torch.int32), complete)
