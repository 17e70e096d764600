"""Quadruples of neighbouring pixels inside leaf masks, along which depth is smoothed.

Source: He et al. 2024, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...masks import MaskSet
from ...parallel import in_threads
from ...scene import Split

_LENGTH = 4  # pixels of a quadruple


@dataclass(frozen=True, eq=False)
class Quadruples:
    """All quadruples of neighbours along a row or a column of a picture that lie in one leaf mask, as runs of pixels.

    A *line* is a leaf mask of a view together with a direction, if it has any quadruples in that direction. Quadruples
    are numbered line by line, run by run; views without any take no memory.

    Attributes:
        lines: Number of lines before each view, and of all [V + 1], int64.
        strides: Difference of the row-major indices of successive pixels of a quadruple, by line [K], int64.
        line_bounds: Number of quadruples before each line, and of all [K + 1], int64.
        run_bounds: Number of quadruples before each run, and of all [N + 1], int64.
        firsts: Row-major index of each run's first pixel [N], int32.
        most_lines: Largest number of lines of any view.
    """

    lines: Tensor
    strides: Tensor
    line_bounds: Tensor
    run_bounds: Tensor
    firsts: Tensor
    most_lines: int

    def draw(self, view: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw `count` quadruples in each line of a view, without a wait for the device.

        Args:
            view: Index of the view [1], int64.
            count: Quadruples per line; one may come up twice.
            generator: Source of randomness, on the device of the tables.

        Returns:
            Row-major pixel indices [most_lines · count, 4], int64, and the number of rows that are quadruples of this
            view [1], int64: the first ones; the others are padding, with pixels of any view. Lines take turns.
        """
        chance = torch.rand(self.most_lines * count, dtype=torch.float64, generator=generator, device=self.lines.device)
        if len(chance) == 0:
            return torch.zeros((0, _LENGTH), dtype=torch.int64, device=chance.device), torch.zeros_like(view)
        first, last = self.lines[view], self.lines[view + 1]
        number = torch.arange(len(chance), device=chance.device)
        line = (first + number % (last - first).clamp(min=1)).clamp(max=len(self.strides) - 1)
        low, high = self.line_bounds[line], self.line_bounds[line + 1]
        picks = low + torch.minimum((chance * (high - low)).long(), high - low - 1)
        run = torch.searchsorted(self.run_bounds, picks, right=True) - 1
        stride = self.strides[line]
        starts = self.firsts[run] + (picks - self.run_bounds[run]) * stride
        return starts[:, None] + stride[:, None] * torch.arange(_LENGTH, device=chance.device), (last - first) * count


def leaf_masks(masks: MaskSet) -> np.ndarray:
    """Indices of the masks that hold no other mask."""
    return np.flatnonzero(~masks.inside.any(axis=0))


def find_quadruples(split: Split, device: torch.device | str) -> Quadruples:
    """Find the quadruples of all views of a split; a view without masks has none."""
    lines_of_view = list(in_threads(_of_view, [view.masks for view in split]))
    firsts = [firsts for view in lines_of_view for _, firsts, _ in view]
    lines = [lengths for view in lines_of_view for _, _, lengths in view]  # of runs
    runs = np.concatenate([np.zeros(0, np.int32), *lines]) - (_LENGTH - 1)  # quadruples of each

    def put(values: list[int] | np.ndarray, kind: type) -> Tensor:
        return torch.from_numpy(np.asarray(values, kind)).to(device)

    per_view = [len(view) for view in lines_of_view]
    return Quadruples(
        put(_bounds(per_view), np.int64),
        put([stride for view in lines_of_view for stride, _, _ in view], np.int64),
        put(_bounds([int(lengths.sum()) - (_LENGTH - 1) * len(lengths) for lengths in lines]), np.int64),
        put(_bounds(runs), np.int64),
        put(np.concatenate([np.zeros(0, np.int32), *firsts]), np.int32),
        max(per_view, default=0),
    )


def _bounds(counts: list[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))])


def _of_view(masks: MaskSet | None) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Stride, first pixel of each run and length of each run, for every line of a view."""
    if masks is None or len(masks) == 0:
        return []
    leaves = leaf_masks(masks)
    height, width = masks.shape
    turned = np.ascontiguousarray(masks.bits.transpose(1, 0, 2))
    lines = [(1, *line) for line in _runs(masks.bits, leaves)]
    lines += [(width, first % height * width + first // height, length) for first, length in _runs(turned, leaves)]
    return [line for line in lines if len(line[1])]


def _runs(bits: np.ndarray, leaves: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """First pixels and lengths, int32, of the runs of each leaf mask along rows."""
    from .kernels.runs_cpu import find_runs

    words = bits.shape[2]
    selected, nothing = np.zeros(words, np.uint64), np.empty(0, np.int32)
    np.bitwise_or.at(selected, leaves // 64, np.uint64(1) << (leaves % 64).astype(np.uint64))
    counts = np.zeros(64 * words, np.int64)
    find_runs(bits, selected, _LENGTH, counts, nothing, nothing)
    bounds = _bounds(counts)
    firsts, lengths = np.empty((2, bounds[-1]), np.int32)
    find_runs(bits, selected, _LENGTH, bounds[:-1].copy(), firsts, lengths)
    return [(firsts[a:b], lengths[a:b]) for a, b in zip(bounds[leaves], bounds[leaves + 1], strict=True)]
