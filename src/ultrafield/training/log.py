"""The losses of a training on disk, and the checks that it has not diverged."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ..errors import TrainingError

LOG_FILE = "log.jsonl"
_LOG_EVERY = 50  # steps
_BEGINNING = b'{"stage": '  # of every line


def is_log(file: Path) -> bool:
    """Whether trainings wrote a file, as its first bytes tell: a full disk may have cut even the first line short."""
    if not file.is_file():
        return False
    with open(file, "rb") as content:
        return content.read(len(_BEGINNING)) == _BEGINNING


class TrainingLog:
    """Appends a line to log.jsonl every 50 steps, and raises if a loss or a parameter is not finite.

    Args:
        stage: Name of the training in lines and messages, which is also the group of its settings.
        steps: Number of steps in all.
        out: Run folder; None writes nothing.
    """

    def __init__(self, stage: str, steps: int, *, out: Path | None) -> None:
        self.stage, self.steps, self.out = stage, steps, out
        self._started = time.perf_counter()

    def log(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Record the losses of every 50th step and of the last one.

        Raises:
            TrainingError: A loss is not finite.
        """
        if step % _LOG_EVERY and step != self.steps - 1:
            return
        numbers = {name: float(loss.detach()) for name, loss in losses.items()}
        for name, number in numbers.items():
            if not math.isfinite(number):
                raise self._diverged(f"the {name} loss is {number} at step {step}")
        if self.out is not None:
            seconds = round(time.perf_counter() - self._started, 3)
            line = {"stage": self.stage, "step": step, "seconds": seconds, **numbers}
            with open(self.out / LOG_FILE, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def check(self, step: int, field: nn.Module) -> None:
        """Check that the parameters of a field are finite after a step.

        Raises:
            TrainingError: A parameter is not finite.
        """
        for name, parameter in field.named_parameters():
            if not bool(parameter.detach().isfinite().all()):
                raise self._diverged(f"{name} is not finite after step {step}")

    def _diverged(self, symptom: str) -> TrainingError:
        return TrainingError(f"{self.stage}: {symptom}; a smaller learning rate ({self.stage}.lr) may help")
