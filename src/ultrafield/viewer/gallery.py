"""Pictures beside the scene: thumbnails of nodes, and what a camera sees side by side."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock

import numpy as np

from ..cameras import Cameras, RenderedView
from ..errors import UltrafieldError
from ..export.renderings import color_picture
from .failure import ViewError
from .fields import LoadedFields
from .frame import DisplayFrame, free_camera
from .frustums import Frustums
from .markup import pictures_html
from .pictures import pictures_of
from .session import Session
from .storage import OpenedRun
from .thumbnails import Thumbnails
from .views import EDGE, SeenView, ViewBook, reduced_size

_AT_ONCE = 6  # thumbnails that are made before the list is shown again
_FIELD_EDGE = 240  # pixels of the longer edge of a picture that is rendered now

Eye = tuple[np.ndarray, np.ndarray, float, float]


class Gallery:
    """Pictures of an opened run.

    Args:
        opened: The run.
        session: What is selected and how the tree is cut.
        frame: The frame shown.
        lock: Held while the session is read; never while pictures are looked up or rendered.

    Attributes:
        book: The run's views.
        titles: What they are called.
        thumbnails: Pictures of nodes.
        has_fields: Whether the run has a radiance field.
    """

    def __init__(self, opened: OpenedRun, session: Session, frame: DisplayFrame, lock: RLock) -> None:
        self._opened, self._session, self._frame, self._lock = opened, session, frame, lock
        self.book = ViewBook(opened)
        self.titles = tuple(self.book.title(index) for index in range(len(self.book)))
        self.thumbnails = Thumbnails(self.book)
        self.has_fields = (opened.run.root / "field.safetensors").is_file()
        self._fields: LoadedFields | None = None
        self._shown: tuple[SeenView, np.ndarray | None, str, str] | None = None
        self._best: dict[tuple[int, int], int] = {}

    def best(self, lasting: int) -> int:
        """The view that sees most of a node; −1 for none, and for a node that is gone."""
        with self._lock:
            key = (self._session.structure, lasting)
            if key in self._best:
                return self._best[key]
            if not self._session.exists(lasting):
                return -1
            inside = self._session.leaves_of((lasting,))
        self._best[key] = self.book.best(inside)[0]
        return self._best[key]

    def frustums(self) -> Frustums:
        """The run's cameras, frame shown."""
        cameras = self.book.cameras()
        trained = np.array([split == "train" for split, _ in self.book.views], bool)
        return Frustums(None if cameras is None else self._frame.shown_cameras(cameras), trained)

    def leaf_at(self, x: float, y: float) -> int:
        """The point that the pictures show at a place (0 … 1 from the left and the top); −1 for none."""
        if self._shown is None:
            raise ViewError("no pictures are shown")
        leaf = self._shown[0].leaf
        row, column = (min(int(value * edge), edge - 1) for value, edge in zip((y, x), leaf.shape, strict=True))
        return int(leaf[row, column])

    def show(self, index: int, eye: Eye | None, field: bool) -> str:
        """Pictures of a camera as HTML.

        Args:
            index: A view of the run; −1 for the window's own camera.
            eye: Rotation, place, field of view and aspect of the window, frame shown.
            field: Whether colours and depth come from the radiance field, and features are shown.

        Raises:
            UltrafieldError: There is no window, or the field cannot be loaded.
        """
        fields = self._load_fields() if field else None
        if index >= 0:
            view, title = self.book.see(index), self.titles[index]
            if fields is not None:
                view = self._rendered(fields, self._normalised(index))
        elif eye is None:
            raise ViewError("the window has not said yet where it looks from; try again")
        else:
            view, title = self._from_window(eye, fields), "current camera"
        features = None if fields is None else fields.features(view.points)
        colors = {"points": "Colours are those of the surface's points.", "radiance field": "", "photograph": ""}
        note = colors[view.source] or f"Colours are those of the {view.source}."
        if fields is not None and features is None:
            note += " This run has no features (engine lift)."
        self._shown = (view, features, title, note)
        content = self.repainted()
        assert content is not None
        return content

    def repainted(self) -> str | None:
        """The pictures shown, with segments and selection as they are now; None if there are none."""
        if self._shown is None:
            return None
        view, features, title, note = self._shown
        with self._lock:
            pictures = pictures_of(self._session, view, features)
        return pictures_html(title, pictures, note)

    def make_thumbnails(self, nodes: Sequence[int]) -> bool:
        """Make some of the thumbnails that nodes lack; returns whether any was made."""
        if not len(self.book):
            return False
        lacking = self.thumbnails.lacking(nodes)[:_AT_ONCE]
        for node in lacking:
            with self._lock:
                if not self._session.exists(node):
                    continue
                inside = self._session.leaves_of((node,))
            self.thumbnails.make(node, inside)
        return bool(lacking)

    def _from_window(self, eye: Eye, fields: LoadedFields | None) -> SeenView:
        rotation, place, fov, aspect = eye
        longer = EDGE if fields is None else _FIELD_EDGE
        width, height = (longer, round(longer / aspect)) if aspect >= 1 else (round(longer * aspect), longer)
        camera = self._frame.user_cameras(free_camera(rotation, place, fov, max(1, width), max(1, height)))
        if fields is None:
            return self.book.look_from(camera)
        return self._rendered(fields, camera.moved(self._session.surface.to_user.inverse()))

    def _normalised(self, index: int) -> Cameras:
        camera = self.book.camera(index).moved(self._session.surface.to_user.inverse())
        return camera.resized(reduced_size(camera, _FIELD_EDGE))

    def _rendered(self, fields: LoadedFields, camera: Cameras) -> SeenView:
        view: RenderedView = fields.render(camera)
        depth = view.opaque_depth(self._opened.segmentation.config.min_opacity)
        return self.book.seen(camera, depth, color_picture(view), "radiance field")

    def _load_fields(self) -> LoadedFields:
        if self._fields is None:
            if not self.has_fields:
                raise UltrafieldError("this run has no radiance field")
            self._fields = LoadedFields.of(self._opened.run, self._session.surface)
        return self._fields
