"""The viewer: what the page asks for is done to the session, and what has changed is shown."""

from __future__ import annotations

import os
import threading
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UltrafieldError, reason_of
from ..owner import BusyError
from .cloud import PointCloud
from .download import FORMATS, export_archive
from .frame import DisplayFrame
from .gallery import Gallery
from .markup import status_html
from .measuring import measure
from .outline import Outline
from .painting import Painter
from .panel import Panel
from .requests import checked
from .server import start_server
from .session import Session
from .storage import OpenedRun
from .window import Window
from .worker import Worker

_EDITS = frozenset({"rename", "merge", "split", "undo", "redo"})
_OVERTAKEN = frozenset({"position", "search"})  # of which only the last one counts


@dataclass(frozen=True)
class _Shown:
    """What the page shows, to tell what has changed."""

    points: tuple[object, ...]
    colors: tuple[object, ...]
    facts: tuple[object, ...]
    rows: tuple[object, ...]
    scale: tuple[object, ...]


class Viewer:
    """A run in a browser, until it is closed.

    Everything that changes the session happens in one thread, slow things (pictures, exports) in another.

    Args:
        opened: The run.
        host: Address to listen at.
        port: Port; 0 takes a free one.
        min_size: Points that a segment needs to be a step or a row; None takes a thousandth of all, but at least 2.

    Raises:
        ConfigError: The port is in use, or the address is none of this machine's.
        BackendError: viser is not installed.
    """

    def __init__(self, opened: OpenedRun, host: str, port: int, *, min_size: int | None = None) -> None:
        self.opened = opened
        self.session = Session(opened.segmentation, opened.edits, min_size=min_size)
        self.frame = DisplayFrame.of(self.session.surface)
        self.outline, self.painter = Outline(self.session), Painter(self.session)
        self.lock = threading.RLock()  # of the session
        self._quick, self._slow = Worker("view", self._failed), Worker("pictures", self._failed)
        with self.lock:  # a page that is there already waits until all is
            self._start(host, port)

    def _start(self, host: str, port: int) -> None:
        title = f"ultrafield · {self.opened.run.root.name}"
        self.server = start_server(host, port, title, self._heard)
        self.gallery = Gallery(self.opened, self.session, self.frame, self.lock)
        self.frustums = self.gallery.frustums()
        self.window = Window(
            self.server,
            title,
            self.frame,
            self.gallery.titles,
            self._marks(),
            self.session.scale.position(self.session.height),
            cameras=self.frustums.edges,
            fields=self.gallery.has_fields,
            act=self.act,
        )
        self.panel = Panel(
            self.window,
            self.session,
            self.outline,
            self.painter,
            self.gallery,
            self.lock,
            locked=self.opened.locked is not None,
            failed=self._failed,
        )
        self._say(
            " ".join(self.opened.remarks) or "Click a point to select its segment.", bad=bool(self.opened.remarks)
        )
        self.cloud = PointCloud(self.window, self.frame, self.session, self.painter)
        self._do_cameras()
        self.panel.show_facts()
        self.panel.show_rows()
        self._shown = self._state()

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self.server.get_port())

    def settle(self, seconds: float = 10.0) -> bool:
        """Wait until all that was asked for is done; returns whether that came about within the time."""
        return self._quick.settle(seconds) and self.panel.settle(seconds) and self._slow.settle(seconds)

    def close(self) -> None:
        """Stop listening."""
        self._quick.close()
        self.panel.close()
        self._slow.close()
        self.server.stop()

    def act(self, name: str, **arguments: Any) -> None:
        """Do something that the page asks for, soon: one of the methods `_do_…`, by its name."""
        action = getattr(self, f"_do_{name}")
        self._quick.submit(lambda: self._carry_out(name, action, arguments), key=name if name in _OVERTAKEN else None)

    def _heard(self, event: dict[str, Any]) -> None:
        request = checked(event)
        if request is not None:
            self.act(request[0], **request[1])

    def _carry_out(self, name: str, action: Any, arguments: dict[str, Any]) -> None:
        with self.lock:
            if name in _EDITS and self.opened.locked is not None:
                raise UltrafieldError(f"{self.opened.locked}; nothing can be edited")
            said = action(**arguments)
            self._refresh()
            if name in _EDITS:
                said = self._store(said)
            if said is not None:
                self._say(said, good=name in _EDITS)

    def _store(self, said: str | None) -> str:
        try:
            self.opened.save()
        except BusyError as failure:
            raise UltrafieldError(f"done, but not stored yet: {failure}; the next edit tries again") from None
        except (UltrafieldError, OSError) as failure:
            raise UltrafieldError(f"done, but not stored: {_reason(failure)}") from None
        return f"{said or 'Done.'} Stored in {self.opened.run.edits_file.name}."

    def _failed(self, failure: Exception) -> None:
        if os.environ.get("ULTRAFIELD_DEBUG") == "1" and not isinstance(failure, UltrafieldError):
            traceback.print_exception(failure)
        self._say(_reason(failure), bad=True)

    def _say(self, text: str, *, good: bool = False, bad: bool = False) -> None:
        self.window.status.content = status_html(text, "good" if good else "bad" if bad else "plain")

    # What can be asked for

    def _do_paints(self) -> None:
        self.cloud.page_paints = True

    def _do_position(self, at: float) -> None:
        self.session.cut(self.session.scale.height(at))

    def _do_ray(self, origin: Any, direction: Any, add: bool) -> None:
        leaf, distance = self.cloud.first_met(origin, direction)
        camera, away = self.frustums.met(origin, direction) if self.window.shows_cameras else (-1, np.inf)
        if camera >= 0 and away < distance:
            self._look_from(camera)
        else:
            self._click(leaf, add)

    def _do_pixel(self, x: float, y: float, add: bool) -> None:
        leaf = self.gallery.leaf_at(x, y)
        self._click(leaf if leaf >= 0 and self.session.visible[leaf] else -1, add)

    def _click(self, leaf: int, add: bool) -> None:
        self.session.click(leaf, add=add)
        self._reveal()

    def _do_select(self, node: int, add: bool = False) -> None:
        self.session.select(node, add=add)

    def _do_toggle(self, node: int) -> None:
        self.outline.toggle(node)

    def _do_more(self, node: int) -> None:
        self.outline.more(node)

    def _do_earlier(self, node: int) -> None:
        self.outline.earlier(node)

    def _do_search(self, text: str) -> None:
        self.outline.text = text

    def _do_climb(self) -> None:
        self.session.climb()
        self._reveal()

    def _do_descend(self) -> None:
        self.session.descend()
        self._reveal()

    def _do_deselect(self) -> None:
        self.session.deselect()

    def _do_hide(self) -> None:
        self.session.hide()

    def _do_isolate(self) -> None:
        self.session.isolate()

    def _do_all(self) -> None:
        self.session.show_all()

    def _do_open(self) -> None:
        self.session.open()

    def _do_close(self) -> None:
        self.session.close()

    def _do_colors(self) -> None:
        self.painter.photo = not self.painter.photo

    def _do_rename(self, text: str) -> str:
        self.session.rename(text)
        return f"Named {self.session.title(self.session.selected[0])}."

    def _do_merge(self) -> str:
        self.session.merge()
        self._reveal()
        return f"Merged to {self.session.title(self.session.selected[0])}."

    def _do_split(self) -> str:
        self.session.split()
        return "Its parts stay apart until something larger takes them up."

    def _do_undo(self) -> str:
        return f"Took back: {self.session.undo()}."

    def _do_redo(self) -> str:
        return f"Done again: {self.session.redo()}."

    def _do_best(self) -> None:
        if not self.session.selected:
            self.window.fly_around(self.frame.to_user.apply(-np.ones(3)), self.frame.to_user.apply(np.ones(3)))
            return
        measured = measure(self.session, self.session.selected[0])
        index = self.gallery.best(self.session.selected[0])
        if index < 0:
            self.window.fly_around(measured.low, measured.high)
            return
        self._look_from(index)

    def _look_from(self, index: int) -> None:
        """Look through a camera of the run, and show its pictures."""
        self.window.show_view(index)
        self._do_fly(index)
        self._do_view(index)

    def _do_cameras(self) -> None:
        self.window.show_cameras(self.frustums.colors(self.window.view))

    def _do_fly(self, index: int) -> None:
        if index >= 0:
            self.window.fly_to(self.frame.shown_cameras(self.gallery.book.camera(index)))

    def _do_view(self, index: int) -> None:
        self._do_cameras()
        if index >= 0:
            self._do_pictures(index)

    def _do_pictures(self, index: int) -> None:
        eye = self.window.eye() if index < 0 else None
        field = self.window.wants_field
        if field:
            self._say("The radiance field is rendered …")
        self._slow.submit(lambda: self._show_pictures(index, eye, field), key="pictures")

    def _do_export(self, to: str, client: Any) -> None:
        if to not in FORMATS:
            return
        taken, selected = self.session.copied(), self.session.selected
        self._say(f"The export as {to} is made …")
        self._slow.submit(lambda: self._export(taken, selected, to, client))

    # What is shown

    def _state(self) -> _Shown:
        session = self.session
        look = (session.structure, session.cuts, session.selected)
        return _Shown(
            points=(session.structure, session.hidden, session.isolated),
            colors=(*look, self.painter.photo),
            facts=(*look, session.naming, session.hidden, session.isolated, self.painter.photo),
            rows=(session.structure, session.naming, session.selected, session.hidden, self.outline.state()),
            scale=(session.structure, session.cuts),
        )

    def _refresh(self) -> None:
        """Show what has changed, colours first."""
        before, after = self._shown, self._state()
        self._shown = after
        if before.points != after.points:
            self.cloud.show()
        elif before.colors != after.colors:
            self.cloud.recolor()
        if before.points[0] != after.points[0]:
            self.gallery.thumbnails.forget()
            self.window.show_scale(self.session.scale.position(self.session.height), self._marks())
        self.panel.update(facts=before.facts != after.facts, rows=before.rows != after.rows)
        if (before.colors, before.points) != (after.colors, after.points):
            self._slow.submit(self._repaint_pictures, key="repaint")

    def _marks(self) -> np.ndarray:
        return np.array([self.session.scale.position(float(height)) for height in self.session.levels[::-1]])

    def _reveal(self) -> None:
        if self.session.selected:
            self.outline.reveal(self.session.selected[0])

    def _show_pictures(self, index: int, eye: Any, field: bool) -> None:
        self.window.pictures.content = self.gallery.show(index, eye, field)
        if field:
            self._say("Rendered from the radiance field.")

    def _repaint_pictures(self) -> None:
        content = self.gallery.repainted()
        if content is not None:
            self.window.pictures.content = content

    def _export(self, session: Session, selected: tuple[int, ...], to: Any, client: Any) -> None:
        session.selected = selected
        name, content = export_archive(session, to)
        client.send_file_download(name, content, save_immediately=True)
        self._say(f"{name}: {len(content) / 1e6:.1f} MB", good=True)


def _reason(failure: Exception) -> str:
    if isinstance(failure, UltrafieldError):
        return str(failure)
    if isinstance(failure, OSError):
        return f"{failure.filename}: {reason_of(failure)}" if failure.filename else reason_of(failure)
    return f"{type(failure).__name__}: {failure} (a defect of ultrafield)"
