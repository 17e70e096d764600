"""Run-length encoding of masks as COCO has it: runs down the columns, compressed to text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import check_shape

_CHARACTERS = 7  # that a run of 32 bits takes at most


@dataclass(frozen=True)
class EncodedMask:
    """One id of a label map.

    Attributes:
        label: The id.
        counts: Its pixels as compressed COCO RLE.
        area: Their number.
        box: Column and row of the upper left corner, width, height.
    """

    label: int
    counts: str
    area: int
    box: tuple[int, int, int, int]


def encode_labels(labels: np.ndarray) -> list[EncodedMask]:
    """Encode every id of a label map, ascending.

    Args:
        labels: [H, W], integers; negative ones are none.

    >>> [(mask.label, mask.counts, mask.area, mask.box) for mask in encode_labels(np.array([[7, 7], [-1, 7]]))]
    [(7, '0111', 3, (0, 0, 2, 2))]
    """
    check_shape("labels", labels, (None, None))
    height = labels.shape[0]
    flat = labels.ravel(order="F")
    if flat.size == 0 or flat.max() < 0:
        return []
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    values = flat[starts]
    order = np.argsort(values, kind="stable")
    order = order[np.searchsorted(values[order], 0) :]
    starts, ends, values = starts[order], ends[order], values[order]
    ids, first = np.unique(values, return_index=True)
    counts, lengths = _counts(starts, ends, first, flat.size)
    texts = _compressed(counts, lengths)
    boxes = _boxes(starts, ends, first, height)
    areas = np.add.reduceat(ends - starts, first)
    found = zip(ids.tolist(), texts, areas.tolist(), boxes.tolist(), strict=True)
    return [EncodedMask(label, text, area, (box[0], box[1], box[2], box[3])) for label, text, area, box in found]


def _counts(starts: np.ndarray, ends: np.ndarray, first: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Alternating runs of zeros and ones of all masks, one after the other, and how many each mask has."""
    before = np.concatenate([[0], ends[:-1]])
    before[first] = 0  # a mask begins with the zeros from the first pixel on
    runs = np.stack([starts - before, ends - starts], axis=1).ravel()
    last = np.append(first[1:], len(starts)) - 1
    rest = total - ends[last]
    places = 2 * (last + 1)
    runs = np.insert(runs, places[rest > 0], rest[rest > 0])
    sizes = 2 * np.diff(np.append(first, len(starts))) + (rest > 0)
    return runs, sizes


def _compressed(counts: np.ndarray, lengths: np.ndarray) -> list[str]:
    """Text of the runs of each mask: differences from the run before the last, five bits a character."""
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    place = np.arange(len(counts)) - np.repeat(begins, lengths)
    values = counts.astype(np.int64)
    values[2:] -= np.where(place[2:] > 2, counts[:-2], 0)
    characters = np.zeros((len(values), _CHARACTERS), np.uint8)
    rest, going = values, np.ones(len(values), bool)
    for digit in range(_CHARACTERS):
        low = rest & 31
        rest = rest >> 5
        more = np.where(low & 16, rest != -1, rest != 0)
        characters[:, digit] = np.where(going, (low | np.where(more, 32, 0)) + 48, 0)
        going &= more
    used = characters > 0
    text = characters[used].tobytes().decode("ascii")
    sizes = np.add.reduceat(used.sum(axis=1), begins)
    cuts = np.cumsum(sizes).tolist()
    return [text[begin:end] for begin, end in zip([0, *cuts[:-1]], cuts, strict=True)]


def _boxes(starts: np.ndarray, ends: np.ndarray, first: np.ndarray, height: int) -> np.ndarray:
    """Bounding boxes [M, 4]: left, top, width, height."""
    left, right = starts // height, (ends - 1) // height
    whole = left != right  # a run that goes on in the next column touches both borders
    top, bottom = np.where(whole, 0, starts % height), np.where(whole, height - 1, (ends - 1) % height)
    low = [np.minimum.reduceat(side, first) for side in (left, top)]
    high = [np.maximum.reduceat(side, first) for side in (right, bottom)]
    return np.stack([*low, high[0] - low[0] + 1, high[1] - low[1] + 1], axis=1)
