"""Label maps made on a device against those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.config import SegmentConfig
from ultrafield.labels import LabelStack, ViewLabeller
from ultrafield.labels.views import cut_table, vote
from ultrafield.surface import Surface
from ultrafield.ultrametric import AffinityGraph, Tree, build_tree

pytest.importorskip("triton")

VOXEL = 0.05


def random_surface(count: int, seed: int, *, spread: float = 1.0) -> Surface:
    """Points anywhere in a box around (3, −2, 1)."""
    points = np.random.default_rng(seed).random((count, 3), np.float32) * np.float32(spread) + np.float32([3, -2, 1])
    visible = np.zeros((1, (count + 7) // 8), np.uint8)
    return Surface(points, points, np.zeros((count, 3), np.uint8), visible, VOXEL)


def tree_of(surface: Surface) -> Tree:
    """Single linkage of all pairs of points."""
    edges = np.stack(np.triu_indices(len(surface), 1), axis=1)
    lengths = np.linalg.norm(surface.points[edges[:, 0]] - surface.points[edges[:, 1]], axis=1).astype(np.float32)
    ones = np.ones(len(edges), np.float32)
    return build_tree(AffinityGraph(len(surface), edges, lengths, ones, 2.0), linkage="single")


def pixels_of(surface: Surface, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Places near the surface, far from it, and nowhere."""
    rng = np.random.default_rng(seed)
    near = surface.points[rng.integers(0, len(surface), shape)] + rng.normal(0, VOXEL, (*shape, 3)).astype(np.float32)
    chance = rng.random(shape)
    near[chance < 0.1] = np.nan
    near[(chance > 0.1) & (chance < 0.2)] += np.float32([0.0, 0.3, 0.0])
    near[0, 0] = (1e30, -1e30, 5.0)
    near[0, 1] = (np.inf, 0.0, 0.0)
    return near


def equal(one: LabelStack, other: LabelStack) -> None:
    """Nothing differs, not even the order of the columns."""
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(one.columns, other.columns)
    assert (one.index.dtype, one.columns.dtype) == (other.index.dtype, other.columns.dtype)


@pytest.mark.parametrize(
    ("count", "voters", "radius", "cuts"), [(1, 16, 4.0, 3), (40, 1, 2.0, 1), (150, 5, 3.0, 70), (400, 16, 4.0, 5)]
)
def test_labels_equal_those_of_the_cpu(kernel_device: str, count: int, voters: int, radius: float, cuts: int) -> None:
    from ultrafield.labels.on_device import DeviceLabeller

    surface = random_surface(count, seed=count)
    tree = tree_of(surface) if count > 1 else Tree(np.zeros(1, int), np.zeros(1, np.float32), np.ones(1, int))
    heights = np.linspace(0.0, tree.heights[-1], cuts).astype(np.float32)
    config = SegmentConfig(label_neighbors=voters, label_radius=radius)
    points = pixels_of(surface, (9, 13), seed=voters)
    expected = ViewLabeller(surface, tree, heights, config).stack(points)
    labels = LabelStack.of(cut_table(tree, heights).T[:, :, None])
    found = DeviceLabeller(surface, labels, voters, radius * VOXEL, kernel_device).stack(points)
    equal(found, expected)


def test_votes_of_any_table(kernel_device: str) -> None:
    """Cuts that are not nested, ties, and pixels without voters."""
    from ultrafield.labels.kernels.labels_gpu import vote_gpu

    for seed, (voters, cuts) in enumerate([(1, 1), (4, 3), (16, 50), (17, 65)]):
        rng = np.random.default_rng(seed)
        labels = LabelStack.of(rng.integers(0, 3, (cuts, 20, 1)).astype(np.int32))
        neighbors = rng.integers(0, 20, (5, 15, voters)).astype(np.int32)
        neighbors[np.arange(voters) >= rng.integers(0, voters + 1, (5, 15, 1))] = -1
        arrays = (labels.columns, labels.index[:, 0], neighbors.reshape(-1, voters))
        moved = (torch.from_numpy(np.ascontiguousarray(array)).to(kernel_device) for array in arrays)
        found, codes = (part.cpu().numpy() for part in vote_gpu(*moved))
        expected = vote(labels, neighbors).expand().reshape(cuts, -1).T
        np.testing.assert_array_equal(found, expected)
        _, same = np.unique(expected, axis=0, return_inverse=True)
        assert len(np.unique(np.stack([codes, same.ravel()]), axis=1).T) == len(np.unique(codes)) == same.max() + 1


