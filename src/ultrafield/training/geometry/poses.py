"""Refinement of the camera poses together with the field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...field import RadianceField
from ...scene import Scene
from ..schedule import Adam, cosine_lr

PUBLISHED_LR = 1e-6  # too small to mend anything within thousands of steps: Adam moves a pose by that much in each
LR = 1e-3  # radians and normalised units
_LR_FLOOR = 0.02  # part of the rate at the end, where poses come to rest
_WAIT = 0.1  # part of the steps in which the field is fog still, and tells nothing of poses


def posed(scene: Scene, field: RadianceField) -> Scene:
    """The scene with the training poses that were refined together with a field; the scene itself if none were."""
    if len(field.train_poses) == 0:
        return scene
    c2w = field.train_poses.cpu().numpy().astype(np.float64)
    train = replace(scene.train, normalised_cameras=replace(scene.train.normalised_cameras, c2w=c2w))
    return replace(scene, splits={**scene.splits, "train": train})


class PoseRefinement:
    """A rotation vector and a translation for each camera, with their own Adam.

    Args:
        c2w: Initial poses [N, 3, 4], normalised frame.
        lr: Learning rate; `PUBLISHED_LR` holds all the time, any other begins after a tenth of the steps and falls.
    """

    def __init__(self, c2w: Tensor, lr: float = LR) -> None:
        self._initial = c2w
        self._delta = torch.zeros(len(c2w), 6, device=c2w.device, requires_grad=True)
        self._constant = lr == PUBLISHED_LR
        self._optimizer = Adam([{"params": [self._delta], "lr": lr, "initial_lr": lr}])

    def poses(self) -> Tensor:
        """Corrected poses [N, 3, 4], normalised frame, differentiable in the corrections."""
        x, y, z = self._delta[:, :3].unbind(1)
        zero = torch.zeros_like(x)
        cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
        rotation = torch.linalg.matrix_exp(cross)
        centres = self._initial[:, :, 3] + self._delta[:, 3:]
        return torch.cat([rotation @ self._initial[:, :, :3], centres[:, :, None]], dim=2)

    def zero_grad(self) -> None:
        """Drop the gradients of the corrections."""
        self._optimizer.zero_grad()

    def step(self, step: int, steps: int) -> None:
        """Do one step of Adam.

        Args:
            step: Steps done before this one.
            steps: Number of steps in all.
        """
        if not self._constant:
            if step < _WAIT * steps:
                return
            cosine_lr(self._optimizer, step, steps, floor=_LR_FLOOR)
        self._optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Corrections and optimiser state."""
        return {"delta": self._delta.detach().clone(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Return to a saved state."""
        with torch.no_grad():
            self._delta.copy_(state["delta"])
        self._optimizer.load_state_dict(state["optimizer"])
