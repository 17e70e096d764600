"""Whether the cameras see the box that is modelled, and anything in common; said before hours of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras, focus_point, pixel_directions, pixel_indices, project
from .frames import Warn
from .scene import Scene
from .view import View

_VIEWS = 48  # that are looked at, evenly spread over the training views
_NEIGHBOURS, _SPREAD = 16, 16  # cameras that each of them is compared with: the nearest, and some from all over
_GRID = 5  # rays along the longer edge of a picture
_DEPTHS = 6  # points on each ray inside the box
_MOST_BLIND = 0.5  # part of the views that may see nothing of the box
_MOST_ALONE = 0.5  # part of the others that may see no point that another one sees
_MOST_OUTSIDE = 0.05  # part of the object's pixels that may show something outside the box
_OPAQUE = 128  # coverage from which a pixel shows the object


@dataclass(frozen=True)
class Fit:
    """How a scene fits the box [-half_extent, half_extent]³.

    Attributes:
        views: Number of training views that were looked at.
        blind: How many of them see nothing of the box.
        alone: How many of the others see no point of the box that another view sees.
        outside: Part of the pixels of the object, where transparency tells it, that show nothing inside the box.
        away: Whether the optical axes meet behind the cameras.
        focus: Whether the point that the cameras look at lies in the box.
    """

    views: int
    blind: int
    alone: int
    outside: float
    away: bool
    focus: bool


def warn_about_fit(scene: Scene, warn: Warn, *, recentred: bool) -> None:
    """Warn, with what to do, if the training cameras do not see the box to be modelled, or nothing in common.

    Args:
        scene: The scene.
        warn: Told in one line.
        recentred: Whether the box was moved to where the cameras look.
    """
    fit = measure_fit(scene)
    off = fit.blind > _MOST_BLIND * fit.views or not fit.focus
    if scene.bounded and fit.away and off:
        warn(
            f"{scene.source}: the cameras look away from the scene's middle; transforms files have OpenGL's axes "
            "(y up, looking along -z): poses in OpenCV's axes need their second and third columns negated"
        )
    elif off or fit.outside > _MOST_OUTSIDE:
        seen = (
            f"{fit.blind} of {fit.views} training views see nothing of it"
            if fit.blind
            else f"{fit.outside:.0%} of the object's pixels lie outside"
            if fit.outside > _MOST_OUTSIDE
            else "they look at a point outside"
        )
        warn(
            f"{scene.source}: the cameras do not look at the box that is modelled: {seen}; {_remedy(scene, recentred)}"
        )
    elif fit.alone > _MOST_ALONE * (fit.views - fit.blind):
        warn(
            f"{scene.source}: {fit.alone} of {fit.views} training views see no point that another one sees, so that no "
            "depth can be told; are the poses those of these pictures, and in OpenGL's axes (y up, looking along -z)?"
        )


def measure_fit(scene: Scene) -> Fit:
    """Look at the training cameras of a scene; see `Fit`."""
    cameras, half = scene.train.normalised_cameras, scene.half_extent
    chosen = np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), _VIEWS)).astype(int)).tolist()
    lattice = half * 0.9 * np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    blind = alone = 0
    for index in chosen:
        points = np.concatenate([_on_rays(cameras, index, half, scene.near), lattice])
        points = points[_sees(cameras, index, points)]
        if len(points) == 0:
            blind += 1
        elif not any(_sees(cameras, other, points).any() for other in _others(cameras, index)):
            alone += 1
    focus = focus_point(cameras.c2w)
    return Fit(
        views=len(chosen),
        blind=blind,
        alone=alone,
        outside=_part_outside(scene, chosen) if scene.bounded else 0.0,
        away=_looks_away(cameras),
        focus=bool(np.abs(focus).max() <= half),
    )


def _remedy(scene: Scene, recentred: bool) -> str:
    """What to do about a box that the cameras do not look at."""
    if scene.layout in ("blender-hs", "nerf-synthetic") and not recentred and scene.half_extent >= 0.5:
        return "--recentre (in Python recentre=True) puts it where they look"
    return "a larger --half-extent makes it larger"


def _on_rays(cameras: Cameras, index: int, half: float, near: float) -> np.ndarray:
    """Points [N, 3] inside the box on some rays of a camera."""
    origins, directions = _rays(cameras, index, max(1, int(cameras.sizes[index].max()) // _GRID))
    first, last = _crossing(origins, directions, half)
    first = np.maximum(first, near)
    hit = first < last
    steps = np.linspace(0.0, 1.0, _DEPTHS + 2)[1:-1]
    depths = first[hit, None] ** (1 - steps) * last[hit, None] ** steps  # [R, D], evenly in the logarithm
    return (origins + directions[hit, None] * depths[..., None]).reshape(-1, 3)


def _rays(cameras: Cameras, index: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre [3] and directions [R, 3] of unit depth of the rays through some pixels."""
    local = pixel_directions(cameras, index, stride=stride).reshape(-1, 3)
    pose = cameras.c2w[index]
    return pose[:, 3], local[np.isfinite(local).all(axis=1)] @ pose[:, :3].T


