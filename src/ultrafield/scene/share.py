"""Parts of a scene for several processes: every one of them takes some training views."""

from __future__ import annotations

from dataclasses import replace

from ..sharing import Member, Team
from .scene import Scene
from .view import Split, View

_KEPT = "scene"


def own_views(scene: Scene, rank: int, size: int) -> Scene:
    """The scene with every `size`-th training view alone, from the one with index `rank` on.

    Raises:
        ValueError: There are fewer training views.
    """
    if size == 1:
        return scene
    train = scene.train
    indices = list(range(rank, len(train), size))
    kept = Split(tuple(train.views[index] for index in indices), train.normalised_cameras[indices], train.to_user)
    return replace(scene, splits={**scene.splits, "train": kept})


def without_others(scene: Scene, rank: int, size: int) -> Scene:
    """The scene with all views and cameras, but pictures and masks of the views of `own_views` alone."""
    if size == 1:
        return scene

    def emptied(name: str, split: Split) -> Split:
        views = [
            view if name == "train" and index % size == rank else View(view.name) for index, view in enumerate(split)
        ]
        return Split(tuple(views), split.normalised_cameras, split.to_user)

    return replace(scene, splits={name: emptied(name, split) for name, split in scene.splits.items()})


def give_scene(team: Team, scene: Scene) -> None:
    """Give every other process of a team what `without_others` leaves it of a scene, unless it has that already."""
    if not team.has(scene):
        team.start_each(_keep_scene, lambda rank: (without_others(scene, rank, team.size),), apart=True)
        team.remember(scene)


def kept_scene(member: Member) -> Scene:
    """What `give_scene` gave to a process."""
    scene: Scene = member.kept[_KEPT]
    return scene


def _keep_scene(member: Member, scene: Scene) -> None:
    member.kept = {_KEPT: scene}
