"""batch.html: what came of all scenes, beside their run folders."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from .. import __version__
from ..errors import RunError
from ..export.report.batch_page import BatchContent, SceneRow, batch_html
from .entries import RESERVED
from .outcome import Outcome
from .storage import base_name, joined, read_beside, write_beside

PAGE = RESERVED[1]
_OURS = b'<p class="mark">ultrafield batch</p>'  # in every page that a batch has written
_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "points": ("Points", lambda value: f"{value:,.0f}"),
    "levels": ("Levels", lambda value: f"{value:.0f}"),
    "mask_iou": ("Mask IoU", lambda value: f"{value:.3f}"),
    "psnr": ("PSNR", lambda value: f"{value:.1f}"),
    "nc": ("NC", lambda value: f"{value:.3f}"),
    "vc": ("VC", lambda value: f"{value:.3f}"),
}


def check_page(out: str) -> None:
    """Raise `RunError` if what lies where the page is to be written is no page of a batch."""
    content = read_beside(out, PAGE)
    if content is not None and _OURS not in content:
        raise RunError(f"{joined(out, PAGE)}: is not of a batch; move it away, or give --out another folder")


def write_page(out: str, outcomes: Sequence[Outcome]) -> None:
    """Write batch.html."""
    columns = [title for key, (title, _) in _COLUMNS.items() if any(key in outcome.figures for outcome in outcomes)]
    content = BatchContent(
        title=base_name(out),
        subtitle=f"ultrafield {__version__}, {len(outcomes)} run folders",
        rows=[_scene_row(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.name)],
        columns=columns,
        headline=_headline(outcomes),
    )
    write_beside(out, PAGE, batch_html(content).encode("utf-8", "replace"))


def _scene_row(outcome: Outcome) -> SceneRow:
    cells = {title: show(outcome.figures[key]) for key, (title, show) in _COLUMNS.items() if key in outcome.figures}
    return SceneRow(
        outcome.name,
        outcome.scene,
        outcome.state,
        outcome.reason,
        outcome.seconds,
        outcome.node,
        cells,
        outcome.losses,
    )


def _headline(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    finished = [outcome for outcome in outcomes if outcome.state != "failed"]
    figures = [(str(len(finished)), "scenes finished"), (str(len(outcomes) - len(finished)), "failed")]
    done = [outcome.seconds for outcome in finished]
    if done:
        figures.append((f"{statistics.median(done):.1f} s", "a scene, median"))
    for key, caption in (("nc", "mean NC"), ("vc", "mean VC"), ("mask_iou", "mean IoU of the masks")):
        values = [outcome.figures[key] for outcome in finished if key in outcome.figures]
        if values:
            figures.append((f"{statistics.fmean(values):.3f}", caption))
    return figures
