"""The node of a tree that fits a set of leaves best, compiled."""

from __future__ import annotations

import numpy as np

from ...kernels.compile import compiled


@compiled()
def best_node_cpu(parents, counted, member):
    """The node with the best IoU with a set of leaves, over the leaves that count.

    Args:
        parents: [2n − 1], int64; a parent's id is larger than its children's, the root is its own.
        counted: Which leaves count [n], bool.
        member: Which leaves are in the set [n], bool.

    Returns:
        The node, the smallest of equally good ones, −1 if the set is empty; and its IoU.
    """
    total = len(parents)
    inside, size = np.zeros(total, np.int64), np.zeros(total, np.int64)
    for leaf in range(len(counted)):
        size[leaf] = counted[leaf]
        inside[leaf] = counted[leaf] and member[leaf]
    for node in range(total - 1):
        inside[parents[node]] += inside[node]
        size[parents[node]] += size[node]
    wanted = inside[total - 1]
    best, node_of_best = 0.0, -1
    for node in range(total):
        if inside[node] > 0:
            iou = inside[node] / (size[node] + wanted - inside[node])
            if iou > best:
                best, node_of_best = iou, node
    return node_of_best, best
