"""Figures of a run in plain words: what they say, whether they are good, and what to do where they are low."""

from __future__ import annotations

from typing import Any

from ..export.report.content import Figure, Verdict
from ..export.segments import Segments


def headline(quality: dict[str, Any], metrics: dict[str, Any], segments: Segments) -> tuple[tuple[str, str], ...]:
    """The few figures at the top of a report, each with a caption."""
    figures = [(str(len(segments.levels)), "automatic levels")]
    large = segments.member & (segments.sizes >= segments.least)[:, None]
    counts = large.sum(axis=0).tolist()
    if counts:
        figures.append(
            (f"{min(counts):,} – {max(counts):,}" if len(counts) > 1 else f"{counts[0]:,}", "segments, coarse to fine")
        )
    found, agree = _get(quality, "masks", "found"), _agreement(quality)
    if found is not None:
        figures.append((f"{found:.0%}", "of the masks match a node"))
    if agree is not None:
        figures.append((f"{agree:.0%}", "same in neighbouring views"))
    for name, caption in (("nc", "NC, against ground truth"), ("vc", "VC, view consistency")):
        mean = _get(metrics, name, "mean")
        if mean is not None:
            figures.append((f"{mean:.3f}", caption))
    psnr = _get(metrics, "psnr", "mean")
    if psnr is not None:
        figures.append((f"{psnr:.1f} dB", "PSNR of held-out views"))
    return tuple(figures)


def trust_figures(quality: dict[str, Any], metrics: dict[str, Any]) -> tuple[Figure, ...]:
    """What is known of geometry and segmentation; figures that could not be measured are left out."""
    figures = [*_geometry(metrics), *_depth(quality), *_segmentation(quality), *_truth(metrics)]
    order = {"low": 0, "fair": 1, "good": 2, "note": 3}
    return tuple(sorted(figures, key=lambda figure: order[figure.verdict]))


def _geometry(metrics: dict[str, Any]) -> list[Figure]:
    figures = []
    psnr = _get(metrics, "psnr", "mean")
    if psnr is not None:
        advice = (
            "Longer training (--preset standard, or more --geometry.steps); check poses and exposure of the capture."
        )
        meaning = (
            "How closely rendered views resemble photographs that were held out. Blurred or foggy geometry lowers it."
        )
        figures.append(_of("Held-out pictures", psnr, f"{psnr:.1f} dB", (28.0, 22.0), meaning, advice, psnr / 40.0))
    off = _get(metrics, "depth", "off")
    if isinstance(off, dict) and off.get("2") is not None:
        share = 1.0 - float(off["2"])
        meaning = "Foreground pixels whose depth is right to within two pixel footprints."
        advice = (
            "More views of glossy, dark or plain surfaces; longer training; --geometry.depth-smooth if walls are bumpy."
        )
        figures.append(_of("Depth", share, f"{share:.1%}", (0.95, 0.85), meaning, advice, share))
    return figures


def _depth(quality: dict[str, Any]) -> list[Figure]:
    bad = _get(quality, "contradicted_depth")
    if bad is None:
        return []
    meaning = (
        "Surface pixels whose depth other views confirm, rather than looking through their place or not seeing it."
    )
    advice = "More views around what is glossy, dark or without texture; check the poses; longer training."
    return [_of("Depth of views", 1.0 - bad, f"{1.0 - bad:.1%}", (0.96, 0.85), meaning, advice, 1.0 - bad)]


def _segmentation(quality: dict[str, Any]) -> list[Figure]:
    figures = []
    found = _get(quality, "masks", "found")
    if found is not None:
        iou = _get(quality, "masks", "mean_iou")
        meaning = f"Masks for which some node has an IoU of at least one half{f' (mean IoU {iou:.2f})' if iou else ''}."
        advice = "Look at the masks first: views may contradict each other. Then at geometry, and at more views."
        figures.append(_of("Masks explained by the tree", found, f"{found:.1%}", (0.85, 0.65), meaning, advice, found))
    agree = _agreement(quality)
    if agree is not None:
        meaning = "What two neighbouring views both see has the same segment in both, over all levels."
        advice = "At fine levels only: borders move, take a coarser level. At all: geometry is wrong, train longer."
        figures.append(_of("Agreement of views", agree, f"{agree:.1%}", (0.93, 0.8), meaning, advice, agree))
    missing = quality.get("points_without_masks")
    if missing is not None:
        covered = 1.0 - float(missing)
        meaning = (
            "Surface points that lie in at least one mask. Elsewhere the engine lift guesses from the surroundings."
        )
        advice = "More masks (a finer mask generator), or --engine both, which features fill in."
        figures.append(_of("Points under masks", covered, f"{covered:.1%}", (0.95, 0.8), meaning, advice, covered))
    unlabelled = [value for value in (quality.get("unlabelled") or {}).values() if value is not None]
    if unlabelled:
        worst = 1.0 - max(map(float, unlabelled))
        meaning = "Surface pixels that have a label, in the split with the fewest."
        advice = (
            "These views show what no training view saw: add training views there, or raise --segment.label-radius."
        )
        figures.append(_of("Labelled pixels", worst, f"{worst:.1%}", (0.98, 0.9), meaning, advice, worst))
    crossing, pairs = _get(quality, "masks", "crossing_pairs"), _get(quality, "masks", "overlapping_pairs")
    if crossing is not None and pairs:
        share = 1.0 - crossing / pairs
        meaning = "Overlapping masks that one hierarchy can hold. The others cross: no tree fits both."
        advice = "The input itself disagrees; engines average over views. Cleaner masks help most."
        figures.append(_of("Masks that nest", share, f"{share:.1%}", (0.7, 0.4), meaning, advice, share))
    broken = _get(quality, "nesting", "broken_segments")
    if broken is not None:
        verdict: Verdict = "good" if broken == 0 else "low"
        advice = "" if broken == 0 else "This must not happen: please report it."
        meaning = f"Segments that leave their parent, over {_get(quality, 'nesting', 'cuts')} cuts; a tree has none."
        figures.append(Figure("Nesting", f"{broken} broken", verdict, meaning, advice))
    return figures


def _truth(metrics: dict[str, Any]) -> list[Figure]:
    figures = []
    names = (
        ("nc", "NC", "How well some cut covers every true segment, the mean over parts, objects and foreground."),
        ("vc", "VC", "How well the segment under a point stays the same when the view turns."),
    )
    for name, title, meaning in names:
        mean = _get(metrics, name, "mean")
        if mean is not None:
            advice = "metrics.json tells which: parts need finer masks, the foreground better geometry."
            figures.append(
                _of(f"{title} against ground truth", mean, f"{mean:.3f}", (0.85, 0.7), meaning, advice, mean)
            )
    return figures


def _of(
    title: str, number: float, value: str, limits: tuple[float, float], meaning: str, advice: str, share: float
) -> Figure:
    """A figure that is good from the first limit on and low below the second; advice is for those that are not good."""
    verdict: Verdict = "good" if number >= limits[0] else "fair" if number >= limits[1] else "low"
    return Figure(title, value, verdict, meaning, "" if verdict == "good" else advice, share)


def _agreement(quality: dict[str, Any]) -> float | None:
    """Mean over the levels of what neighbouring views agree on."""
    same = [level.get("same") for level in quality.get("levels") or [] if isinstance(level, dict)]
    numbers = [float(value) for value in same if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def _get(content: dict[str, Any], *keys: str) -> Any:
    """A value within dictionaries, None if it is missing."""
    value: Any = content
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
