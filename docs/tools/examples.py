"""Examples of docstrings as sections of their own; without a heading, Markdown takes `>>>` for a quotation."""

from __future__ import annotations

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Puts the heading that Google's style asks for before the examples of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for everything that is read from the source."""
        if obj.docstring is not None:
            obj.docstring.value = with_headings(obj.docstring.value)


def with_headings(text: str) -> str:
    """A docstring whose unindented examples have a heading."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.startswith(">>>") and not inside:
            lines.append("Examples:")
            inside = True
        elif not line:
            inside = False
        lines.append(f"    {line}" if inside else line)
    return "\n".join(lines)
