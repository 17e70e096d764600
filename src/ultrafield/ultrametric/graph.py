"""A graph with a dissimilarity per edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AffinityGraph:
    """Neighbouring surface points and how different the evidence says they are.

    Attributes:
        num_nodes: Number of points N.
        edges: [E, 2] int64, each undirected edge once, first index smaller.
        dissimilarity: [E] float32, finite, in [0, bound].
        evidence: How much was seen of each edge (summed weights, views or pairs) [E] float32; 0 means a guess.
        bound: Largest possible dissimilarity (1 for votes, 2 for distances of unit features); components that no edge
            joins are joined at this height.
    """

    num_nodes: int
    edges: np.ndarray
    dissimilarity: np.ndarray
    evidence: np.ndarray
    bound: float