def test_large_pictures_go_in_parts(kernel_device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultrafield.labels import on_device

    monkeypatch.setattr(on_device, "_AT_ONCE", 40)
    surface = random_surface(60, seed=3)
    tree = tree_of(surface)
    heights = np.array([0.0, 0.1, 0.3], np.float32)
    points = pixels_of(surface, (7, 11), seed=1)
    labels = LabelStack.of(cut_table(tree, heights).T[:, :, None])
    found = on_device.DeviceLabeller(surface, labels, 5, 4 * VOXEL, kernel_device).stack(points)
    config = SegmentConfig(label_neighbors=5, label_radius=4.0)
    labeller = ViewLabeller(surface, tree, heights, config)
    equal(found, labeller.stack(points))
    empty = np.zeros((0, 4, 3), np.float32)
    equal(on_device.DeviceLabeller(surface, labels, 5, 4 * VOXEL, kernel_device).stack(empty), labeller.stack(empty))


def test_rows_that_share_a_number_by_accident_are_told_apart(
    kernel_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultrafield.labels import on_device

    surface = random_surface(60, seed=3)
    tree = tree_of(surface)
    heights = np.array([0.0, 0.1, 0.3], np.float32)
    labels = LabelStack.of(cut_table(tree, heights).T[:, :, None])
    points = pixels_of(surface, (7, 11), seed=1)
    expected = on_device.DeviceLabeller(surface, labels, 5, 4 * VOXEL, kernel_device).stack(points)
    real = on_device.vote_gpu

    def colliding(*given):
        rows, codes = real(*given)
        return rows, codes % 2

    monkeypatch.setattr(on_device, "vote_gpu", colliding)
    equal(on_device.DeviceLabeller(surface, labels, 5, 4 * VOXEL, kernel_device).stack(points), expected)


def test_only_points_that_lie_equally_far_apart_in_cells_that_can_be_numbered() -> None:
    from dataclasses import replace

    from ultrafield.labels.on_device import DeviceLabeller

    surface = random_surface(20, seed=0)
    assert DeviceLabeller.suits(surface, 8 * VOXEL, 32)
    assert not DeviceLabeller.suits(surface, 9 * VOXEL, 32)
    assert not DeviceLabeller.suits(surface, 8 * VOXEL, 33)
    assert not DeviceLabeller.suits(replace(surface, inner=0.5), 0.1, 16)
    assert not DeviceLabeller.suits(random_surface(20, seed=0, spread=1e7), 0.1, 16)
    for spread in (1e30, 3e38):
        assert not DeviceLabeller.suits(random_surface(20, seed=0, spread=spread), 0.1, 16)
    empty = {name: getattr(surface, name)[:0] for name in ("points", "normals", "colors")}
    assert not DeviceLabeller.suits(replace(surface, visible=surface.visible[:, :0], **empty), 0.1, 16)


@pytest.mark.gpu
def test_a_labeller_works_on_the_device_that_it_is_given() -> None:
    surface = random_surface(3000, seed=8)
    edges = np.stack([np.arange(2999), np.arange(1, 3000)], axis=1)
    lengths = np.random.default_rng(0).random(2999).astype(np.float32)
    tree = build_tree(AffinityGraph(3000, edges, lengths, np.ones(2999, np.float32), 2.0), linkage="single")
    heights = np.linspace(0.0, 1.0, 50).astype(np.float32)
    points = pixels_of(surface, (200, 300), seed=2)
    equal(*(ViewLabeller(surface, tree, heights, device=device).stack(points) for device in ("cuda", "cpu")))
