"""The loop that both trainings share: steps, log, and states from which an interrupted training continues."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..progress import track
from .checkpoint import belongs_to, load_state, save_state
from .log import TrainingLog

_STATE_EVERY = 250  # steps
_STATE_SECONDS = 20.0  # a state of a large field takes longer to write than many steps on a GPU

FieldT = TypeVar("FieldT", bound=nn.Module)


class Optimizer(Protocol):
    """The part of an optimiser that states need."""

    def state_dict(self) -> dict[str, Any]:
        """Moments, step count and learning rate."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Return to a saved state."""
        ...


class Trainer(ABC, Generic[FieldT]):
    """Everything that changes during a training, with its state on disk.

    Attributes:
        stage: Name of the training in log, messages and states.
        fingerprint: The settings and the seed, which a state must share to be continued.
        field: The field being trained.
        optimizer: Adam on its parameters.
        generator: Source of every random draw of a step.
    """

    stage: ClassVar[str]
    fingerprint: str
    field: FieldT
    optimizer: Optimizer
    generator: torch.Generator | np.random.Generator

    @abstractmethod
    def step(self, step: int) -> dict[str, Tensor]:
        """Do one optimiser step; returns the losses by name, weighted."""

    def state(self, step: int) -> dict[str, Any]:
        """Everything `restore` needs to continue at `step` as if nothing had happened."""
        return {
            "stage": self.stage,
            "settings": self.fingerprint,
            "step": step,
            "field": self.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": _generator_state(self.generator),
            **self.own_state(),
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Return to a saved state of this stage and these settings.

        Returns:
            The step to continue with; 0, and nothing changed, if the state is None or that of another training.
        """
        if state is None or not belongs_to(state, self.stage, self.fingerprint):
            return 0
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])
        _restore_generator(self.generator, state["generator"])
        self.restore_own(state)
        return int(state["step"])

    def own_state(self) -> dict[str, Any]:
        """State beside field, optimiser and generator; none unless a trainer says otherwise."""
        return {}

    def restore_own(self, state: dict[str, Any]) -> None:
        """Take what `own_state` put into a saved state."""


def run_steps(trainer: Trainer[Any], steps: int, *, out: Path | None, progress: bool) -> None:
    """Train until `steps` steps are done, starting from the state in `out` if it is one of the same settings.

    Args:
        trainer: The training.
        steps: Number of steps in all.
        out: Run folder for log.jsonl and states; None for neither.
        progress: Whether to show a progress bar.

    Raises:
        TrainingError: A loss or a parameter is not finite.
        RunError: The state in `out` cannot be read.
    """
    first = trainer.restore(load_state(out)) if out is not None else 0
    log = TrainingLog(trainer.stage, steps, out=out)
    saved = time.monotonic()
    for step in track(range(first, steps), trainer.stage, steps, done=first, show=progress):
        log.log(step, trainer.step(step))
        due = (step + 1) % _STATE_EVERY == 0 and time.monotonic() - saved >= _STATE_SECONDS
        if out is not None and due and step + 1 < steps:
            log.check(step, trainer.field)
            save_state(out, trainer.state(step + 1))
            saved = time.monotonic()
    log.check(steps - 1, trainer.field)


def _generator_state(generator: torch.Generator | np.random.Generator) -> Tensor | str:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    return json.dumps(generator.bit_generator.state)


def _restore_generator(generator: torch.Generator | np.random.Generator, state: Tensor | str) -> None:
    if isinstance(generator, torch.Generator):
        assert isinstance(state, Tensor)
        generator.set_state(state)
    else:
        assert isinstance(state, str)
        generator.bit_generator.state = json.loads(state)
