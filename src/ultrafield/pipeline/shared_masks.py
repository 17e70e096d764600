"""Making the masks of many views in a folder that several processes may share: each view by one of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..owner import BusyError, owned
from ..scene import Scene, View
from .console import Report
from .mask_makers import Make, Maker
from .masks import picture_of, views_to_make

if TYPE_CHECKING:
    from ..masks import MaskJournal
    from ..masks.write import Form

_WAIT = 30.0  # seconds for another process to note down what it has made
_PAUSE = 30.0  # seconds between two remarks on how far the work is, where no bar shows it


def share_masks(scene: Scene, out: Path, maker: Maker, report: Report, *, form: Form, overwrite: bool) -> int:
    """Make the masks of training views that nobody has made or is making; returns how many masks there are then.

    Args:
        scene: The scene.
        out: Folder to hold `train_seg`.
        maker: Makes the masks of a view.
        report: Where progress is printed.
        form: How they are stored.
        overwrite: Whether to replace masks that the program did not make.

    Raises:
        SceneError: Files that may be somebody's work lie where masks go; nothing was written.
        BusyError: Another process works there that shares the folder with nobody.
    """
    from ..masks import MaskJournal

    concerned = [view for view in scene.train if maker.views is None or view.name in maker.views]
    journal = MaskJournal(out, "train", maker.method, form)
    views = views_to_make(concerned, journal, overwrite=overwrite)
    if not views and not journal.has_leftovers():
        report.note("masks: done before, kept")
        return sum(journal.count(view.name) for view in concerned)
    _tidy(out, journal, [view.name for view in concerned])
    kept = len(concerned) - len(views)
    if kept:
        report.note(f"masks: {kept} of {len(concerned)} views done before, kept")
    others = _Sharing(out, journal, maker, report, form).make(views) if views else 0
    if others:
        report.note(f"masks: {others} of {len(concerned)} views are being made by other processes")
    journal.refresh()
    done = [view for view in concerned if journal.state(view.name, picture_of(view)) == "done"]
    return sum(journal.count(view.name) for view in done)


def _tidy(out: Path, journal: MaskJournal, names: Sequence[str]) -> None:
    """Remove what interruptions left, unless other processes are at work: then it may be theirs."""
    from ..masks.claims import Claims

    with owned(out, wait=_WAIT):
        try:
            Claims(out, "train").check_none()
        except BusyError:
            return
        journal.refresh()
        journal.recover(names)


class _Sharing:
    """One process's part of the work.

    Args:
        out: Folder to hold `train_seg`.
        journal: What is done.
        maker: Makes the masks of a view.
        report: Where progress is printed.
        form: How they are stored.
    """

    def __init__(self, out: Path, journal: MaskJournal, maker: Maker, report: Report, form: Form) -> None:
        from ..masks.claims import Claims

        self._out, self._journal, self._maker, self._report, self._form = out, journal, maker, report, form
        self._claims = Claims(out, "train")

    def make(self, views: Sequence[View]) -> int:
        """Make the masks of views that nobody else makes; returns how many others are making."""
        with self._report.stage("masks"), ThreadPoolExecutor(self._maker.workers) as pool:
            try:
                make = self._maker.start()
                left = self._pass(self._report.track(views, len(views), "masks"), len(views), make, pool)
                # Who had claimed them may have ended without making them.
                return len(self._pass(left, len(left), make, pool))
            finally:
                pool.shutdown(cancel_futures=True)
                self._claims.give_all_back()

    def _pass(self, views: Iterable[View], total: int, make: Make, pool: ThreadPoolExecutor) -> list[View]:
        """Go through some views once; returns those that others are making."""
        writing: deque[tuple[str, Future[None]]] = deque()
        left, pace = [], _Pace(self._report)
        for view in views:
            if not self._claims.take(view.name):
                left.append(view)
            elif self._is_done(view):
                self._claims.give_back(view.name)
            else:
                writing.append((view.name, pool.submit(self._write, view, make(view))))
            while len(writing) > self._maker.workers:
                self._finish(writing)
            pace.passed(total)
        while writing:
            self._finish(writing)
        return left

    def _is_done(self, view: View) -> bool:
        """Whether another process has made the masks since this one began."""
        self._journal.refresh()
        return self._journal.state(view.name, picture_of(view)) == "done"

    def _finish(self, writing: deque[tuple[str, Future[None]]]) -> None:
        name, future = writing.popleft()
        future.result()
        self._claims.give_back(name)

    def _write(self, view: View, made: Callable[[], tuple[object, dict[str, np.ndarray]]]) -> None:
        """Write the masks of a view that this process has claimed."""
        from ..masks import MaskJournal, MaskSet, write_masks
        from ..masks.write import write_packed_masks

        masks, qualities = made()
        assert isinstance(masks, MaskSet)

        def announce(place: Path, hierarchy: dict[str, np.ndarray]) -> None:
            with owned(self._out, wait=_WAIT):  # what others have noted down since is read here
                journal = MaskJournal(self._out, "train", self._maker.method, self._form)
                journal.announcing(view.name, picture_of(view))(place, hierarchy)

        if self._form == "packed":
            write_packed_masks(self._out, "train", view.name, masks, qualities, announce=announce)
        else:
            write_masks(self._out, "train", view.name, masks, announce=announce)


class _Pace:
    """Says how far the work is, where no bar shows it.

    Args:
        report: Where it is said.
    """

    def __init__(self, report: Report) -> None:
        self._report, self._begun = report, time.monotonic()
        self._said, self._passed = self._begun, 0

    def passed(self, total: int) -> None:
        """Note that one more of `total` views has passed."""
        self._passed += 1
        now = time.monotonic()
        if self._report.notes.is_terminal or now - self._said < _PAUSE or self._passed == total:
            return
        self._said = now
        minutes = (now - self._begun) / self._passed * (total - self._passed) / 60
        self._report.note(f"masks: {self._passed} of {total} views, about {minutes:.0f} min left")
