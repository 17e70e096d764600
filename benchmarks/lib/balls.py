"""A heap of striped balls in as many pictures as wanted, made in memory with exact masks and an exact surface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ultrafield.cameras import Cameras, Similarity
from ultrafield.masks.hierarchy import distinct_mask_set
from ultrafield.masks.mask_set import MaskSet
from ultrafield.parallel import in_threads
from ultrafield.scene import Scene, Split, View
from ultrafield.surface import Surface, pack_flags

BALLS, STRIPES = 48, 4
_HALF = 0.4  # of the cube that the balls lie in
_DISTANCE = 1.6  # of the cameras from its middle
_EVERY = 64  # views per validation view


@dataclass(frozen=True, eq=False)
class Heap:
    """The balls, on a device.

    Attributes:
        centres: [B, 3].
        radii: [B].
        colors: [B, STRIPES, 3], in [0, 1].
    """

    centres: Tensor
    radii: Tensor
    colors: Tensor


def heap(device: torch.device, seed: int = 0, balls: int = BALLS) -> Heap:
    """Balls at random places."""
    rng = np.random.default_rng(seed)
    arrays = (
        rng.uniform(-_HALF + 0.05, _HALF - 0.05, (balls, 3)),
        rng.uniform(0.04, 0.11, balls),
        rng.uniform(0.1, 0.9, (balls, STRIPES, 3)),
    )
    return Heap(*(torch.from_numpy(array.astype(np.float32)).to(device) for array in arrays))


def in_groups(balls: Heap) -> Heap:
    """The same balls in an order in which each two lie close together, and each four, eight, …"""
    order = torch.from_numpy(_halved(balls.centres.cpu().numpy(), np.arange(len(balls.radii)))).to(balls.radii.device)
    return Heap(balls.centres[order], balls.radii[order], balls.colors[order])


def _halved(centres: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Indices of some balls, those of each half of them together, and so on; halves but the last are powers of two."""
    if len(chosen) < 3:
        return chosen
    places = centres[chosen]
    chosen = chosen[np.argsort(places[:, np.ptp(places, axis=0).argmax()])]
    first = 1 << (len(chosen) - 1).bit_length() - 1
    return np.concatenate([_halved(centres, chosen[:first]), _halved(centres, chosen[first:])])


def cameras_around(count: int, width: int, height: int, *, focal: float = 1.2) -> Cameras:
    """Cameras on a ball around the heap, which look at its middle; `focal` in lengths of a picture's shorter edge."""
    angles, heights = np.arange(count) * 2.4, np.linspace(-0.8, 0.95, count)  # the golden angle
    rings = np.sqrt(1 - heights**2)
    towards = np.stack([rings * np.cos(angles), rings * np.sin(angles), heights], axis=1)
    focal *= min(width, height)
    return Cameras.pinhole(
        np.stack([pose(view) for view in towards]), [focal, focal, width / 2, height / 2], [width, height]
    )


def pose(towards: np.ndarray) -> np.ndarray:
    """Camera to world [3, 4] of a camera in this direction [3] that looks at the origin."""
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(-towards, right), -towards, _DISTANCE * towards], axis=1)


