"""The loop that both trainings share: steps, log, states to go on from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from .checkpoint import load_state, save_state
from .schedule import Progress

_STATE_EVERY = 250  # steps
_STATE_SECONDS = 20.0  # a state of a large field takes longer to write than many steps on a GPU


class Trainer(Protocol):
    """Everything that changes during a training.

    Attributes:
        field: What is trained.
    """

    field: nn.Module

    def step(self, step: int) -> dict[str, Tensor]:
        """One optimiser step; returns the losses."""
        ...

    def state(self, step: int) -> dict[str, Any]:
        """All that `restore` needs to go on from `step` as if nothing had happened."""
        ...

    def restore(self, state: dict[str, Any] | None) -> int:
        """Go back to a saved state; returns the step to go on with."""
        ...


def run_steps(trainer: Trainer, stage: str, steps: int, *, out: Path | None, progress: bool) -> None:
    """Train until `steps` are done, from the state that `out` holds of the same settings, if it holds one.

    Args:
        trainer: What is trained.
        stage: Its name in log and messages.
        steps: Steps in all.
        out: Run folder for log.jsonl and states; None for neither.
        progress: Whether to show a bar.

    Raises:
        TrainingError: A loss or a parameter is not finite.
    """
    first = trainer.restore(load_state(out)) if out is not None else 0
    bar = Progress(stage, steps, out=out, show=progress)
    saved = time.monotonic()
    for step in bar.iterate(first):
        bar.log(step, trainer.step(step))
        due = (step + 1) % _STATE_EVERY == 0 and time.monotonic() - saved >= _STATE_SECONDS
        if out is not None and due and step + 1 < steps:
            bar.check(step, trainer.field)
            save_state(out, trainer.state(step + 1))
            saved = time.monotonic()
    bar.check(steps - 1, trainer.field)
