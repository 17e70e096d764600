"""Masks of one view against all nodes of a tree, compiled."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels.bits_cpu import popcount
from ...kernels.compile import compiled


@compiled()
def seen_tree_cpu(parents, seen, special):
    """The tree as one view sees it: its nodes told apart only by the leaves that are seen.

    Args:
        parents: [2n − 1], int64; a parent's id is larger than its children's, the root is its own.
        seen: Which leaves the view sees [n], bool.
        special: Which nodes are of special interest [2n − 1], bool.

    Returns:
        Parents [2v − 1], int32, the v seen leaves first, in their order, and the root last; seen leaves below each
        node [2v − 1], int32; and which of them stand for a `special` node [2v − 1], bool. Empty if none is seen.
    """
    total = len(parents)
    first, second = np.full(total, -1, np.int32), np.full(total, -1, np.int32)
    most = max(0, 2 * np.sum(seen) - 1)
    above, count, marked = np.full(most, -1, np.int32), np.zeros(most, np.int32), np.zeros(most, np.bool_)
    following = 0
    for node in range(total):
        if node < len(seen):
            if not seen[node]:
                continue
            own = following
            count[own] = 1
            following += 1
        elif first[node] < 0:
            continue
        elif second[node] < 0:
            own = first[node]
        else:
            own = following
            above[first[node]] = above[second[node]] = own
            count[own] = count[first[node]] + count[second[node]]
            following += 1
        marked[own] |= special[node]
        if parents[node] == node:
            above[own] = own
        elif first[parents[node]] < 0:
            first[parents[node]] = own
        else:
            second[parents[node]] = own
    return above, count, marked


@compiled()
def best_nodes_cpu(parents, counts, marked, codes, best, best_marked, sizes):
    """Best IoU of every mask with a node, over the leaves that the view sees.

    In one thread: callers that look at many views give each one a thread of its own.

    Args:
        parents, counts, marked: From `seen_tree_cpu`, of at least one leaf.
        codes: Packed mask memberships of the seen leaves [v, W], uint64.
        best: Output [M], float64; 0 for masks without a leaf.
        best_marked: Output, the same over the marked nodes [M], float64.
        sizes: Output, leaves in each mask [M], int64.
    """
    leaves, inside = len(codes), np.zeros(len(parents), np.int32)
    for mask in range(len(best)):
        word, bit = mask // 64, uint64(mask % 64)
        inside[leaves:] = 0
        for leaf in range(leaves):
            inside[leaf] = np.int32((codes[leaf, word] >> bit) & uint64(1))
        for node in range(len(parents) - 1):
            inside[parents[node]] += inside[node]
        size = inside[-1]
        most, most_marked = 0.0, 0.0
        for node in range(len(parents)):
            if inside[node] > 0:
                iou = inside[node] / (size + counts[node] - inside[node])
                most = max(most, iou)
                if marked[node]:
                    most_marked = max(most_marked, iou)
        best[mask], best_marked[mask], sizes[mask] = most, most_marked, size


@compiled()
def crossings_cpu(codes, counted, least):
    """Pairs of masks that overlap, and those among them that cross: neither lies inside the other, so no tree has both.

    Args:
        codes: Packed memberships of P points or pixels [P, W], uint64, no bit beyond the last mask's.
        counted: Which masks take part [M], bool.
        least: Two masks overlap if they share more than this part of the smaller one, and they cross if they also share
            less than all but this part of it.

    Returns:
        The two numbers of pairs.
    """
    rows = np.zeros((len(counted), (len(codes) + 63) // 64), np.uint64)
    for point in range(len(codes)):
        for word in range(codes.shape[1]):
            bits, mask = codes[point, word], 64 * word
            while bits != uint64(0):
                if bits & uint64(1):
                    rows[mask, point // 64] |= uint64(1) << uint64(point % 64)
                bits >>= uint64(1)
                mask += 1
    sizes = np.zeros(len(counted), np.int64)
    for mask in range(len(counted)):
        for block in rows[mask]:
            sizes[mask] += np.int64(popcount(block))
    overlapping, crossing = 0, 0
    for mask in range(len(counted)):
        for other in range(mask):
            if not (counted[mask] and counted[other]):
                continue
            shared = 0
            for block in range(rows.shape[1]):
                shared += np.int64(popcount(rows[mask, block] & rows[other, block]))
            smaller = min(sizes[mask], sizes[other])
            overlapping += shared > least * smaller
            crossing += least * smaller < shared < (1.0 - least) * smaller
    return overlapping, crossing
