"""`ultrafield view`: a run in the browser."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated

import tyro

from ..config.ranges import Range, check_settings
from ..pipeline.console import Report
from .options import MEMORY, MemoryLimit, RunArgument, Switch

_LIMITS = MEMORY | {"port": Range(0, 65535), "smallest": Range(1, 1 << 40)}


@dataclass(frozen=True)
class View(MemoryLimit):
    """Look at a run in the browser: browse the tree, select by a click, correct, name, measure and take away.

    Needs no GPU, and PyTorch only to show the radiance field. Edits are stored in RUN/edits.json at once.

    Attributes:
        run: Run folder that `ultrafield segment` wrote.
        host: Address to listen at; anyone who can reach it can look at the run and edit it.
        port: Port to listen at; 0 takes a free one.
        smallest: Points that a segment needs for a row and a step; a thousandth of all if not given.
        open: Open the page in the browser of this machine.
    """

    run: RunArgument
    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    port: int = 8080
    smallest: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    open: Switch = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, _LIMITS)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Serve the page until the process is interrupted."""
        from ..extras import require
        from ..viewer.app import Viewer
        from ..viewer.guard import is_loopback
        from ..viewer.storage import open_for_viewing

        require("viser", "view")  # before a large run is read
        report = Report()
        with report.stage("open"):
            opened = open_for_viewing(self.run)
            viewer = Viewer(opened, self.host, self.port, min_size=self.smallest)
        for remark in opened.remarks:
            report.note(remark)
        if not is_loopback(self.host):
            report.note(f"anyone who can reach {self.host} can look at this run and edit it")
        address = f"[{self.host}]" if ":" in self.host else self.host
        url = f"http://{address}:{viewer.port}"
        report.result(f"{url}  (Ctrl-C ends it)")
        if self.open:
            import webbrowser

            webbrowser.open(url)
        threading.Event().wait()
