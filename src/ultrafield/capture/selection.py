"""Which photographs are left out before cameras are looked for: blurred ones, and all but one of equal ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .photographs import Photograph
from .sharpness import differences

_BLURRED = 0.75  # of the median sharpness: a smear by more than a hundredth of the picture's width
_EQUAL = 0.2  # pixels of thumbnails: a shift by less than a three-hundredth of the width


@dataclass(frozen=True)
class LeftOut:
    """A photograph that is left out, by its name, and why."""

    name: str
    reason: str


def select(photographs: Sequence[Photograph], names: Sequence[str]) -> tuple[list[int], list[LeftOut]]:
    """Indices of the photographs to use, in order, and those that are left out.

    Of equal pictures the sharpest is used.
    """
    values = np.array([photograph.sharpness for photograph in photographs])
    blurred = values < _BLURRED * np.median(values)
    out = {
        int(index): f"blurred (sharpness {values[index] / np.median(values):.0%} of the usual)"
        for index in np.flatnonzero(blurred)
    }
    apart = differences(np.stack([photograph.thumbnail for photograph in photographs]))
    used: list[int] = []
    for index in sorted(set(range(len(photographs))) - set(out), key=lambda index: (-values[index], index)):
        equal = [other for other in used if apart[index, other] < _EQUAL]
        if equal:
            out[index] = f"the same as {names[equal[0]]}"
        else:
            used.append(index)
    return sorted(used), [LeftOut(names[index], out[index]) for index in sorted(out)]
