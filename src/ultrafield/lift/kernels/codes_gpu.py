"""Where one view sees every surface point, and the masks that hold it there, in Triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 128


def pinhole_cells_gpu(points: Tensor, visible: Tensor, camera: Tensor, width: int, height: int) -> Tensor:
    """The pixel of a view without distortion that holds each point, by the very arithmetic of `pinhole_cells_cpu`.

    Args:
        points: [N, 3], float32, the camera's frame.
        visible: Whether the view sees the point [ceil(N / 8)], uint8, packed along N (little-endian bit order).
        camera: Camera to world, row by row, then fx, fy, cx, cy in pixels [16], float64.
        width: Of the picture, pixels.
        height: Likewise.

    Returns:
        Row-major index of the pixel [N], int32; -1 where the point is not seen or falls beside the picture.
    """
    cells = torch.empty(len(points), dtype=torch.int32, device=points.device)
    if len(points):
        # Fused multiply-adds would round otherwise than the CPU does, and move points across the borders of pixels.
        _cells_kernel[(triton.cdiv(len(points), _BLOCK),)](
            points, visible, camera, cells, len(points), width, height, BLOCK=_BLOCK, enable_fp_fusion=False
        )
    return cells


def cell_codes_gpu(cells: Tensor, bits: Tensor, masks: int) -> tuple[Tensor, Tensor, Tensor]:
    """The masks that hold each point, by the membership of its pixel, and how many points each mask holds.

    Args:
        cells: Row of `bits` of each point [N], int32; -1 where it is not seen.
        bits: Packed memberships [P, ceil(M / 64)], int64.
        masks: Number of masks M; what none of them holds gets bit M.

    Returns:
        Packed memberships [N, W] with W = M // 64 + 1, int64, zero where not seen; which points are seen [N], bool;
        and the points in each mask [64 W], int32.
    """
    count, words = len(cells), masks // 64 + 1
    codes = torch.empty(count, words, dtype=torch.int64, device=cells.device)
    seen = torch.empty(count, dtype=torch.bool, device=cells.device)
    members = torch.zeros(64 * words, dtype=torch.int32, device=cells.device)
    if count:
        _codes_kernel[(triton.cdiv(count, _BLOCK),)](
            cells, bits, codes, seen, members, count, masks, bits.shape[1], BLOCK=_BLOCK
        )
    return codes, seen, members


@triton.jit(do_not_specialize=["width", "height"])
def _cells_kernel(points, visible, camera, cells, count, width, height, BLOCK: tl.constexpr):
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = point < count
    packed = tl.load(visible + (point >> 3), mask=real, other=0).to(tl.int32)
    seen = ((packed >> (point & 7).to(tl.int32)) & 1) > 0
    x = tl.load(points + 3 * point, mask=seen, other=0.0).to(tl.float64) - tl.load(camera + 3)
    y = tl.load(points + 3 * point + 1, mask=seen, other=0.0).to(tl.float64) - tl.load(camera + 7)
    z = tl.load(points + 3 * point + 2, mask=seen, other=0.0).to(tl.float64) - tl.load(camera + 11)
    depth = x * tl.load(camera + 2) + y * tl.load(camera + 6) + z * tl.load(camera + 10)
    before = seen & (depth > 0)
    depth = tl.where(before, depth, 1.0)
    across = (x * tl.load(camera) + y * tl.load(camera + 4) + z * tl.load(camera + 8)) / depth
    down = (x * tl.load(camera + 1) + y * tl.load(camera + 5) + z * tl.load(camera + 9)) / depth
    column = across * tl.load(camera + 12) + tl.load(camera + 14)
    row = down * tl.load(camera + 13) + tl.load(camera + 15)
    inside = before & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    column, row = tl.where(inside, column, 0.0), tl.where(inside, row, 0.0)
    tl.store(cells + point, tl.where(inside, row.to(tl.int32) * width + column.to(tl.int32), -1), mask=real)


@triton.jit(do_not_specialize=["masks", "given"])
def _codes_kernel(cells, bits, codes, seen, members, count, masks, given, BLOCK: tl.constexpr):
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = point < count
    cell = tl.load(cells + point, mask=real, other=-1).to(tl.int64)
    visible = cell >= 0
    tl.store(seen + point, visible, mask=real)
    words = masks // 64 + 1
    lane = tl.arange(0, 64)
    covered = tl.zeros([BLOCK], tl.int64)
    for word in range(words):
        place = word + tl.zeros([BLOCK], tl.int32)
        code = tl.load(bits + cell * given + place, mask=visible & (place < given), other=0)
        covered = covered | code
        uncovered = visible & (covered == 0) & (place == words - 1)
        code = tl.where(uncovered, code | (tl.full([BLOCK], 1, tl.int64) << (masks % 64)), code)
        tl.store(codes + point * words + word, code, mask=real)
        # Few masks hold any of the points of one program, which lie side by side.
        points = tl.sum(((code[:, None] >> lane[None, :].to(tl.int64)) & 1).to(tl.int32), axis=0)
        tl.atomic_add(members + 64 * word + lane, points, mask=points > 0, sem="relaxed")
