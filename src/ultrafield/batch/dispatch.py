"""Scenes handed to workers as these become free.

Ray queues and places the workers and tells which have died. The scenes of these go to other workers: Ray's own retries
of a call are spent within seconds, long before a cluster takes note that a node has gone.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import BackendError, ConfigError, first_line
from .cluster import Shares, alive_nodes
from .outcome import Fault, Outcome, now
from .worker import Setup, Task, Worker

_PERIOD = 2.0  # seconds between two looks at the nodes
_PAUSE = 0.5  # seconds between two looks at signals
_GRACE = 20.0  # seconds for trainings to save their states
_PATIENCE = 60.0  # seconds for a node to come back after the last one has gone


@dataclass(frozen=True)
class Plan:
    """How scenes are shared out.

    Attributes:
        shares: What each worker gets.
        setup: What it is started with.
        retries: How often a scene is begun again after its worker, or its node, has died.
    """

    shares: Shares
    setup: Setup
    retries: int


class Dispatcher:
    """Hands scenes to workers.

    Args:
        ray: The module, connected.
        tasks: The scenes, in the order in which they are begun.
        plan: How they are shared out.
        finished: Called with each outcome.
        note: Called with remarks for the user.
        interrupted: Whether to end early.
    """

    def __init__(
        self,
        ray: Any,
        tasks: Sequence[Task],
        plan: Plan,
        *,
        finished: Callable[[Outcome], None],
        note: Callable[[str], None],
        interrupted: Callable[[], bool],
    ) -> None:
        self._ray, self._plan, self._finished, self._note = ray, plan, finished, note
        self._interrupted = interrupted
        self._waiting = deque(tasks)
        self._running: dict[Any, tuple[Task, Any]] = {}
        self._idle: list[Any] = []
        self._deaths: Counter[str] = Counter()  # of workers, by the scene that they were doing
        self._repeated: dict[str, Outcome] = {}  # outcomes of scenes that are given one more chance
        self._excluded: dict[str, str] = {}  # why nodes get no more scenes
        self._seen = time.monotonic()  # when there was last a node
        self._looked, self._slots = 0.0, 0

    def run(self) -> None:
        """Do all scenes; after an interruption, only let trainings save their states.

        Raises:
            ConfigError: A node has other versions than the command.
            BackendError: Workers cannot be started.
        """
        while self._waiting or self._running:
            if self._interrupted():
                self._stop()
                return
            self._look()
            self._start()
            ready, _ = self._ray.wait(list(self._running), timeout=_PAUSE) if self._running else ([], [])
            for reference in ready:
                self._finish(reference)
            if not self._running and not ready:
                time.sleep(_PAUSE)
            if not self._waiting:
                self._release()

    def _look(self) -> None:
        """Count the workers that the nodes have room for; give up where there has been none for long."""
        present = time.monotonic()
        if present - self._looked < _PERIOD:
            return
        nodes = [node for node in alive_nodes(self._ray) if node.id not in self._excluded]
        self._looked, self._slots = present, sum(map(self._plan.shares.slots, nodes))
        if self._slots:
            self._seen = present
        elif self._excluded or present - self._seen > _PATIENCE:
            self._give_up()

    def _start(self) -> None:
        """Give waiting scenes to idle workers, and to new ones where there is room."""
        while self._waiting and (self._idle or len(self._running) < self._slots):
            worker = self._idle.pop() if self._idle else self._new_worker()
            task = self._waiting.popleft()
            self._running[worker.run.remote(task)] = (task, worker)

    def _new_worker(self) -> Any:
        shares = self._plan.shares
        options: dict[str, Any] = {"num_cpus": shares.cpus, "num_gpus": shares.gpu}
        if self._excluded:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(self._excluded)})"}
        kind = self._ray.remote(concurrency_groups={"control": 1})(Worker)
        return kind.options(**options).remote(self._plan.setup)

    def _release(self) -> None:
        """End workers that have nothing to do: what has died may need their room to start again."""
        while self._idle:
            self._ray.kill(self._idle.pop())

    def _finish(self, reference: Any) -> None:
        task, worker = self._running.pop(reference)
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._ray.kill(worker)  # where only its node is out of reach, it must not go on
            outcome = self._lost(task, error)
        else:
            self._keep(worker, outcome)
        if self._is_repeated(task, outcome):
            self._repeated[task.name] = outcome
        else:
            self._finished(outcome)

    def _keep(self, worker: Any, outcome: Outcome) -> None:
        """Keep a worker for the next scene, unless its node is of no use."""
        if outcome.fault == "version":
            raise ConfigError(outcome.reason)
        if outcome.fault == "disk":
            self._exclude(outcome)
            self._ray.kill(worker)
        else:
            self._idle.append(worker)

    def _is_repeated(self, task: Task, outcome: Outcome) -> bool:
        """Put a scene into the queue again if that may help."""
        if outcome.fault == "death" and self._deaths[task.name] <= self._plan.retries:
            self._note(f"{task.name}: its worker or node died; it is begun again")
            self._waiting.appendleft(task)
            return True
        if outcome.fault == "disk" or (outcome.fault == "memory" and task.name not in self._repeated):
            self._waiting.append(task)
            return True
        return False

    def _exclude(self, outcome: Outcome) -> None:
        """Give a node whose disk is full no more scenes."""
        if outcome.node_id not in self._excluded:
            self._note(f"node {outcome.node} gets no more scenes: {outcome.reason}")
        self._excluded[outcome.node_id] = f"node {outcome.node}: {outcome.reason}"
        self._looked = 0.0

    def _stop(self) -> None:
        """Let trainings save their states, and end all workers."""
        wait, workers = self._ray.wait, [worker for _, worker in self._running.values()]
        stop = {"concurrency_group": "control"}  # a worker does its scenes one after another, and is stopped meanwhile
        asked = {worker.stop.options(**stop).remote(): reference for reference, (_, worker) in self._running.items()}
        answered, _ = wait(list(asked), num_returns=len(asked), timeout=_PERIOD) if asked else ([], [])
        with suppress(self._ray.exceptions.RayError):
            training = [asked[answer] for answer in answered if self._ray.get(answer)]
            if training:
                wait(training, num_returns=len(training), timeout=_GRACE)
        for worker in [*workers, *self._idle]:
            self._ray.kill(worker)

    def _lost(self, task: Task, error: Exception) -> Outcome:
        """The outcome of a scene whose worker did not answer."""
        kinds, text = self._ray.exceptions, str(error)
        if isinstance(error, kinds.ActorDiedError) and "creation task" in text:
            raise BackendError(f"a worker cannot start: {text.strip().splitlines()[-1].strip()}")
        fault: Fault = "other"
        if isinstance(error, kinds.OutOfMemoryError):
            fault, reason = "memory", "its node ran out of memory and Ray ended the worker"
        elif isinstance(error, kinds.RayActorError | kinds.WorkerCrashedError | kinds.NodeDiedError):
            self._deaths[task.name] += 1
            fault, reason = "death", f"its worker died (begun {self._deaths[task.name]} times)"
        else:
            reason = f"{type(error).__name__}: {first_line(error)}"
        return Outcome(task.name, task.scene, "failed", reason, fault, finished=now())

    def _give_up(self) -> None:
        """Report all that is left as failed: there is no node for it."""
        reason = "no node of the cluster is left that can do it"
        if self._excluded:
            reason += f" ({next(iter(self._excluded.values()))})"
        for task in [*(task for task, _ in self._running.values()), *self._waiting]:
            outcome = self._repeated.get(task.name)
            why = reason if outcome is None else outcome.reason
            self._finished(Outcome(task.name, task.scene, "failed", why, "other", finished=now()))
        for _, worker in self._running.values():
            self._ray.kill(worker)
        self._running.clear()
        self._waiting.clear()
        self._release()
