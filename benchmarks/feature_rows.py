"""The rows of `features.py`: what each changes in a preset's features, in groups."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

Changes = dict[str, Any]

_VOXEL = 0.006
_PUBLISHED = {"border_weighting": "any", "border_factor": 0.0, "border_penalty": 10.0}


def _border(weighting: str, *, factor: float = 0.0, penalty: float = 0.0) -> Changes:
    return {"border_weighting": weighting, "border_factor": factor, "border_penalty": penalty}


def _comparisons(*, negatives: int = 1, borders: bool = False, voxel: float = 0.0) -> Changes:
    pairs = 32 if borders else 64  # as many comparisons either way
    return {"pairs_per_mask": pairs, "negatives": negatives, "border_negatives": borders, "vote_voxel": voxel}


def _each(setting: str, name: str, values: Sequence[float]) -> dict[str, Changes]:
    """One row per value of a setting, called by `name` with the value in it."""
    return {name.format(value): {setting: value} for value in values}


GROUPS: dict[str, dict[str, Changes]] = {
    "terms": {
        "default": {},
        "no ultrametric term": {"ultrametric_weight": 0.0},
        "published term": _PUBLISHED,
    },
    "comparisons": {
        "published": _PUBLISHED | _comparisons(),
        "plain": _comparisons(),
        "4 negatives": _comparisons(negatives=4),
        "border negatives": _comparisons(borders=True),
        "votes": _comparisons(voxel=_VOXEL),
        "4 negatives, border negatives": _comparisons(negatives=4, borders=True),
        "votes, 4 negatives": _comparisons(negatives=4, voxel=_VOXEL),
        "votes, border negatives": _comparisons(borders=True, voxel=_VOXEL),
        "all three, 64 pairs per mask": {"pairs_per_mask": 64},
    },
    "voxels": _each("vote_voxel", "votes in voxels of {:g}", (0.003, 0.012, 0.025)),
    "together": {
        "16 negatives, temperature 0.2": {"negatives": 16, "temperature": 0.2},
        "temperature 0.2, ultrametric weight 0.25": {"temperature": 0.2, "ultrametric_weight": 0.25},
    },
    "hierarchy": {"no pairs along chains": {"hierarchical": False}},
    "negatives": _each("negatives", "negatives {}", (1, 4, 16)),
    "temperature": _each("temperature", "temperature {:g}", (0.05, 0.1, 0.2)),
    "dim": _each("dim", "dim {}", (32, 64, 128, 256)),
    "mask-balance": _each("mask_balance", "mask balance {:g}", (0.0, 0.5, 1.0)),
    "pairs": _each("pairs_per_mask", "pairs per mask {}", (8, 32, 128)),
    "weights": {
        **_each("ultrametric_weight", "ultrametric weight {:g}", (0.25, 4.0)),
        "ultrametric term only": {"euclidean_weight": 0.0},
        "published term only": _PUBLISHED | {"euclidean_weight": 0.0},
    },
    "borders": {
        "no border evidence": _border("any"),
        **{f"any, + {value:g}": _border("any", penalty=value) for value in (0.25, 1.0)},
        **{f"any, factor {value:g}": _border("any", factor=value) for value in (1.0, 4.0, 10.0, 30.0)},
        **{f"share, + {value:g}": _border("share", penalty=value) for value in (0.25, 0.5, 1.0, 2.0, 10.0)},
        **{f"share, factor {value:g}": _border("share", factor=value) for value in (1.0, 4.0, 10.0, 30.0)},
    },
}


def choose(names: Sequence[str]) -> dict[str, Changes]:
    """Rows in the order of the groups.

    Args:
        names: Groups or rows; all rows if there are none.
    """
    rows = {row: changes for group in GROUPS.values() for row, changes in group.items()}
    for name in names:
        if name not in rows and name not in GROUPS:
            sys.exit(f"--rows: expected groups ({', '.join(GROUPS)}) or rows ({'; '.join(rows)}), got {name!r}")
    return {
        row: changes
        for group, members in GROUPS.items()
        for row, changes in members.items()
        if not names or group in names or row in names
    }
