"""The page of a batch: one row for each scene, with its figures, a sparkline and a link to its own report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

import numpy as np

from .document import headline_item, html_document, page_section

_WIDTH, _HEIGHT = 96, 24  # of a sparkline
_VERDICTS = {"done": "good", "kept": "note", "failed": "low"}


@dataclass(frozen=True)
class SceneRow:
    """A scene of a batch.

    Attributes:
        name: Name of its run folder, which lies beside the page.
        scene: Where its pictures lie.
        state: "done", "kept" or "failed".
        reason: Why it failed, in one line.
        seconds: What it took.
        node: The machine that did it.
        cells: Its figures by the titles of their columns, as they are shown.
        losses: Colour error along the training, positive.
    """

    name: str
    scene: str
    state: str
    reason: str
    seconds: float
    node: str
    cells: Mapping[str, str] = field(default_factory=dict)
    losses: Sequence[float] = ()


@dataclass(frozen=True)
class BatchContent:
    """What the page of a batch shows.

    Attributes:
        title: Name of the folder of runs.
        subtitle: One line on how it was done.
        rows: The scenes.
        columns: Titles of the figures.
        headline: The few figures at the top, each with a caption.
    """

    title: str
    subtitle: str
    rows: Sequence[SceneRow]
    columns: Sequence[str]
    headline: Sequence[tuple[str, str]]


def batch_html(content: BatchContent) -> str:
    """The page as one HTML document: no request to anywhere, light and dark, links to the runs' own reports."""
    failed = [row for row in content.rows if row.state == "failed"]
    sections = [_failures(failed)] if failed else []
    sections.append(_scenes(content))
    links = [("failures", "What failed")] if failed else []
    links.append(("scenes", "Scenes"))
    count, good = len(content.rows), len(content.rows) - len(failed)
    return html_document(
        title=content.title,
        mark="ultrafield batch",
        subtitle=content.subtitle,
        headline="".join(headline_item(*pair) for pair in content.headline),
        summary=f"{good} of {count} scenes {'is' if good == 1 else 'are'} finished.",
        navigation="".join(f'<a href="#{key}">{title}</a>' for key, title in links),
        body="".join(sections),
    )


def sparkline(values: Sequence[float], caption: str) -> str:
    """A small curve as SVG, on a logarithmic axis; nothing where there are fewer than two values."""
    if len(values) < 2:
        return ""
    logs = np.log10(np.maximum(np.asarray(values, np.float64), 1e-12))
    span = max(float(logs.max() - logs.min()), 1e-6)
    x = 2 + (_WIDTH - 4) * np.arange(len(logs)) / (len(logs) - 1)
    y = 2 + (_HEIGHT - 4) * (logs.max() - logs) / span
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    label = f"{caption}: from {values[0]:.3g} to {values[-1]:.3g}"
    return (
        f'<svg class="spark" role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}"><polyline class="line" points="{points}"/></svg>'
    )


def _failures(rows: Sequence[SceneRow]) -> str:
    items = "".join(
        f'<li class="figure low"><h3 dir="auto">{escape(row.name)}</h3><p>{escape(row.reason)}</p></li>' for row in rows
    )
    lead = (
        "Nothing of the other scenes depends on these. The same command tries them again and leaves the others alone."
    )
    return page_section("failures", "What failed", lead, f'<ul class="figures">{items}</ul>')


def _scenes(content: BatchContent) -> str:
    longest = max((row.seconds for row in content.rows), default=1.0) or 1.0
    titles = "".join(f'<th scope="col" class="number">{escape(title)}</th>' for title in content.columns)
    rows = "".join(_row(row, content.columns, longest) for row in content.rows)
    table = (
        '<div class="scroll" tabindex="0" role="group" aria-label="Scenes"><table><thead><tr><th scope="col">Scene</th>'
        '<th scope="col">State</th><th scope="col" class="number">Seconds</th><td aria-hidden="true"></td>'
        f'<th scope="col">Colour error</th>{titles}<th scope="col">Machine</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    lead = "A name leads to the report of the run. Seconds are those of the whole scene in its worker."
    return page_section("scenes", "Scenes", lead, table)


def _row(row: SceneRow, columns: Sequence[str], longest: float) -> str:
    name, title = escape(row.name), escape(row.scene, quote=True)
    if row.state != "failed":
        name = f'<a href="{escape(quote(row.name), quote=True)}/report.html">{name}</a>'
    length = f'<span style="width:{100.0 * row.seconds / longest:.1f}%"></span>'
    bar = f'<td class="room small" aria-hidden="true"><span class="bar">{length}</span></td>'
    cells = "".join(f'<td class="number">{escape(row.cells.get(column, "–"))}</td>' for column in columns)
    return (
        f'<tr class="outer"><th scope="row" dir="auto" title="{title}">{name}</th>'
        f'<td class="{_VERDICTS[row.state]}"><span class="verdict">{escape(row.state)}</span></td>'
        f'<td class="number">{row.seconds:.1f}</td>'
        f"{bar}<td>{sparkline(row.losses, 'Colour error')}</td>{cells}<td>{escape(row.node)}</td></tr>"
    )
