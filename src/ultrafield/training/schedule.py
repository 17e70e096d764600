"""What both trainings share: the learning rate, the log, the look at the loss."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ..errors import TrainingError

LR_FLOOR = 1.0 / 30.0  # the published schedule ends at a thirtieth of the first rate
_LOG_EVERY = 50


def cosine_lr(optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
    """Set each group's rate between its `initial_lr` and a thirtieth of it along half a cosine."""
    factor = LR_FLOOR + (1.0 - LR_FLOOR) * 0.5 * (1.0 + math.cos(math.pi * step / max(1, steps)))
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def adam(groups: list[dict], *, betas: tuple[float, float] = (0.9, 0.99)) -> torch.optim.Adam:
    """Adam with ε 1e-15, fused; `groups` carry `params` and `lr`."""
    return torch.optim.Adam(
        [{**group, "initial_lr": group["lr"]} for group in groups], betas=betas, eps=1e-15, fused=True
    )


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
        """Record losses every 50 steps and at the last one; the only place where they are looked at.

        Raises:
            TrainingError: A loss is not finite.
        """
        if step % _LOG_EVERY and step != self.steps - 1:
            return
        numbers = {name: float(value.detach()) for name, value in values.items()}
        for name, number in numbers.items():
            if not math.isfinite(number):
                raise TrainingError(
                    f"{self.stage}: the {name} loss is {number} at step {step}; "
                    f"a smaller learning rate (--{self.stage}.lr) may help"
                )
        if self.out is not None:
            line = {
                "stage": self.stage,
                "step": step,
                "seconds": round(time.perf_counter() - self._started, 3),
                **numbers,
            }
            with open(self.out / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

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
