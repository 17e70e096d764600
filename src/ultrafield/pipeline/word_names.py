"""Nodes found and named by words, with a network that compares pictures with texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..devices import resolve_device
from ..errors import ConfigError, SceneError, shortened
from ..names import check_title
from ..reading import read_bytes
from ..words.scores import CANONICAL, joined, prompts, relevancy
from .console import Report
from .naming import Match
from .word_embeddings import embedded_nodes
from .word_nodes import WordNodes, without_relatives

if TYPE_CHECKING:
    from ..words.network import WordNetwork
    from .segmentation import Segmentation

MOST_WORDS = 10_000
_MOST_BYTES = 4 << 20  # of a file of words


@dataclass(frozen=True)
class WordScorer:
    """Scores nodes for a text by how well their best views fit it; a `Scorer` for `find_nodes`.

    Attributes:
        network: What compares pictures with texts.
        report: Where progress is printed.
    """

    network: WordNetwork
    report: Report

    @classmethod
    def of(cls, model: str, device: str, report: Report) -> WordScorer:
        """A scorer with a network that the user named: a folder, or a model on the Hugging Face hub."""
        from ..words.checkpoint import open_words
        from ..words.network import WordNetwork

        checkpoint = open_words(model)
        try:
            place = resolve_device(device)
        except ValueError as failure:
            raise ConfigError(str(failure).removeprefix("device: "), setting="device") from None
        return cls(WordNetwork(checkpoint, place), report)

    def __call__(self, segmentation: Segmentation, text: str) -> Mapping[int, float]:
        """The score in (0, 1) of every substantial node that a view shows."""
        nodes, scores = self.scores(segmentation, [text])
        return {int(node): float(score) for node, score in zip(nodes.ids, scores[:, 0], strict=True) if score > 0}

    def scores(self, segmentation: Segmentation, words: Sequence[str]) -> tuple[WordNodes, np.ndarray]:
        """The substantial nodes, and a score of each for each word [K, W], 0 for nodes that no view shows."""
        nodes = WordNodes.of(segmentation)
        things = embedded_nodes(segmentation, nodes, self.network, self.report)
        texts = joined(self.network.texts(prompts([*words, *CANONICAL])))
        scores = relevancy(things, texts[: len(words)], texts[len(words) :], self.network.scale)
        scores[~things.any(axis=1)] = 0.0
        return nodes, scores


def names_from_words(
    segmentation: Segmentation, words: Sequence[str], scorer: WordScorer, *, least: float = 0.5
) -> list[Match]:
    """Names for the nodes that words fit.

    A node has the word with the best score, if that reaches `least`; of nodes above and below each other that would
    have the same name, the one with the best score has it.

    Args:
        segmentation: Of a run folder.
        words: The names to choose from.
        scorer: What compares them with nodes.
        least: Score from which a node has a name.
    """
    nodes, scores = scorer.scores(segmentation, words)
    choice = scores.argmax(axis=1)
    best = scores[np.arange(len(nodes)), choice]
    choice[best < max(least, np.finfo(np.float64).tiny)] = -1
    kept = without_relatives(best.tolist(), choice.tolist(), nodes.parents)
    return [Match(int(nodes.ids[node]), words[choice[node]], float(best[node])) for node in np.flatnonzero(kept)]


def read_words(given: str) -> list[str]:
    """Words to choose from: those between the commas of a text, or the lines of a file of this name.

    Raises:
        ConfigError: There are none, too many, or one that cannot be a name.
        SceneError: The file cannot be read.
    """
    path = Path(given)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a list too long for a file's name
        is_file = False
    if is_file:
        try:
            lines = read_bytes(path, most=_MOST_BYTES).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise SceneError(f"{path}: no text in UTF-8") from None
    else:
        lines = given.split(",")
    words = list(dict.fromkeys(word.strip() for word in lines if word.strip()))
    where = str(path) if is_file else "--words"
    for word in words:
        check_title(word, where)
    if not words or len(words) > MOST_WORDS:
        shown = repr(shortened(given, 40))
        raise ConfigError(f"expected words between commas, or a file with one on each line (1 to {MOST_WORDS}), "
                          f"got {len(words)} of them in {shown}", setting="words")  # fmt: skip
    return words