@torch.no_grad()
def look(balls: Heap, cameras: Cameras, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Colours [H, W, 3] in [0, 1], number of the stripe [H, W], −1 for none, and z-depth [H, W] of one view."""
    rays, pose = _rays(cameras, index, balls.radii.device)
    return _hit(balls, rays, pose)


@torch.no_grad()
def look_in_tiles(balls: Heap, cameras: Cameras, index: int, side: int = 96) -> tuple[Tensor, Tensor]:
    """Colours and numbers as from `look`, faster on a CPU: of each tile of the picture only the balls that it can show
    are looked at."""
    rays, pose = _rays(cameras, index, balls.radii.device)
    color, number = torch.ones_like(rays), torch.full(rays.shape[:2], -1)
    away = (balls.centres - pose[:, 3]) @ pose[:, :3]
    far = away.norm(dim=1, keepdim=True)
    widths = (balls.radii / far[:, 0]).asin()
    for top in range(0, rays.shape[0], side):
        for left in range(0, rays.shape[1], side):
            tile = slice(top, top + side), slice(left, left + side)
            part = rays[tile]
            middle = part[part.shape[0] // 2, part.shape[1] // 2]
            width = torch.stack([part[0, 0], part[0, -1], part[-1, 0], part[-1, -1]]) @ middle
            near = ((away / far) @ middle).clamp(-1, 1).acos() < widths + width.min().clamp(max=1).acos() + 1e-3
            if near.any():
                shown = near.nonzero()[:, 0]
                some = Heap(balls.centres[shown], balls.radii[shown], balls.colors[shown])
                color[tile], own, _ = _hit(some, part, pose)
                number[tile] = torch.where(own < 0, -1, shown[own // STRIPES] * STRIPES + own % STRIPES)
    return color, number


def _rays(cameras: Cameras, index: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Directions of a view's rays [H, W, 3] in the camera's frame, of length one, and its camera to world [3, 4]."""
    width, height = cameras.sizes[index].tolist()
    fx, fy, cx, cy = cameras.intrinsics[index].tolist()
    x = (torch.arange(width, device=device) + 0.5 - cx) / fx
    y = (torch.arange(height, device=device) + 0.5 - cy) / fy
    along = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width), torch.ones_like(x).expand(height, -1)], 2)
    return along / along.norm(dim=2, keepdim=True), torch.from_numpy(cameras.c2w[index].astype(np.float32)).to(device)


