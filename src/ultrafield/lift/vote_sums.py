"""Sums of the votes of all views: in one process, or in several that share out the views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..cameras import Similarity
from ..scene import Scene
from ..scene.share import give_scene, kept_scene, without_others
from ..sharing import Group, Member, Team
from ..surface import Surface
from .masked_views import masked_views
from .view_votes import view_votes

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def add_up(surface: Surface, edges: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray, bool]:
    """The sums of `mask_votes`, in float64, and whether any mask holds a point."""
    from .kernels.votes_cpu import add_votes_cpu

    both, either, holding = np.zeros(len(edges)), np.zeros(len(edges)), False
    for view in view_votes(surface, scene):
        add_votes_cpu(edges, view.codes, view.seen, view.weights, both, either)
        holding |= bool(view.points[:-1].any())
    return both, either, holding


def add_up_shared(
    surface: Surface, edges: np.ndarray, scene: Scene, device: str, team: Team
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The sums of `mask_votes`, and whether any mask holds a point.

    Every process counts its own views; the sums of all are then added up, so their last bits depend on how many
    processes there are.
    """
    import torch

    masked_views(surface, scene)  # what is to be raised is raised while nobody waits
    give_scene(team, scene)
    count = len(edges)
    team.start_each(
        _count, lambda rank: (surface.points, _rows(surface.visible, rank, team.size), surface.to_user, count)
    )
    own = without_others(scene, 0, team.size)
    both, either, holding = _sums(surface, edges, own, torch.device(device), team.group)
    team.finish()
    return both, either, holding


def _count(member: Member, points: np.ndarray, visible: np.ndarray, to_user: Similarity, edges: int) -> None:
    """The part of another process."""
    scene, group = kept_scene(member), member.group
    of_all = np.zeros((len(scene.train), (len(points) + 7) // 8), np.uint8)
    of_all[group.rank :: group.size] = visible
    surface = Surface(points, np.zeros_like(points), np.zeros(points.shape, np.uint8), of_all, 1.0, to_user)
    _sums(surface, edges, scene, member.device, group)


def _rows(visible: np.ndarray, rank: int, size: int) -> np.ndarray:
    """What the views of one process see; one piece of memory travels fastest."""
    return np.ascontiguousarray(visible[rank::size])


def _sums(
    surface: Surface, edges: np.ndarray | int, scene: Scene, device: torch.device, group: Group
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The sums over the views of a scene that have masks, added up; only the first process has the edges."""
    import torch

    if isinstance(edges, int):
        edges = np.empty((edges, 2), np.int64)
    if device.type == "cpu":
        group.take_first(torch.from_numpy(edges))
        *sums, holding = add_up(surface, edges, scene) if scene.has_some_masks else (*np.zeros((2, len(edges))), False)
        both, either = (torch.from_numpy(part) for part in sums)
        return _added(torch.stack([both, either]), torch.tensor(holding), group)
    from .votes_device import edges_on_device, sums_on_device

    ends = edges_on_device(edges, len(surface), str(device))
    group.take_first(ends)
    if not scene.has_some_masks:
        return _added(torch.zeros((2, len(ends)), device=device), torch.zeros((), device=device), group)
    return _added(*sums_on_device(surface, ends, scene), group)


def _added(sums: Tensor, holding: Tensor, group: Group) -> tuple[np.ndarray, np.ndarray, bool]:
    anyone = holding.int().reshape(1)
    group.add_up(sums)
    group.keep_largest(anyone)
    if group.rank:
        return np.zeros(0), np.zeros(0), False
    both, either = sums.cpu().double().numpy()
    return both, either, bool(anyone)