def _crossing(origin: np.ndarray, directions: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Depths [R] at which rays enter and leave the box; the former is larger where they miss it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        walls = np.stack([(-half - origin) / directions, (half - origin) / directions])  # [2, R, 3]
    walls = np.where(np.isnan(walls), np.array([-np.inf, np.inf])[:, None, None], walls)
    return walls.min(axis=0).max(axis=1), walls.max(axis=0).min(axis=1)


def _sees(cameras: Cameras, index: int, points: np.ndarray) -> np.ndarray:
    """Which points [N, 3] fall into a camera's picture [N] bool."""
    width, height = (int(size) for size in cameras.sizes[index])
    pixels, depth = project(cameras, index, points)
    return (depth > 0) & (pixel_indices(pixels, width, height) >= 0)


def _others(cameras: Cameras, index: int) -> list[int]:
    """Cameras to compare one with: its nearest neighbours and some from all over."""
    distances = np.linalg.norm(cameras.c2w[:, :, 3] - cameras.c2w[index, :, 3], axis=1)
    nearest = np.argsort(distances, kind="stable")[: _NEIGHBOURS + 1]
    spread = np.linspace(0, len(cameras) - 1, min(len(cameras), _SPREAD)).astype(int)
    return [int(other) for other in dict.fromkeys([*nearest.tolist(), *spread.tolist()]) if other != index]


def _looks_away(cameras: Cameras) -> bool:
    """Whether most cameras have the middle of all of them behind them."""
    centres, forward = cameras.c2w[:, :, 3], cameras.c2w[:, :, 2]
    return float((((centres.mean(axis=0) - centres) * forward).sum(axis=1) < 0).mean()) > 0.9


def _part_outside(scene: Scene, chosen: list[int]) -> float:
    """Part of the opaque pixels of transparent pictures whose rays miss the box; 0 without such pictures."""
    missed = total = 0
    for index in chosen:
        alpha = _coverage(scene.train.views[index])
        if alpha is None:
            continue
        stride = max(1, max(alpha.shape) // 64)
        local = pixel_directions(scene.train.normalised_cameras, index, stride=stride)
        pose = scene.train.normalised_cameras.c2w[index]
        opaque = (alpha[::stride, ::stride] >= _OPAQUE) & np.isfinite(local).all(axis=-1)
        first, last = _crossing(pose[:, 3], local[opaque] @ pose[:, :3].T, scene.half_extent)
        missed += int((np.maximum(first, 0.0) >= last).sum())
        total += int(opaque.sum())
    return missed / total if total else 0.0


def _coverage(view: View) -> np.ndarray | None:
    """The coverage of a picture that shows an object on a transparent background."""
    return view.alpha if view.alpha is not None and (view.alpha == 0).any() else None
