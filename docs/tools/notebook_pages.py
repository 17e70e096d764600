"""Notebooks as pages of the site: their text, code and stored outputs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def notebook_page(file: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and the pictures that the page shows, by their names."""
    pictures: dict[str, bytes] = {}
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    parts = [part for cell in cells for part in _cell(cell, file.stem, pictures)]
    title, _, rest = parts[0].partition("\n\n")
    note = f"The notebook itself: [{file.name}]({file.name}){{: download }}"
    return "\n\n".join([title, note, rest, *parts[1:]]) + "\n", pictures


def _cell(cell: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    source = "".join(cell["source"]).strip()
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            name = f"{stem}_{len(pictures)}.png"
            pictures[name] = base64.b64decode("".join(data["image/png"]))
            yield f"![What the code above draws]({name})"
        elif text := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
            yield f"```text\n{text}\n```"
