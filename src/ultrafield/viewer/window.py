"""The page: points, a box around the selection, and a panel, made by viser. It holds no state of what is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cameras import Cameras
from .download import FORMATS
from .frame import DisplayFrame, quaternion
from .frustums import MOST
from .markup import HELP
from .measuring import box_edges
from .painting import ALL_BRIGHT, AS_GIVEN, BACKDROP

if TYPE_CHECKING:
    import viser

_STEPS = 100.0  # the finest end of the granularity slider
_SLIDER_ORDER = 1.0  # its place in the panel
_BOX_COLOR = (255, 214, 10)
_VIEW_ANGLE = 0.9  # radians, of a window's height
_AWAY = 2.4  # half diagonals between a node and the eye
_NOWHERE = 1e6  # units shown: behind everything that is drawn
_FREE = "current camera"

Act = Callable[..., None]


class Window:
    """What viser shows.

    Args:
        server: viser's server.
        title: Of the page; shown as text.
        frame: The frame shown.
        views: Titles of the run's views.
        marks: Positions of the automatic levels on the slider [L], the coarsest first.
        position: Where the slider begins.
        cameras: Lines that stand for the run's cameras [E, 2, 3], frame shown.
        fields: Whether the run has a radiance field.
        act: Called with the name of an action and its arguments.
    """

    def __init__(
        self, server: viser.ViserServer, title: str, frame: DisplayFrame, views: Sequence[str], marks: np.ndarray,
        position: float, *, cameras: np.ndarray, fields: bool, act: Act,
    ) -> None:  # fmt: skip
        self._server, self._frame, self._act = server, frame, act
        self._cloud: Any = None
        self._camera_lines = cameras
        self._drawn_cameras: Any = None
        self._set_up_scene()
        gui = server.gui
        gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, control_width="large")
        gui.main_panel.dock_right()
        gui.add_html(f'<h1 class="uf-unseen">{escape(title)}</h1>', order=-1.0)
        self.status = gui.add_html("", order=0.0)
        self._add_slider(position, marks)
        self.tools = gui.add_html("", order=2.0)
        self.selection = gui.add_html("", order=3.0)
        tabs = gui.add_tab_group(order=4.0)
        with tabs.add_tab("Tree"):
            self._search = gui.add_text("Find", "", hint="part of a name, or an id")
            self._search.on_update(lambda event: self._send(event, "search", text=self._search.value))
            self.tree = gui.add_html("")
        with tabs.add_tab("Views"):
            self._add_views(views, fields)
            self._add_cameras(len(views))
        with tabs.add_tab("Export"):
            self._add_export()
        with tabs.add_tab("Help"):
            self._add_display()
            gui.add_html(HELP)

    def _add_slider(self, position: float, marks: np.ndarray) -> None:
        labelled: tuple[float | tuple[float, str], ...] = tuple(
            (round(_STEPS * mark, 1), str(number)) for number, mark in enumerate(marks.tolist())
        )
        slider: viser.GuiSliderHandle[float] = self._server.gui.add_slider(
            "Granularity",
            0.0,
            _STEPS,
            0.1,
            round(_STEPS * position, 1),
            marks=labelled,
            hint="from coarse to fine; the marks are the automatic levels",
            order=_SLIDER_ORDER,
        )
        slider.on_update(lambda event: self._send(event, "position", at=slider.value / _STEPS))
        self._slider = slider

    def _set_up_scene(self) -> None:
        server, frame = self._server, self._frame
        server.scene.set_up_direction("+z")
        server.scene.set_background_image(np.full((2, 2, 3), BACKDROP, np.uint8), format="png")
        server.initial_camera.position = (1.2, -1.7, 1.1)
        server.initial_camera.look_at = (0.0, 0.0, 0.0)
        self._point_size = max(frame.spacing, 1e-4)
        self._keep_program()
        # These are never drawn: the page reads from them how to paint.
        self._runs, self._light = (
            server.scene.add_point_cloud(name, told, (0, 0, 0), visible=False, precision="float32")
            for name, told in (("/runs", AS_GIVEN), ("/light", ALL_BRIGHT))
        )

        def clicked(event: viser.SceneClickEvent) -> None:
            add = event.modifier is not None
            self._act("ray", origin=event.ray_origin, direction=event.ray_direction, add=add)

        server.scene.on_click()(clicked)
        server.scene.on_click(modifier="shift")(clicked)
        server.scene.on_click(modifier="cmd/ctrl")(clicked)

    def _keep_program(self) -> None:
        """Draw points that nobody sees, so that browsers do not compile the shader of points at every recolouring."""
        nowhere = np.full((2, 3), _NOWHERE, np.float32)
        black, size = np.zeros((2, 3), np.uint8), self._point_size
        self._server.scene.add_point_cloud("/kept", nowhere, black, point_size=size, precision="float32")

    def _add_views(self, views: Sequence[str], fields: bool) -> None:
        gui = self._server.gui
        self._view = gui.add_dropdown("Camera", (_FREE, *views), hint="whose pictures are shown below")
        self._view.on_update(lambda event: self._send(event, "view", index=self.view))
        show = gui.add_button("Show pictures", hint="photo, labels, depth, normals, features of this camera")
        show.on_click(lambda event: self._send(event, "pictures", index=self.view))
        fly = gui.add_button("Look from this camera", hint="move the view there")
        fly.on_click(lambda event: self._send(event, "fly", index=self.view))
        hint = "needs PyTorch; seconds without a GPU" if fields else "this run has none"
        self._field = gui.add_checkbox("From the radiance field", False, disabled=not fields, hint=hint)
        self._field.on_update(lambda event: self._send(event, "pictures", index=self.view))
        self.pictures = gui.add_html("")

    def _add_cameras(self, count: int) -> None:
        hint = "where the pictures were taken from; click one to look from there"
        self._cameras = self._server.gui.add_checkbox(
            "Cameras in the scene", 0 < count <= MOST, disabled=count == 0, hint=hint
        )
        self._cameras.on_update(lambda event: self._send(event, "cameras"))

    def _add_export(self) -> None:
        gui = self._server.gui
        gui.add_html(
            '<div class="uf-help"><p>What is selected, or everything if nothing is: one ZIP file with a folder for '
            "each segment, in your frame and units.</p></div>"
        )
        format_ = gui.add_dropdown("Format", FORMATS, hint="meshes and pictures need the views of the run")
        button = gui.add_button("Download")
        button.on_click(lambda event: self._act("export", to=format_.value, client=event.client))

    def _add_display(self) -> None:
        gui = self._server.gui
        size = gui.add_slider("Point size", 0.2, 4.0, 0.1, 1.0)

        @size.on_update
        def _(_: Any) -> None:
            if self._cloud is not None:
                self._cloud.point_size = self._point_size * size.value

    # What the user chose

    @property
    def view(self) -> int:
        """Index of the camera chosen; −1 for the window's own."""
        return self._view.options.index(self._view.value) - 1

    @property
    def wants_field(self) -> bool:
        """Whether pictures are to come from the radiance field."""
        return bool(self._field.value)

    @property
    def shows_cameras(self) -> bool:
        """Whether the run's cameras are to be seen in the scene."""
        return bool(self._cameras.value)

    def eye(self) -> tuple[np.ndarray, np.ndarray, float, float] | None:
        """Rotation (quaternion), place, field of view and aspect of the last window; None if there is none."""
        clients = list(self._server.get_clients().values())
        for client in clients[::-1]:
            camera = client.camera
            try:
                return np.array(camera.wxyz), np.array(camera.position), float(camera.fov), float(camera.aspect)
            except AssertionError:  # a window that has not said yet where it looks from
                continue
        return None

    # What is shown

    def show_points(self, points: np.ndarray, colors: np.ndarray) -> None:
        """Show points anew.

        Args:
            points: Which, frame shown [n, 3], float32.
            colors: Their colours [n, 3], uint8.
        """
        if len(points) == 0:  # a cloud of no points is none to viser
            if self._cloud is not None:
                self._cloud.visible = False
            return
        size = self._point_size if self._cloud is None else self._cloud.point_size
        self._runs.points, self._light.points = AS_GIVEN, ALL_BRIGHT
        self._cloud = self._server.scene.add_point_cloud(
            "/points",
            points,
            colors,
            point_size=size,
            point_shape="square",
            point_shading="flat",
            precision="float32",
        )
        self._server.flush()

    def recolor(self, colors: np.ndarray) -> None:
        """Give the points that are shown other colours [n, 3], uint8."""
        self._runs.points, self._light.points = AS_GIVEN, ALL_BRIGHT
        self._cloud.colors = colors
        self._server.flush()

    def paint(self, runs: np.ndarray, light: np.ndarray, photo: np.ndarray | None) -> None:
        """Let the page paint the points that are shown; what it was told already is not sent again.

        Args:
            runs: See `Painter.runs` [R, 3], float32.
            light: See `Painter.light` [1 + S, 3], float32.
            photo: The photographs' colours [n, 3], uint8; None if the page has them, or needs none.
        """
        if photo is not None:
            self._cloud.colors = photo
        self._runs.points, self._light.points = runs, light
        self._server.flush()

    def show_cameras(self, colors: np.ndarray) -> None:
        """Draw the run's cameras if the user wants them, in colours of their lines [E, 2, 3], uint8."""
        if self._drawn_cameras is not None:
            self._drawn_cameras.visible = self.shows_cameras
        if not self.shows_cameras:
            return
        if self._drawn_cameras is None:
            self._drawn_cameras = self._server.scene.add_line_segments(
                "/cameras", self._camera_lines, colors, thickness=1.2, thickness_units="screen"
            )
        self._drawn_cameras.colors = colors

    def show_box(self, low: np.ndarray | None, high: np.ndarray | None) -> None:
        """Draw a box, user's frame; None takes it away."""
        if low is None or high is None:
            self._server.scene.remove_by_name("/box")
            return
        edges = self._frame.shown(box_edges(low, high))
        self._server.scene.add_line_segments(
            "/box", edges.astype(np.float32), _BOX_COLOR, thickness=2.0, thickness_units="screen"
        )

    def show_scale(self, position: float, marks: np.ndarray) -> None:
        """Replace the slider by one with other marks."""
        self._slider.remove()
        self._add_slider(position, marks)

    def show_view(self, index: int) -> None:
        """Choose a camera in the list."""
        self._view.value = self._view.options[index + 1]  # type: ignore[misc]

    def fly_to(self, camera: Cameras) -> None:
        """Let all windows look through a camera of the frame shown."""
        pose, focal = camera.c2w[0], camera.intrinsics[0, 1]
        fov = 2.0 * np.arctan(0.5 * float(camera.sizes[0, 1]) / focal)
        ahead = pose[:, 3] + pose[:, 2] * max(0.3, float(np.linalg.norm(pose[:, 3])))
        self._place(quaternion(pose[:, :3]), pose[:, 3], ahead, float(np.clip(fov, 0.1, 2.5)))

    def fly_around(self, low: np.ndarray, high: np.ndarray) -> None:
        """Let all windows look at a box of the user's frame from where they are."""
        low, high = self._frame.shown(low), self._frame.shown(high)
        middle, half = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 4 * self._frame.spacing)
        eye = self.eye()
        away = np.array([0.5, -0.7, 0.5]) if eye is None else eye[1] - middle
        away = away / max(float(np.linalg.norm(away)), 1e-9)
        self._place(None, middle + away * half * _AWAY, middle, _VIEW_ANGLE)

    def _place(self, wxyz: Any, position: np.ndarray, look_at: np.ndarray, fov: float) -> None:
        for client in self._server.get_clients().values():
            try:
                with client.atomic():
                    client.camera.up_direction = (0.0, 0.0, 1.0)
                    if wxyz is not None:
                        client.camera.wxyz = wxyz
                    client.camera.position = tuple(position)
                    client.camera.look_at = tuple(look_at)
                    client.camera.fov = fov
            except (AssertionError, ValueError):  # a window that has just opened, or a view straight down
                continue

    def _send(self, event: Any, name: str, **arguments: Any) -> None:
        if event.client is not None:  # else it was not the user but this program that chose
            self._act(name, **arguments)
