"""The loop that both trainings share: steps, log, and states from which an interrupted training continues."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import RunError
from ..interruption import delayed, leave
from ..progress import track
from ..sharing import Group
from .checkpoint import STATE_FILE, load_state, save_state
from .log import TrainingLog

_STATE_SECONDS = 15.0  # between states: with the step and the saving itself, a kill costs 20 seconds at most
_SAVING_SHARE = 0.1  # of the time
_FIRST_STEPS = 8  # in which kernels are loaded and recorded

FieldT = TypeVar("FieldT", bound=nn.Module)
TrainerT = TypeVar("TrainerT", bound="Trainer[Any]")


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
        settings_text: The settings and the seed, which a state must share to be continued.
        seed: Of every random draw.
        field: The field being trained.
        optimizer: Adam on its parameters.
        generator: Source of every random draw of a step.
    """

    stage: ClassVar[str]
    settings_text: str
    seed: int
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
            "settings": self.settings_text,
            "step": step,
            "field": self.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": _generator_state(self.generator),
            **self.own_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Return to a saved state that `check_state` accepts."""
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])
        _restore_generator(self.generator, state["generator"])
        self.restore_own(state)

    def own_state(self) -> dict[str, Any]:
        """State beside field, optimiser and generator; none unless a trainer says otherwise."""
        return {}

    def restore_own(self, state: dict[str, Any]) -> None:
        """Take what `own_state` put into a saved state."""

    def draw_apart(self, group: Group, step: int) -> None:
        """From a step on, draw what no other process of a group draws; a group of one draws on."""
        if group.alone:
            return
        numbers = [self.seed, step, group.size, group.rank]
        if isinstance(self.generator, torch.Generator):
            self.generator.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))
        else:
            self.generator.bit_generator.state = np.random.default_rng(numbers).bit_generator.state


@dataclass(frozen=True)
class Journal:
    """Where a training keeps what it needs to go on after an interruption.

    Attributes:
        out: Run folder for log.jsonl and states; None for neither.
        source: Digest of the scene; a state of another one is not used.
        note: Told, in one line, from which step the training goes on, or why it does not.
        progress: Whether to show progress bars.
        under_way: Called after the first steps.
    """

    out: Path | None = None
    source: str = ""
    note: Callable[[str], None] = lambda text: None
    progress: bool = True
    under_way: Callable[[], None] | None = None


def begin(make: Callable[[], TrainerT], steps: int, journal: Journal) -> tuple[TrainerT, int]:
    """A trainer, and the step to go on with: where the state in the run folder left off, if it is of this training.

    Args:
        make: Makes the trainer at its first step.
        steps: Number of steps in all.
        journal: The run folder.

    Raises:
        RunError: A folder is where the state belongs.
    """
    trainer = make()
    if journal.out is None:
        return trainer, 0
    file = journal.out / STATE_FILE
    if file.is_dir():
        raise RunError(f"{file}: expected a file, but it is a folder; move it elsewhere")
    try:
        state = load_state(journal.out)
        if state is None:
            return trainer, 0
        if not _is_of(state, trainer, journal.source):
            journal.note(f"{file}: of another training; {trainer.stage} is trained from the start")
            return trainer, 0
        check_state(state, trainer, steps)
        trainer.restore(state)
    except Exception as error:  # whatever an unfit state may raise when it is restored
        reason = str(error) if isinstance(error, RunError) else f"{file}: its content does not fit the training"
        journal.note(f"{reason}; {trainer.stage} is trained from the start")
        file.unlink(missing_ok=True)
        return make(), 0
    journal.note(f"{trainer.stage}: goes on from step {state['step']} of {steps}")
    return trainer, int(state["step"])


def _is_of(state: dict[str, Any], trainer: Trainer[Any], source: str) -> bool:
    """Whether a state is of the trainer's stage and settings, and of the same scene."""
    wanted = (trainer.stage, trainer.settings_text, source)
    return tuple(state.get(key) for key in ("stage", "settings", "source")) == wanted


def check_state(state: dict[str, Any], trainer: Trainer[Any], steps: int) -> None:
    """Raise `RunError` unless a state is of a step of this training and of the shapes of its field."""
    step = state["step"]
    if type(step) is not int or not 0 <= step < steps:
        raise RunError(f"{STATE_FILE}: is of step {step}, beyond the last of {steps}")
    shapes, wanted = (
        {name: tuple(value.shape) for name, value in tensors.items()}
        for tensors in (state["field"], trainer.field.state_dict())
    )
    if shapes != wanted:
        raise RunError(f"{STATE_FILE}: its parameters are of other shapes than those of the settings")


def run_steps(trainer: Trainer[Any], first: int, steps: int, journal: Journal) -> dict[str, Tensor]:
    """Train from step `first` until `steps` steps are done; returns the losses of the last one.

    The state is saved every 15 seconds, or as seldom as keeps saving below a tenth of the time. After SIGINT or SIGTERM
    the current step is finished and the state saved before the process ends.

    Raises:
        TrainingError: A loss or a parameter is not finite.
    """
    log = TrainingLog(trainer.stage, steps, out=journal.out)
    clock, losses = _StateClock(), {}
    with delayed() as interrupted:
        for step in track(range(first, steps), trainer.stage, steps, done=first, show=journal.progress):
            losses = trainer.step(step)
            log.log(step, losses)
            if journal.under_way is not None and step + 1 == min(first + _FIRST_STEPS, steps):
                journal.under_way()
            asked = interrupted()
            if journal.out is not None and step + 1 < steps and (asked or clock.due()):
                log.check(step, trainer.field)
                with clock.saving():
                    save_state(journal.out, trainer.state(step + 1) | {"source": journal.source})
            if asked:
                kept = "" if journal.out is None else ", whose state is saved; the same command goes on from there"
                leave(f"{trainer.stage} after step {step + 1} of {steps}{kept}")
        log.check(steps - 1, trainer.field)
    return losses


class _StateClock:
    """Tells when a state is due: by time, and so that saving takes a tenth of it at most."""

    def __init__(self) -> None:
        self._wait, self._saved = _STATE_SECONDS, time.monotonic()

    def due(self) -> bool:
        """Whether the state is to be saved now."""
        return time.monotonic() - self._saved >= self._wait

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure how long saving takes."""
        start = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._wait = max(_STATE_SECONDS, (self._saved - start) / _SAVING_SHARE)


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
