"""What the processes of all GPUs but the first do in a training; the first one leads, logs and saves."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import nn

from ..config import Config
from ..errors import ConfigError
from ..field.model import RadianceField
from ..scene import Scene
from ..scene.share import give_scene, kept_scene
from ..sharing import Member, Team
from .checkpoint import new_geometry
from .loop import Trainer
from .trainers import feature_trainer, geometry_trainer

_TRAINER = "trainer"


def check_shared(scene: Scene, config: Config, team: Team | None) -> None:
    """Raise `ConfigError` for a training that so many GPUs cannot share."""
    if team is None:
        return
    if len(scene.train) < team.size:
        text = f"{team.size} GPUs share out the training views, of which {scene.source} has {len(scene.train)}"
        raise ConfigError(text)
    if config.geometry.refine_poses:
        raise ConfigError(f"{team.size} GPUs cannot refine poses together; one can (geometry.refine_poses)")


def prepare_geometry(team: Team, scene: Scene, config: Config) -> None:
    """Have the other processes make their trainers; this one makes its own meanwhile."""
    give_scene(team, scene)
    team.start(_make_geometry, config)


def prepare_features(team: Team, scene: Scene, config: Config, geometry: RadianceField) -> None:
    """Likewise for features on a finished geometry."""
    give_scene(team, scene)
    team.start(_make_features, config, _packed(geometry))


def start_steps(team: Team, trainer: Trainer[Any], first: int, steps: int, *, fresh: bool) -> None:
    """Have the other processes train with this one, from the state that its trainer is in.

    Args:
        team: The processes, which have trainers.
        trainer: This process's own.
        first: The step to begin with.
        steps: Number of steps in all.
        fresh: Whether the field is as the seed makes it, and nothing needs to be sent.
    """
    state = None if fresh and first == 0 else _packed(trainer.state(first))
    if first == 0:
        trainer.draw_apart(team.group, first)
    team.start(_take_steps, first, steps, state)


def checksum(field: nn.Module) -> list[int]:
    """A number for each parameter; fields that differ in a bit have other ones, but for rare chance."""
    return [int(value.detach().view(torch.int32).sum(dtype=torch.int64)) for value in field.parameters()]


def _make_geometry(member: Member, config: Config) -> None:
    member.kept.pop(_TRAINER, None)
    member.kept[_TRAINER] = geometry_trainer(kept_scene(member), config, member.device, member.group)


def _make_features(member: Member, config: Config, packed: bytes) -> None:
    member.kept.pop(_TRAINER, None)
    scene = kept_scene(member)
    geometry = new_geometry(scene, config.geometry, torch.Generator())
    geometry.load_state_dict(_unpacked(packed))
    member.kept[_TRAINER] = feature_trainer(
        geometry.to(member.device), scene, config, member.device, progress=False, group=member.group
    )


def _take_steps(member: Member, first: int, steps: int, state: bytes | None) -> list[int]:
    trainer: Trainer[Any] = member.kept[_TRAINER]
    if state is not None:
        trainer.restore(_unpacked(state))
    trainer.draw_apart(member.group, first)
    for step in range(first, steps):
        trainer.step(step)
    del member.kept[_TRAINER]
    return checksum(trainer.field)


def _packed(value: nn.Module | dict[str, Any]) -> bytes:
    archive = io.BytesIO()
    torch.save(value.state_dict() if isinstance(value, nn.Module) else value, archive)
    return archive.getvalue()


def _unpacked(packed: bytes) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    return state
