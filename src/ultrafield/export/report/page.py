"""The page itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np

from ...parallel import in_threads
from .charts import curve_chart, dendrogram
from .content import Figure, Period, ReportContent, ViewMaps
from .document import headline_item, html_document, page_section
from .pictures import map_uri, photo_uri, thumbnails
from .tree_list import tree_list

_THUMBNAILS = 150
_LISTED = 10  # segments of a level beside its pictures
_WORDS = {"good": "good", "fair": "fair", "low": "low", "note": "for information"}


def report_html(content: ReportContent) -> str:
    """A report as one HTML document: no request to anywhere, light and dark, usable by keyboard and without scripts."""
    sections = [_views(content), _trust(content), _tree(content), _dendrogram(content), _training(content)]
    sections += [_periods(content), _settings(content)]
    body = "".join(section for section in sections if section)
    return html_document(
        title=content.title,
        mark="ultrafield report",
        subtitle=content.subtitle,
        headline="".join(headline_item(*pair) for pair in content.headline),
        summary=content.summary,
        navigation=_links(body),
        body=body,
    )


def _links(body: str) -> str:
    """Links to the sections that there are."""
    titles = {
        "views": "Views", "trust": "Trust", "tree-section": "Tree", "dendrogram": "Dendrogram",
        "training": "Training", "time": "Time", "settings": "Settings",
    }  # fmt: skip
    return "".join(f'<a href="#{key}">{title}</a>' for key, title in titles.items() if f'id="{key}"' in body)


def _views(content: ReportContent) -> str:
    levels, segments = content.segments.levels, content.segments
    if not content.views or not levels:
        return ""
    start = len(levels) // 2
    counts = [int(segments.member[:, level].sum()) for level in range(len(levels))]
    substantial = [
        int((segments.member[:, level] & (segments.sizes >= segments.least)).sum()) for level in range(len(levels))
    ]
    facts = [
        f"Level {at} of {len(levels) - 1}: cut at height {level.height:.3f}, "
        f"{substantial[at] or counts[at]} segment{'' if (substantial[at] or counts[at]) == 1 else 's'}"
        for at, level in enumerate(levels)
    ]
    slider = (
        '<div class="controls"><div><label for="level">Granularity</label>'
        f'<input id="level" type="range" min="0" max="{len(levels) - 1}" step="1" value="{start}" '
        f'aria-describedby="level-facts" data-facts="{escape(json.dumps(facts), quote=True)}">'
        f'<span class="ends" aria-hidden="true"><span>whole scene</span><span>small parts</span></span></div>'
        '<div><label for="blend">Photograph</label>'
        '<input id="blend" type="range" min="0" max="100" step="5" value="30">'
        '<span class="ends" aria-hidden="true"><span>segments only</span><span>photograph only</span></span>'
        "</div></div>"
        f'<p id="level-facts" class="level-facts" role="status">{escape(facts[start])}</p>'
    )
    pictures = "".join(in_threads(lambda view: _view(content, view, start), content.views[: content.shown]))
    lists = "".join(_level_list(content, level, level == start) for level in range(len(levels)))
    lead = "A segment has one colour in every view and at every level; parts are shades of their object."
    return page_section("views", "Segments in the views", lead, f'{slider}<div class="views">{pictures}</div>{lists}')


def _view(content: ReportContent, view: ViewMaps, start: int) -> str:
    segments, title = content.segments, escape(view.title)
    maps = []
    for at, labels in enumerate(view.labels):
        uri = map_uri(segments.index_of(labels), segments.colors)
        hidden = "" if at == start else " hidden"
        maps.append(f'<img class="map" data-level="{at}" alt="Segments of {title} at level {at}" src="{uri}"{hidden}>')
    photo = f'<img class="photo" alt="Photograph {title}" src="{photo_uri(view.photo)}">'
    ratio = f"{view.photo.shape[1]} / {view.photo.shape[0]}"
    stack = f'<div class="stack" style="aspect-ratio:{ratio}">{photo}{"".join(maps)}</div>'
    return f"<figure>{stack}<figcaption>{title}</figcaption></figure>"


def _level_list(content: ReportContent, level: int, shown: bool) -> str:
    segments = content.segments
    members = np.flatnonzero(segments.member[:, level] & (segments.sizes >= segments.least))
    members = members[np.argsort(-segments.sizes[members], kind="stable")]
    chips = "".join(
        f'<li><span class="dot" style="background:#{bytes(segments.colors[index].tolist()).hex()}"></span>'
        f'<span dir="auto">{escape(segments.place(index))}</span></li>'
        for index in members[:_LISTED].tolist()
    )
    more = f"<li>and {len(members) - _LISTED:,} more</li>" if len(members) > _LISTED else ""
    hidden = "" if shown else " hidden"
    label = f"Largest segments at level {level}"
    return f'<ul class="chips" data-level="{level}" aria-label="{label}"{hidden}>{chips}{more}</ul>'


def _trust(content: ReportContent) -> str:
    if not content.figures:
        return ""
    rows = "".join(_figure(figure) for figure in content.figures)
    lead = "What the run knows about its own quality, and what helps where a figure is low."
    return page_section("trust", "How far to trust it", lead, f'<ul class="figures">{rows}</ul>')


def _figure(figure: Figure) -> str:
    bar = ""
    if figure.share is not None:
        width = 100.0 * min(max(figure.share, 0.0), 1.0)
        bar = f'<span class="bar" aria-hidden="true"><span style="width:{width:.1f}%"></span></span>'
    advice = f'<p class="advice"><strong>What helps:</strong> {escape(figure.advice)}</p>' if figure.advice else ""
    return (
        f'<li class="figure {figure.verdict}"><h3>{escape(figure.title)}</h3>'
        f'<p class="value">{escape(figure.value)} <span class="verdict">{_WORDS[figure.verdict]}</span></p>{bar}'
        f"<p>{escape(figure.meaning)}</p>{advice}</li>"
    )


def _tree(content: ReportContent) -> str:
    tree = content.segments.without_crumbs()
    listed, count = tree_list(tree, thumbnails(tree, content.views, _THUMBNAILS))
    note = "" if count == len(tree) else f" The {count:,} largest of {len(tree):,} nodes are listed."
    search = (
        '<div class="search"><label for="find">Find a name or an id</label>'
        '<input id="find" type="search" autocomplete="off"><span id="find-count" role="status"></span></div>'
    )
    lead = f"Open a segment to see its parts. Sizes are surface points; names come from ultrafield name.{note}"
    return page_section("tree-section", "The tree", lead, search + listed)


def _dendrogram(content: ReportContent) -> str:
    lead = (
        "The farther to the left two branches meet, the less they belong together. Dashed lines are the levels, with "
        "their heights."
    )
    chart = dendrogram(content.segments)
    return page_section(
        "dendrogram",
        "Dendrogram",
        lead,
        f'<div class="scroll" tabindex="0" role="group" aria-label="Dendrogram">{chart}</div>',
    )


def _training(content: ReportContent) -> str:
    if not content.curves:
        return ""
    charts = "".join(
        f"<figure><figcaption>{escape(curve.title)}</figcaption>{curve_chart(curve)}</figure>"
        for curve in content.curves
    )
    lead = "Losses on a logarithmic axis; all of them should fall and level out."
    return page_section("training", "Training", lead, f'<div class="curves">{charts}</div>')


def _periods(content: ReportContent) -> str:
    if not content.periods:
        return ""
    longest = max(period.seconds for period in content.periods) or 1.0
    rows = "".join(_period(period, longest) for period in content.periods)
    table = (
        '<div class="scroll" tabindex="0" role="group" aria-label="Time and memory"><table><thead><tr>'
        '<th scope="col">Stage</th><th scope="col" class="number">Seconds</th><td aria-hidden="true"></td>'
        f'<th scope="col" class="number">Memory</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
    lead = "Wall time of each stage, whenever it was done. Memory is the most that the process had held by its end."
    return page_section("time", "Time and memory", lead, table)


def _period(period: Period, longest: float) -> str:
    memory = "–" if period.bytes is None else f"{period.bytes / 1e9:.2f} GB"
    width = 100.0 * period.seconds / longest
    return (
        f'<tr class="{"inner" if period.inner else "outer"}"><th scope="row">{escape(period.title)}</th>'
        f'<td class="number">{period.seconds:.1f}</td>'
        f'<td class="room" aria-hidden="true"><span class="bar"><span style="width:{width:.1f}%"></span></span></td>'
        f'<td class="number">{memory}</td></tr>'
    )


def _settings(content: ReportContent) -> str:
    versions = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in content.versions.items()
    )
    settings = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in _flat(content.settings))
    inner = (
        f'<dl class="pairs">{versions}</dl>'
        f'<details class="all"><summary>All settings</summary><dl class="pairs">{settings}</dl></details>'
    )
    return page_section("settings", "Settings and versions", "What made this result, to make it again.", inner)


def _flat(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings within settings by their dotted names."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "–" if value is None else str(value)
