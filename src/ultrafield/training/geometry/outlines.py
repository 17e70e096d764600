"""Pixels along the outlines of masks, where a segmentation is decided and few random rays go.

Source: Kirillov et al., "PointRend", 2020 (points drawn more densely where a mask's border may be).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ..pixels import PixelPool
from .planes import MaskedPixels, picked

_REACH = 2  # pixels of a picture that an outline reaches to either side; a pixel of the masks if that is more


@dataclass(frozen=True, eq=False)
class Outlines:
    """Training pixels that lie next to pixels in other masks, on a device.

    Attributes:
        pool: The training pixels.
        inside: Row-major indices in their pictures [O], int32, view by view.
        starts: First row of each view in `inside`, and O [V + 1], int64.
    """

    pool: PixelPool
    inside: Tensor
    starts: Tensor

    @classmethod
    def of(cls, masked: MaskedPixels) -> Self:
        """Those of pictures whose masks are known; pixels that are not trained on are none."""
        inside = [_inside(masked, view) for view in range(masked.pool.num_views)]
        counts = torch.tensor([0, *map(len, inside)], device=masked.numbers.device)
        return cls(masked.pool, torch.cat(inside), counts.cumsum(0))

    def __len__(self) -> int:
        return len(self.inside)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Pool indices of random pixels [count], without a wait for the device."""
        chance = torch.rand(count, dtype=torch.float64, generator=generator, device=self.inside.device)
        if chance.is_cuda:
            from .kernels.drawing_gpu import pixels_along_gpu  # Triton exists only beside CUDA builds

            return pixels_along_gpu(chance, self.inside, self.starts, self.pool.starts)
        rows = picked(chance, len(self.inside))
        views = torch.searchsorted(self.starts, rows, right=True) - 1
        return self.pool.starts[views] + self.inside[rows]


def _inside(masked: MaskedPixels, view: int) -> Tensor:
    """Row-major indices of a view's pixels along outlines, int32."""
    pool, device = masked.pool, masked.numbers.device
    (width, height), (mask_width, mask_height) = masked.sizes[view].tolist(), masked.mask_sizes[view].tolist()
    start = int(masked.firsts[view])
    numbers = masked.numbers[start : start + mask_width * mask_height].view(mask_height, mask_width)
    reach = max(1, _REACH * mask_width // width)  # masks may be smaller than pictures
    values = numbers.float()[None]
    largest, least = (sign * max_pool2d(sign * values, 2 * reach + 1, 1, reach)[0] for sign in (1, -1))
    rows = torch.arange(height, device=device) * mask_height // height
    columns = torch.arange(width, device=device) * mask_width // width
    inside = (largest != least)[rows][:, columns].reshape(-1).nonzero()[:, 0]
    return inside[pool.uses(pool.starts[view] + inside)].int()
