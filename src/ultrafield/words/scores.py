"""How well words fit what was embedded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CANONICAL = ("object", "things", "stuff", "texture")  # what anything may be called
_PROMPTS = ("{}", "a photo of {}")


def prompts(words: Sequence[str]) -> list[str]:
    """The texts by which words are embedded, those of one word together."""
    return [prompt.format(word) for word in words for prompt in _PROMPTS]


def joined(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings of words [W, D] from those of `prompts` [W · P, D]: unit vectors along their means."""
    means = embeddings.reshape(-1, len(_PROMPTS), embeddings.shape[1]).mean(axis=1)
    return unit(means)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [N, D] of length one; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def relevancy(things: np.ndarray, words: np.ndarray, canonical: np.ndarray, scale: float) -> np.ndarray:
    """How much better words fit than what anything may be called.

    Args:
        things: Unit vectors [K, D].
        words: Unit vectors [W, D].
        canonical: Unit vectors of the canonical phrases [C, D], at least one.
        scale: What the network multiplies cosines with.

    Returns:
        [K, W], float64, in (0, 1): the probability of the word against the canonical phrase that fits best; above one
        half it fits better than any of them.

    Source: J. Kerr, C. M. Kim, K. Goldberg, A. Kanazawa, M. Tancik, "LERF: Language Embedded Radiance Fields", 2023,
    section 3.5; with the network's own scale.

    >>> east, north = np.eye(2, dtype=np.float32)[:, None]
    >>> relevancy(east, np.concatenate([east, north]), north, 10.0).round(4).tolist()
    [[1.0, 0.5]]
    """
    best = (things @ canonical.T).max(axis=1, keepdims=True).astype(np.float64)
    logits = scale * ((things @ words.T).astype(np.float64) - best)
    return 1.0 / (1.0 + np.exp(-logits.clip(-500.0, 500.0)))
