"""Neighbours among sampled pixels, and the mask borders that run between them.

Arrays in, arrays out, on the CPU; `pixel_neighbors`, `neighbor_memberships`, `border_crossings` and `border_shares`
take tensors too, and stay on their device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ...config import BorderWeighting
from ...errors import check_choice, check_shape

if TYPE_CHECKING:
    from torch import Tensor

ArrayOrTensor = TypeVar("ArrayOrTensor", np.ndarray, "Tensor")


def pixel_graph(positions: np.ndarray, image_of_pixel: np.ndarray, neighbors: int = 10) -> np.ndarray:
    """Join every sampled pixel with its nearest neighbours in the same picture.

    Args:
        positions: Pixel coordinates [N, 2] or unit ray directions [N, 3], finite.
        image_of_pixel: Picture of each pixel [N], int64.
        neighbors: Neighbours per pixel; fewer where a picture has fewer pixels.

    Returns:
        Edges [E, 2], int64, each undirected edge once.

    Raises:
        ValueError: A shape is wrong, a position is not finite, or `neighbors` is below 1.
    """
    check_shape("positions", positions, (None, None))
    check_shape("image_of_pixel", image_of_pixel, (len(positions),))
    if neighbors < 1:
        raise ValueError(f"neighbors: expected at least 1, got {neighbors}")
    if not np.isfinite(positions).all():
        raise ValueError("positions: expected finite numbers")
    table = np.full((len(positions), neighbors), -1, np.int64)
    order = np.argsort(image_of_pixel, kind="stable")
    for pixels in np.split(order, np.flatnonzero(np.diff(image_of_pixel[order])) + 1):
        nearest = _nearest(positions[pixels], min(neighbors, len(pixels) - 1))
        table[pixels, : nearest.shape[1]] = pixels[nearest]
    return _joined(table)


def pixel_neighbors(positions: ArrayOrTensor, neighbors: int = 10) -> ArrayOrTensor:
    """Nearest neighbours of every sampled pixel in the same picture, for pictures with equally many samples.

    The table has a fixed shape. CUDA compares all pixels of a picture with all, in float32 and without a wait for the
    device; elsewhere pixels are visited from the nearest row or column outwards. Among equally distant ones the choice
    may differ.

    Args:
        positions: Pixel coordinates [B, n, 2], integer or floating point. Pixels may coincide; one whose position is
            not finite has no neighbours and is nobody's neighbour.
        neighbors: Neighbours per pixel k.

    Returns:
        Indices within the picture [B, n, k], int64, the nearest first; -1 where there are no more. Arrays in, array
        out; tensors in, tensor out.

    Raises:
        ValueError: The shape is wrong or `neighbors` is below 1.

    >>> pixel_neighbors(np.array([[[0, 0], [3, 0], [4, 0]]]), 2).tolist()
    [[[1, 2], [2, 0], [1, 0]]]
    """
    check_shape("positions", positions, (None, None, 2))
    if neighbors < 1:
        raise ValueError(f"neighbors: expected at least 1, got {neighbors}")
    if isinstance(positions, np.ndarray):
        return _neighbor_table(positions, neighbors)
    if positions.is_cuda:
        from .kernels.pixel_graph_gpu import pixel_neighbors_gpu

        return pixel_neighbors_gpu(positions, neighbors)
    import torch

    return torch.from_numpy(_neighbor_table(positions.numpy(), neighbors))


def _neighbor_table(positions: np.ndarray, neighbors: int) -> np.ndarray:
    table = np.full((*positions.shape[:2], neighbors), -1, np.int64)
    for rows, points in zip(table, positions, strict=True):
        real = np.flatnonzero(np.isfinite(points).all(1))
        nearest = _nearest(points[real], min(neighbors, len(real) - 1))
        rows[real, : nearest.shape[1]] = real[nearest]
    return table


def neighbor_graph(neighbors: np.ndarray) -> np.ndarray:
    """`pixel_graph` from the table of `pixel_neighbors`.

    Args:
        neighbors: Indices within the picture [B, n, k], int64, −1 for none.

    Returns:
        Edges [E, 2], int64, each undirected edge once, between pixels 0 … B · n − 1, picture after picture.
    """
    check_shape("neighbors", neighbors, (None, None, None))
    pictures, count, columns = neighbors.shape
    shifted = neighbors + count * np.arange(pictures)[:, None, None]
    return _joined(np.where(neighbors >= 0, shifted, -1).reshape(pictures * count, columns))


def _joined(table: np.ndarray) -> np.ndarray:
    """Edges [E, 2] between every pixel and those in its row of a table [N, k], each once."""
    from .kernels.pairs_cpu import first_mentions

    rows, columns = np.nonzero(first_mentions(table))
    return np.stack([rows, table[rows, columns]], axis=1)


def neighbor_memberships(bits: ArrayOrTensor, neighbors: ArrayOrTensor) -> ArrayOrTensor:
    """Masks that hold any neighbour of each pixel.

    Args:
        bits: Packed memberships of B pictures with n pixels each [B · n, W]: NumPy uint64, or a tensor as int64.
        neighbors: Indices within the picture [B, n, k], −1 for none, from `pixel_neighbors`.

    Returns:
        [B · n, W], packed likewise. Arrays in, array out; tensors in, tensor out, without a wait for the device.

    >>> neighbor_memberships(np.array([[1], [2], [4]], np.uint64), np.array([[[1, 2], [0, -1], [-1, -1]]])).tolist()
    [[6], [1], [0]]
    """
    check_shape("neighbors", neighbors, (None, None, None))
    pictures, count, columns = neighbors.shape
    check_shape("bits", bits, (pictures * count, None))
    table = bits.reshape(pictures, count, bits.shape[1])
    union = 0 * table
    for column in range(columns):
        index = neighbors[:, :, column, None]  # [B, n, 1]
        union |= _rows(table, index.clip(0)) * (index >= 0)
    return union.reshape(bits.shape)


def _rows(table: ArrayOrTensor, index: ArrayOrTensor) -> ArrayOrTensor:
    """Rows [B, n, W] of each picture's table [B, n, W] at indices [B, n, 1]."""
    if isinstance(table, np.ndarray):
        return np.take_along_axis(table, index, 1)
    import torch

    return torch.take_along_dim(table, index, 1)


