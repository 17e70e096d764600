"""The panel's HTML. Every text that comes from names or files is escaped here: it is shown, never run."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from ..io import encode_image
from ..names import MAX_TITLE
from .measuring import Measure
from .outline import Row
from .session import Session

_SIDES = 90  # quality of JPEG files
_LESS = frozenset({"height", "box, turned", "from, to", "area"})  # left out in low windows
_EXTRA = ' class="uf-extra"'


def rows_html(session: Session, rows: Sequence[Row], thumbnails: Mapping[int, str], current: int) -> str:
    """The tree panel.

    Args:
        session: Whose nodes.
        rows: The rows that are open.
        thumbnails: Pictures as data URIs, by lasting id.
        current: The row that stands for the selection; −1 for none.
    """
    lines = [_row_html(session, row, thumbnails.get(row.node, ""), row.node == current) for row in rows]
    content = "".join(lines) or '<p class="uf-none">Nothing has this name.</p>'
    return f'<div class="uf-tree" id="uf-tree" role="tree" aria-label="Segments">{content}</div>'


def _row_html(session: Session, row: Row, picture: str, current: bool) -> str:
    left = f'style="padding-left:{0.3 + 0.9 * min(row.depth, 12):.1f}em"'
    if row.node < 0:
        count, above = row.more
        act, which = ("earlier", "larger") if row.earlier else ("more", "more")
        more = f"… {count:,} {which} parts"
        return f'<div class="uf-row uf-more" tabindex="0" {left} data-act="{act}" data-node="{above}">{more}</div>'
    color = "#" + "".join(f"{value:02x}" for value in session.colors[session.node(row.node)].tolist())
    image = f'<img alt="" src="{escape(picture)}">' if picture else ""
    sign = ("▾" if row.opened else "▸") if row.has_parts else "·"
    act = f' data-act="toggle" data-node="{row.node}"' if row.has_parts else ""
    name = f"<b dir=auto>{escape(row.name)}</b>" if row.name else f"<span>segment {row.node}</span>"
    if row.nearly and not row.name:
        name = f'<span dir=auto title="most of it is {escape(row.nearly)}">≈ {escape(row.nearly)}</span>'
    opened = f' aria-expanded="{"true" if row.opened else "false"}"' if row.has_parts else ""
    hidden = " uf-hidden" if row.node in session.hidden else ""
    selected = "true" if row.node in session.selected else "false"
    state = " uf-current" if current or selected == "true" else ""
    return (
        f'<div class="uf-row{state}{hidden}" {left} role="treeitem" tabindex="0" aria-selected="{selected}"{opened} '
        f'data-act="select" data-node="{row.node}">'
        f'<i class="uf-sign"{act}>{sign}</i><i class="uf-thumb" style="border-color:{color}">{image}</i>'
        f'<span class="uf-name">{name}<small>{row.size:,} points</small></span>'
        f'<i class="uf-bar" title="stability"><i style="width:{100 * row.stability:.0f}%"></i></i></div>'
    )


def selection_html(session: Session, measured: Measure | None, view: str, *, locked: bool = False) -> str:
    """What is selected: name, place in the tree, size in the user's units, best view."""
    cut = "opened by hand" if session.is_mixed else f"cut at height {session.height:.4g}"
    shown = f"<p>{len(session.segments_along):,} segments, {cut}</p>"
    if measured is None:
        hint = "Click a point to select its segment. Shift and click adds one."
        body = f"<p><b>Nothing selected</b></p><p>{hint}</p>{shown}"
        return f'<div class="uf-facts" id="uf-selection" data-node="-1">{body}</div>'
    lasting = session.selected[0]
    node = session.node(lasting)
    more = f" and {len(session.selected) - 1} more" if len(session.selected) > 1 else ""
    lengths = " × ".join(f"{edge:.3g}" for edge in measured.size.tolist())
    turned = " × ".join(f"{edge:.3g}" for edge in measured.lengths.tolist())
    low, high = (", ".join(f"{value:.4g}" for value in corner.tolist()) for corner in (measured.low, measured.high))
    facts = {
        "points": f"{measured.points:,} ({measured.points / len(session.surface):.1%})",
        "height": f"{session.tree.heights[node]:.4g}",
        "box": lengths,
        "box, turned": turned,
        "from, to": f"({low}), ({high})",
        "area": f"≈ {measured.area:.3g}",
        "best view": escape(view) or "–",
    }
    rows = "".join(
        f"<tr{_EXTRA if name in _LESS else ''}><th>{name}</th><td>{value}</td></tr>" for name, value in facts.items()
    )
    return (
        f'<div class="uf-facts" id="uf-selection" data-node="{lasting}" data-size="{measured.points}">'
        f"<p><b dir=auto>{escape(session.title(lasting))}</b> <small>#{lasting}{more}</small></p>"
        f"{_name_field(session, lasting, locked)}"
        f"<table>{rows}</table><p>{_path_html(session, lasting)}</p>{shown}</div>"
    )


