"""Bottleneck queries in plain PyTorch, on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def minimax_torch(parents: Tensor, choices: Tensor, mst_edges: Tensor, pairs: Tensor, num_rounds: int) -> Tensor:
    """Limiting edge of each pair [P], int64, -1 where there is none: one round of gathers per level."""
    a, b = pairs.unbind(1)
    heaviest = torch.full_like(a, -1)
    for _ in range(num_rounds):
        chosen = torch.maximum(choices[a], choices[b])
        heaviest = torch.where(a != b, torch.maximum(heaviest, chosen), heaviest)
        a, b = parents[a], parents[b]
    reached = (a == b) & (heaviest >= 0)
    # A spare last entry serves every pair without an answer, also when the forest has no edge at all.
    answers = torch.cat([mst_edges, mst_edges.new_full((1,), -1)])
    return answers[torch.where(reached, heaviest, len(answers) - 1)]
