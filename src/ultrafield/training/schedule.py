"""What both trainings share: the learning rate, the log, the look at the loss."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import TrainingError

_LOG_EVERY = 50


def cosine_lr(optimizer: torch.optim.Optimizer, step: int, steps: int, *, floor: float) -> None:
    """Set each group's rate between its `initial_lr` and the fraction `floor` of it along half a cosine."""
    factor = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def adam(field: nn.Module, *, lr: float, beta2: float) -> torch.optim.Adam:
    """Fused Adam with ε 1e-15 on all parameters of a field."""
    group = {"params": list(field.parameters()), "lr": lr, "initial_lr": lr}
    return torch.optim.Adam([group], betas=(0.9, beta2), eps=1e-15, fused=True)


class Progress:
    """A progress bar, and a line in log.jsonl every 50 steps.

    Args:
        stage: Name shown and logged.
        steps: Total steps.
        out: Run folder, or None for no log.
        show: Whether to draw the bar.
    """

    def __init__(self, stage: str, steps: int, *, out: Path | None, show: bool) -> None:
        self.stage, self.steps, self.out, self.show = stage, steps, out, show
        self._started = time.perf_counter()

    def iterate(self, first: int) -> Iterator[int]:
        """Count the steps from `first`, moving the bar."""
        with self.bar() as advance:
            for step in range(first, self.steps):
                yield step
                advance(step + 1)

    def log(self, step: int, values: dict[str, Tensor]) -> None:
        """Record losses every 50 steps and at the last one.

        Raises:
            TrainingError: A loss is not finite.
        """
        if step % _LOG_EVERY and step != self.steps - 1:
            return
        numbers = {name: float(value.detach()) for name, value in values.items()}
        for name, number in numbers.items():
            if not math.isfinite(number):
                raise self._diverged(f"the {name} loss is {number} at step {step}")
        if self.out is not None:
            seconds = round(time.perf_counter() - self._started, 3)
            line = {"stage": self.stage, "step": step, "seconds": seconds, **numbers}
            with open(self.out / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def check(self, step: int, field: nn.Module) -> None:
        """Make sure that a field is worth keeping.

        Raises:
            TrainingError: A parameter is not finite.
        """
        for name, value in field.named_parameters():
            if not bool(value.detach().isfinite().all()):
                raise self._diverged(f"{name} is not finite after step {step}")

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(f"{self.stage}: {what}; a smaller learning rate (--{self.stage}.lr) may help")

    @contextmanager
    def bar(self) -> Iterator[Callable[[int], None]]:
        """Show the bar for the length of a block; yields a function that takes the steps done so far."""
        if not self.show:
            yield lambda done: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(self.stage, total=self.steps)
            yield lambda done: bar.update(task, completed=done)
