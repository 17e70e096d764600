"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..segments import Segments

Verdict = Literal["good", "fair", "low", "note"]


@dataclass(frozen=True)
class Figure:
    """A figure in plain words.

    Attributes:
        title: What it is.
        value: As it is shown.
        verdict: How good it is; "note" where that cannot be said.
        meaning: What it says, in a sentence.
        advice: What to do where it is low.
        share: The figure as a part of 1, for a bar; None for none.
    """

    title: str
    value: str
    verdict: Verdict
    meaning: str
    advice: str
    share: float | None = None


@dataclass(frozen=True, eq=False)
class ViewMaps:
    """A view with its label maps.

    Attributes:
        title: Split and name.
        photo: [H, W, 3], uint8.
        labels: Lasting ids at every level of the segments [L, h, w], int32; −1 for none.
    """

    title: str
    photo: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity over the steps of a training.

    Attributes:
        title: What it is.
        steps: [K], ascending.
        values: [K], positive.
    """

    title: str
    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Period:
    """What a stage took.

    Attributes:
        title: The stage.
        seconds: Wall time.
        bytes: Most memory that the process had held by its end; None where that is not known.
        inner: Whether it is part of the stage before it that is not.
    """

    title: str
    seconds: float
    bytes: int | None = None
    inner: bool = False


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything that a report shows.

    Attributes:
        title: Name of the scene.
        subtitle: One line: engine, preset, views, points.
        headline: The few figures at the top, each with a caption.
        summary: What can be said of the result in a sentence.
        segments: The tree, cut at its levels.
        views: Views with label maps; thumbnails are cut out of them.
        shown: How many of the views are shown large.
        figures: What can be trusted.
        curves: Training curves.
        periods: Times and memory.
        settings: Every setting, by name.
        versions: What it was made with, by name.
    """

    title: str
    subtitle: str
    headline: tuple[tuple[str, str], ...]
    summary: str
    segments: Segments
    views: tuple[ViewMaps, ...]
    shown: int = 4
    figures: tuple[Figure, ...] = ()
    curves: tuple[Curve, ...] = ()
    periods: tuple[Period, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
