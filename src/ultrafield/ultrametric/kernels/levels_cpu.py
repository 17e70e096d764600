"""Loss of a choice of levels, and the choice with the least loss, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def uncovered_cpu(pieces, whole, death, weights):
    """Loss of covering, summed over the clusters, if two levels follow each other.

    The covering of a cluster depends on two levels only: the last one below its death, which shows it in pieces or
    whole, and the next one, which shows it as part of a larger segment.

    Args:
        pieces: Covering of each cluster by its pieces at each of T candidate levels, finest first [C, T], float64.
        whole: Covering by the segment that holds it [C, T], float64; read from its death on.
        death: First candidate at or above the cluster's death [C], int64; T for the root.
        weights: [C], float64.

    Returns:
        Loss of having candidate i − 1 followed by candidate j − 1, i < j [T + 2, T + 2], float64; 0 and T + 1 stand for
        none.
    """
    clusters, candidates = pieces.shape
    loss = np.zeros((candidates + 2, candidates + 2))
    for cluster in range(clusters):
        for below in range(death[cluster] + 1):
            finer = pieces[cluster, below - 1] if below > 0 else 0.0
            for above in range(death[cluster] + 1, candidates + 2):
                coarser = whole[cluster, above - 1] if above <= candidates else 0.0
                loss[below, above] += weights[cluster] * (1.0 - max(finer, coarser))
    return loss


@compiled()
def best_paths_cpu(loss, most):
    """For every number of levels up to `most` the choice with the least loss, by dynamic programming.

    Args:
        loss: From `uncovered_cpu` [T + 2, T + 2].
        most: Largest number of levels, at most T.

    Returns:
        Total loss of each number of levels [most], float64, and the candidates of the choice [most, most], int64;
        row k − 1 holds k of them, ascending.
    """
    end = len(loss) - 1
    least = np.full((most + 1, end), np.inf)
    before = np.zeros((most + 1, end), np.int64)
    least[0, 0] = 0.0
    totals, chosen = np.full(most, np.inf), np.full((most, most), -1, np.int64)
    for count in range(1, most + 1):
        for last in range(1, end):
            for previous in range(last):
                total = least[count - 1, previous] + loss[previous, last]
                if total < least[count, last]:
                    least[count, last], before[count, last] = total, previous
        final = 0
        for last in range(1, end):
            total = least[count, last] + loss[last, end]
            if total < totals[count - 1]:
                totals[count - 1], final = total, last
        for position in range(count, 0, -1):
            chosen[count - 1, position - 1] = final - 1
            final = before[position, final]
    return totals, chosen
