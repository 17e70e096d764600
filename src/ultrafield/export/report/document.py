"""The frame that all pages share: one HTML document that asks for nothing from anywhere, light and dark."""

from __future__ import annotations

from html import escape
from importlib.resources import files

# Nothing is asked for from anywhere, whatever stands in names and settings.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"


def html_document(
    *, title: str, mark: str, subtitle: str, headline: str, summary: str, navigation: str, body: str
) -> str:
    """A page; `title`, `subtitle` and `summary` are plain text, the other parts HTML."""
    here = files(__package__)
    style, script = (here.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} – {mark}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<p class="mark">{mark}</p>
<h1 dir="auto">{escape(title)}</h1>
<p class="subtitle">{escape(subtitle)}</p>
<dl class="headline">{headline}</dl>
<p class="summary">{escape(summary)}</p>
<nav aria-label="Sections">{navigation}</nav>
</header>
<main id="main">
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def headline_item(value: str, caption: str) -> str:
    """A figure at the top of a page."""
    return f"<div><dt>{escape(caption)}</dt><dd>{escape(value)}</dd></div>"


def page_section(key: str, title: str, lead: str, inner: str) -> str:
    """A section with its heading and a sentence on what it shows; `inner` is HTML."""
    return (
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{escape(title)}</h2>'
        f'<p class="lead">{escape(lead)}</p>{inner}</section>'
    )
