"""The pixels of all training views on one device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import SceneError
from ..field.rays import RayTable, ray_table
from ..parallel import in_threads
from ..scene import Photograph, Scene, View


@dataclass(frozen=True, eq=False)
class PixelPool:
    """The pixels of the training views.

    Attributes:
        rays: Viewing directions of all cameras.
        colors: [P, 3] uint8, view by view, row-major.
        alpha: Coverage [P] uint8, 255 in pictures without transparency; None if no picture has any.
        starts: First pixel of each view, and P [V + 1], int64.
        valid: Sorted pool indices of the pixels that have a viewing ray and are to be used [Q], int64; None for all.
    """

    rays: RayTable
    colors: Tensor
    alpha: Tensor | None
    starts: Tensor
    valid: Tensor | None

    @property
    def num_views(self) -> int:
        """Number of training views."""
        return len(self.starts) - 1

    def locate(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Views [R], and row-major indices within them [R], of pool indices [R]."""
        if pixels.is_cuda:
            from ..field.kernels.rays_gpu import locate_gpu  # Triton exists only beside CUDA builds

            return locate_gpu(self.starts, pixels)
        views = torch.searchsorted(self.starts, pixels, right=True) - 1
        return views, pixels - self.starts[views]

    def uses(self, pixels: Tensor) -> Tensor:
        """Whether pool pixels are trained on, bool, of the shape of `pixels`."""
        if self.valid is None:
            return torch.ones_like(pixels, dtype=torch.bool)
        places = torch.searchsorted(self.valid, pixels).clamp(max=len(self.valid) - 1)
        return self.valid[places] == pixels

    def target(
        self, pixels: Tensor, background: Tensor | None, drawn: Tensor | None, *, brightest: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Colours that rendered pixels are compared with, and the background behind the rendering.

        Args:
            pixels: Pool indices [R].
            background: Background colour of the pictures [3]; None for a real capture, which has none.
            drawn: Random background colours [R, 3], which force surfaces to be opaque, or None to render over
                `background`; required where that is None.
            brightest: What a field can show of a photograph at most [R, 3]: brighter colours count as this, unless they
                may be the background's.

        Returns:
            Colours [R, 3] in [0, 1], and backgrounds, [R, 3] or [3].
        """
        colors = self.colors[pixels].float() / 255.0
        if drawn is None:
            assert background is not None
            return colors, background
        if background is None or self.alpha is None:
            if background is None and brightest is not None:
                colors = torch.minimum(colors, brightest)
            return colors, drawn
        clear = 1.0 - self.alpha[pixels].float()[:, None] / 255.0
        if brightest is not None:
            colors = torch.minimum(colors, torch.lerp(brightest, background, clear))
        return colors + clear * (drawn - background), drawn

    def draw(self, count: int, generator: torch.Generator, *, same_image: bool = False) -> Tensor:
        """Random pool indices [count], from all pictures or, with `same_image`, from a single one."""
        if same_image:
            view = int(torch.randint(self.num_views, (1,), generator=generator, device=generator.device))
            first, last = (int(bound) for bound in self.starts[view : view + 2])
        else:
            first, last = 0, len(self.colors)
        if self.valid is None:
            return torch.randint(first, last, (count,), generator=generator, device=generator.device)
        low, high = (
            int(bound)
            for bound in torch.searchsorted(self.valid, torch.tensor([first, last], device=self.valid.device))
        )
        low = min(low, len(self.valid) - 1)  # of a picture without any, the next one's
        picks = torch.randint(low, max(high, low + 1), (count,), generator=generator, device=generator.device)
        return self.valid[picks]


def pixel_pool(scene: Scene, device: torch.device, *, full_size: bool = False) -> PixelPool:
    """Gather the training pictures of a scene on a device.

    Args:
        scene: Pictures and cameras.
        device: Where to keep them.
        full_size: Whether to take photographs at their own size where views work at a smaller one.

    Raises:
        SceneError: A training view has no picture.
    """
    pictures: list[View | Photograph] = []
    for view in scene.train:
        if view.shape is None:
            raise SceneError(f"{scene.source}: training view {view.name!r} has no picture")
        own = view.photograph if full_size else None
        pictures.append(view if own is None else own)
    sizes = np.array([_size(picture) for picture in pictures], np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))])
    alpha = None
    if any(picture.alpha is not None for picture in pictures):
        alpha = torch.full((int(starts[-1]),), 255, dtype=torch.uint8, device=device)
        fill(alpha, starts, (picture.alpha for picture in pictures))
    colors = torch.empty((int(starts[-1]), 3), dtype=torch.uint8, device=device)
    fill(colors, starts, in_threads(lambda picture: picture.image, pictures))
    rays = ray_table(scene.train.normalised_cameras.resized(sizes), device)
    return PixelPool(
        rays,
        colors,
        alpha,
        torch.from_numpy(starts).to(device),
        _valid_pixels(rays, starts, [picture.valid for picture in pictures]),
    )


def _size(picture: View | Photograph) -> tuple[int, int]:
    """Width and height."""
    if isinstance(picture, Photograph):
        return picture.size
    assert picture.shape is not None
    return picture.shape[1], picture.shape[0]


def fill(pool: Tensor, starts: np.ndarray, pictures: Iterable[np.ndarray | None]) -> None:
    """Take pictures to a device one by one: the host needs no room for all of them again.

    Args:
        pool: [P, …], filled in place.
        starts: First row of each picture, and P [V + 1].
        pictures: V pictures [H, W, …], in row-major order; None leaves its rows as they are.
    """
    for first, last, picture in zip(starts[:-1].tolist(), starts[1:].tolist(), pictures, strict=True):
        if picture is not None:
            readable = picture if picture.flags.writeable else picture.copy()  # PyTorch wants no arrays that are not
            pool[first:last] = torch.from_numpy(readable.reshape(last - first, *pool.shape[1:]))


def _valid_pixels(rays: RayTable, starts: np.ndarray, used_pixels: Sequence[np.ndarray | None]) -> Tensor | None:
    """Pool indices of the pixels that have a viewing ray and that their view does not exclude; None for all pixels."""
    finite = rays.directions.isfinite().all(-1)
    if bool(finite.all()) and all(used is None for used in used_pixels):
        return None
    parts = []
    for view, first in enumerate(rays.starts.tolist()):
        size, used = int(starts[view + 1] - starts[view]), used_pixels[view]
        valid = finite[first : first + size]
        if used is not None:
            valid = valid & torch.from_numpy(used.reshape(-1)).to(valid.device)
        parts.append(valid.nonzero()[:, 0] + int(starts[view]))
    return torch.cat(parts)