def _hit(balls: Heap, rays: Tensor, pose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `look` returns, for some rays [H, W, 3] of a camera."""
    shape, rays = rays.shape[:2], rays.reshape(-1, 3)
    away = balls.centres - pose[:, 3]
    middle = (rays @ pose[:, :3].T) @ away.T  # [H W, B], distance of the nearest point to each centre
    inside = balls.radii**2 - (away.square().sum(1) - middle.square())
    reach, ball = torch.where(inside > 0, middle - inside.clamp(min=0).sqrt(), torch.inf).min(1)
    hit = reach.isfinite()
    points = pose[:, 3] + torch.where(hit, reach, 0.0)[:, None] * (rays @ pose[:, :3].T)
    normal = (points - balls.centres[ball]) / balls.radii[ball][:, None]
    stripe = ((normal[:, 2] + 1) * STRIPES / 2).long().clamp(0, STRIPES - 1)
    grain = 1 + 0.15 * torch.sin(60 * normal[:, 0]) * torch.sin(60 * normal[:, 1])
    light = 0.65 + 0.35 * (normal @ normal.new_tensor([0.48, 0.36, 0.8]))
    color = torch.where(hit[:, None], (balls.colors[ball, stripe] * (grain * light)[:, None]).clamp(0, 1), 1.0)
    number = torch.where(hit, ball * STRIPES + stripe, -1)
    depth = torch.where(hit, reach * rays[:, 2], torch.inf)
    return color.view(*shape, 3), number.view(shape), depth.view(shape)


def nested_masks(number: np.ndarray, sizes: Sequence[int] = (1, STRIPES), most: int | None = None) -> MaskSet:
    """A mask for every stripe and every ball that a view shows.

    Args:
        number: Number of each pixel's stripe [H, W], −1 for none.
        sizes: Stripes that a mask holds: 1, STRIPES for a ball, more for a group of balls.
        most: How many masks to keep, the largest; None for all.
    """
    counts = np.bincount(number.ravel() + 1, minlength=2)
    shown = np.flatnonzero(counts[1:])
    pixels, members, areas = counts[1:][shown], [], []
    for size in sizes:
        _, mask = np.unique(shown // size, return_inverse=True)
        areas.append(np.bincount(mask, pixels).astype(np.int64))
        members.append(mask[:, None] == np.arange(len(areas[-1])))
    area, member = np.concatenate(areas), np.concatenate(members, axis=1)
    kept = np.sort(np.argsort(-area, kind="stable")[:most])
    rows, row = np.unique(_packed(member[:, kept]), axis=0, return_inverse=True)
    numbers = np.zeros(len(counts), np.min_scalar_type(len(rows) - 1))
    numbers[[0, *(shown + 1)]] = row.ravel()
    return distinct_mask_set(rows, numbers[number + 1], area[kept])


def _packed(member: np.ndarray) -> np.ndarray:
    """Memberships [R, M] bool as words [R + 1, ceil(M / 64)], after those of what no mask holds."""
    bits = np.zeros((len(member) + 1, -(-member.shape[1] // 64) * 64), bool)
    bits[1:, : member.shape[1]] = member
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def scene_of(balls: Heap, views: int, size: int) -> tuple[Scene, list[np.ndarray]]:
    """The scene with so many training views, and the z-depth of each; one more of 64 is for validation."""
    count = views // _EVERY + 1
    cameras, held = cameras_around(views + count, size, size), np.zeros(views + count, bool)
    held[np.linspace(0, views + count - 1, count + 2).astype(int)[1:-1]] = True

    def seen() -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        for index in range(len(cameras)):
            color, number, depth = look(balls, cameras, index)
            picture = (255 * color + 0.5).to(torch.uint8)
            yield index, *(part.cpu().numpy() for part in (picture, number, depth))

    def view(parts: tuple[int, np.ndarray, np.ndarray, np.ndarray]) -> tuple[View, np.ndarray]:
        index, picture, number, depth = parts
        return View(f"view_{index:04d}", picture, nested_masks(number)), depth

    made = list(in_threads(view, seen()))
    splits = {
        name: Split(tuple(made[index][0] for index in np.flatnonzero(chosen)), cameras[np.flatnonzero(chosen)])
        for name, chosen in (("train", ~held), ("val", held))
    }
    scene = Scene("balls", None, "arrays", splits, Similarity(), np.ones(3, np.float32))
    return scene, [made[index][1] for index in np.flatnonzero(~held)]


@torch.no_grad()
def surface_of(balls: Heap, scene: Scene, depths: list[np.ndarray], points: int) -> Surface:
    """About so many points on the balls that any training view sees, with the views that see them."""
    device, cameras = balls.radii.device, scene.train.normalised_cameras
    shares = (balls.radii.square() / balls.radii.square().sum()).tolist()
    parts = []
    for ball, share in enumerate(shares):
        place = torch.arange(int(points * share), device=device) + 0.5
        height, angle = 1 - 2 * place / len(place), place * 2.399963
        ring = (1 - height.square()).sqrt()
        away = torch.stack([ring * angle.cos(), ring * angle.sin(), height], 1)
        parts.append(torch.cat([balls.centres[ball] + balls.radii[ball] * away, away], 1))
    both = torch.cat(parts)
    voxels = (both[:, :3] * (points**0.5 / 8)).floor().long()
    both = both[((voxels[:, 0] << 40) + (voxels[:, 1] << 20) + voxels[:, 2]).argsort()]
    flags = []
    for index, depth in enumerate(depths):
        pose = torch.from_numpy(cameras.c2w[index].astype(np.float32)).to(device)
        fx, fy, cx, cy = cameras.intrinsics[index].tolist()
        local = (both[:, :3] - pose[:, 3]) @ pose[:, :3]
        u, v = fx * local[:, 0] / local[:, 2] + cx, fy * local[:, 1] / local[:, 2] + cy
        within = (u >= 0) & (v >= 0) & (u < depth.shape[1]) & (v < depth.shape[0])
        column, row = (part.long().clamp(0, depth.shape[0] - 1) for part in (u, v))
        there = torch.from_numpy(depth).to(device)[row, column]
        flags.append(pack_flags((within & ((local[:, 2] - there).abs() < 0.01)).cpu().numpy()))
    visible = np.stack(flags)
    seen = np.bitwise_or.reduce(visible, axis=0)
    kept = np.unpackbits(seen, count=len(both), bitorder="little").astype(bool)
    visible = np.stack(
        [pack_flags(np.unpackbits(row, count=len(both), bitorder="little").astype(bool)[kept]) for row in visible]
    )
    places = both[torch.from_numpy(kept).to(device)].cpu().numpy()
    area = 4 * np.pi * float(balls.radii.square().sum())
    return Surface(
        np.ascontiguousarray(places[:, :3]),
        np.ascontiguousarray(places[:, 3:]),
        np.zeros((len(places), 3), np.uint8),
        visible,
        (area / points) ** 0.5,
    )