def _name_field(session: Session, lasting: int, locked: bool) -> str:
    if locked:
        return ""
    name = escape(session.edits.names.get(lasting, ""))
    return (
        f'<input id="uf-name" data-act="rename" dir="auto" maxlength="{MAX_TITLE}" value="{name}" '
        'placeholder="name it" aria-label="Name of the segment" autocomplete="off">'
    )


def _path_html(session: Session, lasting: int) -> str:
    """The named nodes around a node, from the largest."""
    node, hierarchy = session.node(lasting), session.hierarchy
    around = [int(session.ids[hierarchy.nodes[entry]]) for entry in hierarchy.path(hierarchy.entry(node))]
    named = [other for other in around[::-1] if other in session.edits.names and session.node(other) > node]
    links = [f'<a data-act="select" data-node="{other}" dir=auto>{escape(session.title(other))}</a>' for other in named]
    return " › ".join([*links, f"<span dir=auto>{escape(session.title(lasting))}</span>"]) if links else ""


def pictures_html(title: str, pictures: Mapping[str, np.ndarray], note: str) -> str:
    """Pictures of a camera side by side; a click on any of them selects what the pixel shows."""
    figures = "".join(
        f'<figure><img alt="{name}" data-act="pixel" src="{_uri(picture)}"><figcaption>{name}</figcaption></figure>'
        for name, picture in pictures.items()
    )
    foot = f"<p>{escape(note)}</p>" if note else ""
    return f'<div class="uf-views" id="uf-views"><p><b dir=auto>{escape(title)}</b></p>{figures}{foot}</div>'


def status_html(text: str, kind: str) -> str:
    """A line that says what was done or why it was not; kind is "good", "bad" or "plain"."""
    return f'<div class="uf-status uf-{kind}" id="uf-status" role="status">{escape(text)}</div>'


def _uri(picture: np.ndarray) -> str:
    data = encode_image(".jpg", np.ascontiguousarray(picture), quality=_SIDES)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def tools_html(session: Session, *, photo: bool, locked: bool) -> str:
    """The buttons; those that make no sense now are grey."""
    some, several = bool(session.selected), len(session.selected) > 1
    tools = [
        ("climb", "Climb", "U", some),
        ("descend", "Descend", "J", some),
        ("best", "Best view", "B", some),
        ("deselect", "Clear", "Esc", some),
        ("hide", "Hide", "H", some),
        ("isolate", "Isolate", "I", some),
        ("all", "Show all", "V", bool(session.hidden or session.isolated)),
        ("colors", "Segments" if photo else "Photo", "C", True),
        ("open", "Open", "O", some),
        ("close", "Close", "L", some),
        ("merge", "Merge", "M", several and not locked),
        ("split", "Split", "X", some and not locked),
        ("undo", "Undo", "Z", bool(session.edits.operations) and not locked),
        ("redo", "Redo", "Y", bool(session.edits.undone) and not locked),
    ]
    buttons = "".join(
        f'<button type="button" data-act="{act}" id="uf-act-{act}"{"" if possible else " disabled"}>'
        f"{name}<kbd>{key}</kbd></button>"
        for act, name, key, possible in tools
    )
    return f'<div class="uf-bar-of-tools" id="uf-tools">{buttons}</div>'


_KEYS = {
    "Click": "select the segment of a point, in the scene or in a picture",
    "Shift + click": "add a segment, or give it up",
    "U · Page up": "climb: the next larger segment",
    "J · Page down": "descend: the next smaller one, towards the point clicked",
    "O · L": "open a segment into its parts, or close it to one, whatever the slider says",
    "H · I · V": "hide, isolate, show all",
    "N": "name it",
    "↑ ↓ ← → · Enter": "in the tree: walk, close and open, select",
    "M · X": "merge what is selected; keep the parts of a segment apart",
    "Z · Y": "undo, redo",
    "B": "the view that sees most of it",
    "C": "colours of the photographs or of segments",
    "Esc": "select nothing",
}
HELP = (
    '<div class="uf-help"><table>'
    + "".join(f"<tr><td><kbd>{key}</kbd></td><td>{text}</td></tr>" for key, text in _KEYS.items())
    + "</table><p>Names, merges and splits are stored in the run folder at once; later commands use them.</p></div>"
)
