"""Codes of points against pixels found by `project`, through every lens and on the very borders of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from toy_scene import look_at

from ultrafield.cameras import Cameras, Lens
from ultrafield.cameras.projection import pixel_indices, project
from ultrafield.lift.codes import point_cells, point_codes
from ultrafield.lift.kernels.codes_cpu import cell_codes_cpu
from ultrafield.masks import MaskSet, build_mask_set
from ultrafield.surface import Surface

LENSES = {
    "pinhole": (Lens.PINHOLE, [0.0] * 8),
    "opencv": (Lens.OPENCV, [-0.12, 0.03, 0.002, -0.001, 0.004, 0.0, 0.0, 0.0]),
    "fisheye": (Lens.FISHEYE, [0.05, -0.01, 0.003, -0.0005, 0.0, 0.0, 0.0, 0.0]),
}
SHAPE = (37, 50)  # of the masks; the cameras' pictures have twice the size


@dataclass(frozen=True)
class Case:
    surface: Surface
    cameras: Cameras
    masks: MaskSet


def make_case(lens: str, masks: int, *, points: int = 3000, seed: int = 0) -> Case:
    """Points all around two cameras, half of them said to be seen, and boxes of masks."""
    generator = np.random.default_rng(seed)
    model, distortion = LENSES[lens]
    poses = np.stack(
        [look_at(np.array([1.5, 0.4, 0.6]), np.zeros(3)), look_at(np.array([-0.2, 0.9, 0.1]), np.zeros(3))]
    )
    sizes = np.array([SHAPE[::-1]] * 2) * 2
    intrinsics = np.array([[80.0, 88.0, 51.3, 35.9]] * 2)
    cameras = Cameras(poses, intrinsics, sizes, np.full(2, model), np.array([distortion] * 2))
    flags = np.zeros((masks, *SHAPE), bool)
    for flag in flags:
        row, column = generator.integers(0, SHAPE[0]), generator.integers(0, SHAPE[1])
        flag[row : row + generator.integers(1, 20), column : column + generator.integers(1, 20)] = True
    seen = generator.random((2, points)) < 0.5
    return Case(bare_surface(generator.uniform(-2, 2, (points, 3)), seen), cameras, build_mask_set(flags))


def bare_surface(points: np.ndarray, seen: np.ndarray) -> Surface:
    count = len(points)
    visible = np.packbits(seen, axis=1, bitorder="little")
    normals = np.zeros((count, 3), np.float32)
    return Surface(points.astype(np.float32), normals, np.zeros((count, 3), np.uint8), visible, 0.01)


def slow_cells(case: Case, index: int) -> np.ndarray:
    height, width = case.masks.shape
    camera = case.cameras[[index]].resized(np.array([[width, height]]))
    cells = pixel_indices(project(camera, 0, case.surface.points)[0], width, height)
    return np.where(case.surface.seen_from(index), cells, -1)


def slow_codes(cells: np.ndarray, masks: MaskSet) -> np.ndarray:
    """Membership of each point in each mask, then in none of them [N, M + 1] bool."""
    flags = masks.masks().reshape(len(masks), masks.shape[0] * masks.shape[1])
    flags = np.concatenate([flags, ~flags.any(axis=0, keepdims=True)])
    return (flags[:, np.maximum(cells, 0)] & (cells >= 0)).T


def unpacked(codes: np.ndarray, count: int) -> np.ndarray:
    """Flags [N, count] of packed memberships [N, W]; no other bit may be set."""
    flags = np.unpackbits(np.ascontiguousarray(codes).view(np.uint8), axis=1, bitorder="little").astype(bool)
    assert not flags[:, count:].any()
    return flags[:, :count]


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("masks", [1, 63, 64, 65, 130])
def test_codes_equal_the_definition(lens: str, masks: int) -> None:
    case = make_case(lens, masks)
    for index in range(2):
        cells = slow_cells(case, index)
        np.testing.assert_array_equal(point_cells(case.surface, case.cameras, index, SHAPE), cells)
        codes, seen = point_codes(case.surface, case.cameras, index, case.masks)
        np.testing.assert_array_equal(seen, cells >= 0)
        np.testing.assert_array_equal(unpacked(codes, masks + 1), slow_codes(cells, case.masks))
        assert 0 < seen.sum() < case.surface.seen_from(index).sum()  # some lie behind the camera, some beside


@pytest.mark.parametrize("points", [0, 1, 7, 8, 9])
def test_few_points(points: int) -> None:
    case = make_case("pinhole", 3, points=points)
    codes, seen = point_codes(case.surface, case.cameras, 0, case.masks)
    np.testing.assert_array_equal(seen, slow_cells(case, 0) >= 0)
    assert codes.shape == (points, 1)


def border_case() -> tuple[Case, np.ndarray]:
    """Points that fall exactly on the borders of pixels of a picture of 8 × 4, and the pixels that hold them."""
    columns, rows = (grid.ravel() for grid in np.meshgrid(np.arange(-1.0, 10.0), np.arange(-1.0, 6.0)))
    local = np.stack([(columns - 4) / 16, (rows - 2) / 16, np.ones(len(rows))], axis=1)
    points = np.concatenate([local, -local, local * [1, 1, 0]])  # the others are behind the camera, or beside it
    cells = np.where((columns >= 0) & (columns < 8) & (rows >= 0) & (rows < 4), rows * 8 + columns, -1)
    cameras = Cameras.pinhole(np.eye(4)[None], [16.0, 16.0, 4.0, 2.0], [8, 4])
    masks = build_mask_set(np.ones((1, 4, 8), bool))
    surface = bare_surface(points, np.ones((1, len(points)), bool))
    return Case(surface, cameras, masks), np.concatenate([cells, np.full(2 * len(cells), -1)]).astype(np.int64)


def test_a_pixel_holds_its_upper_and_left_border() -> None:
    case, expected = border_case()
    np.testing.assert_array_equal(point_cells(case.surface, case.cameras, 0, (4, 8)), expected)
    np.testing.assert_array_equal(slow_cells(case, 0), expected)


def cells_on_device(case: Case, index: int, device: str) -> np.ndarray:
    from ultrafield.lift.kernels.codes_gpu import pinhole_cells_gpu
    from ultrafield.lift.votes_device import flat_camera

    height, width = case.masks.shape
    camera = torch.from_numpy(flat_camera(case.cameras, index, (height, width))).to(device)
    points, visible = (torch.from_numpy(array).to(device) for array in (case.surface.points, case.surface.visible))
    return pinhole_cells_gpu(points, visible[index], camera, width, height).cpu().numpy()


@pytest.mark.parametrize("points", [0, 1, 129, 3000])
def test_cells_in_triton_are_those_of_the_cpu(points: int, kernel_device: str) -> None:
    case = make_case("pinhole", 3, points=points, seed=points)
    for index in range(2):
        expected = point_cells(case.surface, case.cameras, index, SHAPE)
        np.testing.assert_array_equal(cells_on_device(case, index, kernel_device), expected)


def test_borders_in_triton_are_those_of_the_cpu(kernel_device: str) -> None:
    case, expected = border_case()
    np.testing.assert_array_equal(cells_on_device(case, 0, kernel_device), expected)


@pytest.mark.parametrize("masks", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("points", [0, 1, 300])
def test_codes_in_triton_are_those_of_the_cpu(masks: int, points: int, kernel_device: str) -> None:
    from ultrafield.lift.kernels.codes_gpu import cell_codes_gpu

    bits = make_case("pinhole", masks, points=1).masks.bits.reshape(SHAPE[0] * SHAPE[1], -1)
    cells = np.random.default_rng(points).integers(-1, len(bits), points)
    cells[: points // 3] = -1
    given = torch.from_numpy(cells.astype(np.int32)), torch.from_numpy(bits.view(np.int64))
    codes, seen, members = cell_codes_gpu(*(tensor.to(kernel_device) for tensor in given), masks)
    expected, expected_seen = cell_codes_cpu(cells, bits, masks)
    np.testing.assert_array_equal(codes.cpu().numpy().view(np.uint64), expected)
    np.testing.assert_array_equal(seen.cpu().numpy(), expected_seen)
    counts = np.zeros(64 * expected.shape[1], np.int64)
    counts[: masks + 1] = unpacked(expected, masks + 1).sum(axis=0)
    np.testing.assert_array_equal(members.cpu().numpy(), counts)