def _nearest(points: np.ndarray, count: int) -> np.ndarray:
    """The `count` nearest other points of each point [n, count], as indices."""
    if count < 1:
        return np.zeros((len(points), 0), np.int64)
    if points.shape[1] == 2:
        from .kernels.nearest_cpu import nearest_in_plane

        longer = int(np.ptp(points, axis=0).argmax())
        order = np.argsort(points[:, longer], kind="stable")
        nearest = np.empty((len(points), count), np.int64)
        nearest[order] = order[nearest_in_plane(points[order][:, [longer, 1 - longer]].astype(np.float64), count)]
        return nearest
    from scipy.spatial import cKDTree

    _, closest = cKDTree(points).query(points, count + 1)
    # Among the nearest is the point itself, though not always first and, among many equal points, not always at all.
    itself: np.ndarray = closest == np.arange(len(points))[:, None]
    itself[~itself.any(1), -1] = True
    return np.asarray(closest)[~itself].reshape(len(points), count)


def border_crossings(edges: ArrayOrTensor, bits: ArrayOrTensor) -> ArrayOrTensor:
    """Find the edges that cross the border of any mask.

    Args:
        edges: Pixel indices [E, 2], int64; both ends in one picture.
        bits: Packed memberships [N, W]: NumPy uint64, or a tensor of the same bits as int64.

    Returns:
        [E] bool: the ends differ in at least one mask. Arrays in, array out; tensors in, tensor out.
    """
    check_shape("edges", edges, (None, 2))
    check_shape("bits", bits, (None, None))
    return (bits[edges[:, 0]] != bits[edges[:, 1]]).any(1)


def border_shares(edges: ArrayOrTensor, bits: ArrayOrTensor) -> ArrayOrTensor:
    """Share of the masks around an edge that have their border on it.

    Where masks contradict each other, or disagree by a pixel about one border, this is the part of the evidence that
    speaks for the border, while `border_crossings` tells whether any does.

    Args:
        edges: Pixel indices [E, 2], int64; both ends in one picture.
        bits: Packed memberships [N, W]: NumPy uint64, or a tensor of the same bits as int64.

    Returns:
        [E], float32, in [0, 1]: masks that hold one end, divided by masks that hold either; 0 where none does. Arrays
        in, array out; tensors in, tensor out, without a wait for the device.

    >>> border_shares(np.array([[0, 1], [0, 2]]), np.array([[0b011], [0b001], [0b100]], np.uint64)).tolist()
    [0.5, 1.0]
    """
    check_shape("edges", edges, (None, 2))
    check_shape("bits", bits, (None, None))
    one, other = bits[edges[:, 0]], bits[edges[:, 1]]  # [E, W]
    if isinstance(bits, np.ndarray):
        apart, around = (np.bitwise_count(words).sum(1, dtype=np.float32) for words in (one ^ other, one | other))
        return apart / np.maximum(around, 1)
    apart, around = (_bit_count(words).sum(1).float() for words in (one ^ other, one | other))
    return apart / around.clamp(min=1)


def _bit_count(words: Tensor) -> Tensor:
    """Set bits of each int64 word.

    PyTorch has no such operation. Right shifts copy the sign bit; each mask removes the copies.
    """
    words = words - ((words >> 1) & 0x5555555555555555)  # of every 2 bits
    words = (words & 0x3333333333333333) + ((words >> 2) & 0x3333333333333333)  # of every 4
    words = (words + (words >> 4)) & 0x0F0F0F0F0F0F0F0F  # of every 8
    return (words * 0x0101010101010101) >> 56  # their sum, at most 64, in the highest byte


def border_evidence(edges: ArrayOrTensor, bits: ArrayOrTensor, weighting: BorderWeighting) -> ArrayOrTensor:
    """Extent to which each edge crosses a border [E]: `border_crossings` for "any", `border_shares` for "share".

    Raises:
        ConfigError: An unknown weighting.
    """
    check_choice("border_weighting", weighting, ("any", "share"))
    return border_crossings(edges, bits) if weighting == "any" else border_shares(edges, bits)
