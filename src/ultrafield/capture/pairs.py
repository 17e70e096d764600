"""Which pictures are compared with each other.

This module is used by the child process that maps, which must not load OpenCV (see `mapping`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

EXHAUSTIVE = 150  # pictures up to which all are compared with all
_OVERLAP = 8  # neighbours in order on each side, and then every power of two
_ALIKE = 24  # pictures that look most alike, for each
_WORDS = 64  # of the vocabulary, which is learned from the pictures themselves
_SAMPLE = 40_000  # descriptors that it is learned from
_ROUNDS = 12
_STEP = 4096  # descriptors that are looked up at a time
_TILE = 10  # pictures
_BATCH = 60  # pairs, at least


def all_pairs(count: int) -> list[tuple[int, int]]:
    """All pairs of `count` pictures."""
    return [(first, second) for first in range(count) for second in range(first + 1, count)]


def likely_pairs(descriptors: Sequence[np.ndarray], *, seed: int) -> list[tuple[int, int]]:
    """Pairs of pictures that may overlap: neighbours in order, and those that look most alike, which close loops.

    Args:
        descriptors: SIFT descriptors of each picture [n, 128], uint8, in the order in which the pictures were taken.
        seed: Of the vocabulary.
    """
    count = len(descriptors)
    pairs: set[tuple[int, int]] = set()
    for first in range(count):
        steps = [*range(1, _OVERLAP + 1), *(1 << power for power in range(4, 16))]
        pairs.update((first, first + step) for step in steps if first + step < count)
    likeness = _likeness(descriptors, seed)
    np.fill_diagonal(likeness, -np.inf)
    for first in range(count):
        for second in np.argsort(-likeness[first], kind="stable")[: min(_ALIKE, count - 1)].tolist():
            pairs.add((min(first, second), max(first, second)))
    return sorted(pairs)


def batches(pairs: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The pairs in batches that have few pictures in common each: what is made of a picture's features is made anew
    for every batch."""
    tiles: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for first, second in pairs:
        tiles.setdefault((first // _TILE, second // _TILE), []).append((first, second))
    parts: list[list[tuple[int, int]]] = []
    for tile in sorted(tiles):
        if parts and len(parts[-1]) < _BATCH:
            parts[-1] += tiles[tile]
        else:
            parts.append(list(tiles[tile]))
    return parts


def _likeness(descriptors: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """How alike pictures are [N, N]: products of their vectors of locally aggregated descriptors.

    Source: Jégou et al., "Aggregating local descriptors into a compact image representation", 2010.
    """
    rng = np.random.default_rng(seed)
    everything = np.concatenate([_rooted(item) for item in descriptors])
    if len(everything) < _WORDS:
        return np.zeros((len(descriptors), len(descriptors)))
    chosen = everything[rng.permutation(len(everything))[:_SAMPLE]]
    words = _vocabulary(chosen)
    vectors = np.stack([_aggregated(_rooted(item), words) for item in descriptors])
    return vectors @ vectors.T


def _rooted(descriptors: np.ndarray) -> np.ndarray:
    """Descriptors [n, 128] as unit vectors."""
    rows = descriptors.astype(np.float32).reshape(-1, 128)
    return rows / np.maximum(1e-9, np.linalg.norm(rows, axis=1, keepdims=True))


def _vocabulary(rows: np.ndarray) -> np.ndarray:
    """Means of clusters of rows [_WORDS, 128]."""
    words = rows[:_WORDS].copy()
    for _ in range(_ROUNDS):
        nearest = _nearest(rows, words)
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, rows)
        counts = np.bincount(nearest, minlength=_WORDS)[:, None]
        words = np.where(counts > 0, sums / np.maximum(1, counts), words)
    return words


def _nearest(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Index of the nearest word of each row."""
    offsets = 0.5 * (words**2).sum(axis=1)
    parts = [(rows[first : first + _STEP] @ words.T - offsets).argmax(axis=1) for first in range(0, len(rows), _STEP)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _aggregated(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Sums of what rows differ from their words by, damped and of unit length [_WORDS * 128]."""
    nearest = _nearest(rows, words)
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, rows - words[nearest])
    vector = np.sign(sums) * np.sqrt(np.abs(sums))
    vector /= np.maximum(1e-9, np.linalg.norm(vector, axis=1, keepdims=True))
    return vector.ravel() / max(1e-9, float(np.linalg.norm(vector)))
