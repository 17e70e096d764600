"""Things that lie where a file should be."""

from __future__ import annotations

import os
from pathlib import Path


def put_odd(file: Path, kind: str) -> None:
    """Put something odd in place of a file, if there is one.

    Args:
        file: Where to put it.
        kind: A "folder", a "fifo", a "link" to nothing, a "loop" of a link to itself, or an "empty" file.
    """
    file.unlink(missing_ok=True)
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to("nowhere")
    elif kind == "loop":
        file.symlink_to(file)
    elif kind == "empty":
        file.touch()
    else:
        raise ValueError(kind)
