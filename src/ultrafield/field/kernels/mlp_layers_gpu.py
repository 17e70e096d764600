"""The two passes of a perceptron in Triton, of up to four layers.

Layer n maps C(n) channels to C(n + 1), padded to P(n) and P(n + 1); layers that there are not have C(n + 1) = 0.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _product(a, b, PRECISION: tl.constexpr):
    """Matrix product with float32 sums."""
    if PRECISION == "bf16":
        return tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16))
    else:
        return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def _load_rows(rows, row, real, C: tl.constexpr, P: tl.constexpr):
    """Tile [BLOCK, P] of an array [S, C], zero where there is nothing."""
    column = tl.arange(0, P)[None, :]
    if P == C:
        return tl.load(rows + row[:, None] * C + column, mask=real[:, None], other=0.0)
    else:
        return tl.load(rows + row[:, None] * C + column, mask=real[:, None] & (column < C), other=0.0)


@triton.jit
def _store_rows(rows, row, real, tile, C: tl.constexpr, P: tl.constexpr):
    """Write a tile [BLOCK, P] to an array [S, C]."""
    column = tl.arange(0, P)[None, :]
    if P == C:
        tl.store(rows + row[:, None] * C + column, tile, mask=real[:, None])
    else:
        tl.store(rows + row[:, None] * C + column, tile, mask=real[:, None] & (column < C))


@triton.jit
def _load_weight(weight, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr):
    """A matrix [CO, CI] padded with zeros to [PO, PI]."""
    out = tl.arange(0, PO)[:, None]
    column = tl.arange(0, PI)[None, :]
    if PO == CO and PI == CI:
        return tl.load(weight + out * CI + column)
    else:
        return tl.load(weight + out * CI + column, mask=(out < CO) & (column < CI), other=0.0)


@triton.jit
def _store_weight(weight, tile, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr):
    """Write a matrix [CO, CI] that is padded to [PO, PI]."""
    out = tl.arange(0, PO)[:, None]
    column = tl.arange(0, PI)[None, :]
    tl.store(weight + out * CI + column, tile, mask=(out < CO) & (column < CI))


@triton.jit
def _held(weight, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr, HELD: tl.constexpr):
    """The matrix, or just its address if shared memory has no room for it: then `_matrix` reads it when needed."""
    if HELD:
        return _load_weight(weight, CO, CI, PO, PI)
    else:
        return weight


@triton.jit
def _matrix(held, CO: tl.constexpr, CI: tl.constexpr, PO: tl.constexpr, PI: tl.constexpr, HELD: tl.constexpr):
    """The matrix behind what `_held` returned."""
    if HELD:
        return held
    else:
        return _load_weight(held, CO, CI, PO, PI)


@triton.jit
def _relu(x):
    return tl.maximum(x, 0.0)


@triton.jit
def _in_use(live, count):
    """Number of real rows."""
    used = tl.zeros([], tl.int64) + count
    if live is not None:
        used = tl.minimum(used, tl.load(live))
    return used


@triton.jit
def _clear_rest(rows, used, count, C: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr):
    """Write zeros to the tiles without any real row."""
    for tile in range(tl.cdiv(used, BLOCK) + tl.program_id(0), tl.cdiv(count, BLOCK), tl.num_programs(0)):
        row = tile * BLOCK + tl.arange(0, BLOCK)
        _store_rows(rows, row, row < count, tl.zeros([BLOCK, P], tl.float32), C, P)


@triton.jit
def forward_kernel(
    x,
    w0,
    w1,
    w2,
    w3,
    out,
    live,
    count,
    C0: tl.constexpr,
    C1: tl.constexpr,
    C2: tl.constexpr,
    C3: tl.constexpr,
    C4: tl.constexpr,
    P0: tl.constexpr,
    P1: tl.constexpr,
    P2: tl.constexpr,
    P3: tl.constexpr,
    P4: tl.constexpr,
    FINAL_RELU: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
):
    used = _in_use(live, count)
    CN: tl.constexpr = C4 if C4 else (C3 if C3 else (C2 if C2 else C1))
    PN: tl.constexpr = P4 if C4 else (P3 if C3 else (P2 if C2 else P1))
    m0 = _load_weight(w0, C1, C0, P1, P0)
    if C2:
        m1 = _load_weight(w1, C2, C1, P2, P1)
    if C3:
        m2 = _load_weight(w2, C3, C2, P3, P2)
    if C4:
        m3 = _load_weight(w3, C4, C3, P4, P3)
    for tile in range(tl.program_id(0), tl.cdiv(used, BLOCK), tl.num_programs(0)):
        row = tile * BLOCK + tl.arange(0, BLOCK)
        # Rows that are not real are zero, and without biases so is what becomes of them.
        hidden = _load_rows(x, row, row < used, C0, P0)
        hidden = _product(hidden, tl.trans(m0), PRECISION)
        if C2:
            hidden = _product(_relu(hidden), tl.trans(m1), PRECISION)
        if C3:
            hidden = _product(_relu(hidden), tl.trans(m2), PRECISION)
        if C4:
            hidden = _product(_relu(hidden), tl.trans(m3), PRECISION)
        if FINAL_RELU:
            hidden = _relu(hidden)
        _store_rows(out, row, row < count, hidden, CN, PN)
    _clear_rest(out, used, count, CN, PN, BLOCK)


@triton.jit
def backward_kernel(
    x,
    w0,
    w1,
    w2,
    w3,
    grad,
    grad_x,
    partial,
    live,
    count,
    total,
    start0,
    start1,
    start2,
    start3,
    C0: tl.constexpr,
    C1: tl.constexpr,
    C2: tl.constexpr,
    C3: tl.constexpr,
    C4: tl.constexpr,
    P0: tl.constexpr,
    P1: tl.constexpr,
    P2: tl.constexpr,
    P3: tl.constexpr,
    P4: tl.constexpr,
    FINAL_RELU: tl.constexpr,
    PRECISION: tl.constexpr,
    HELD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    # Layer n maps h(n) to h(n + 1); d(n) [outputs, inputs] is the gradient of its weights.
    used = _in_use(live, count)
    d0 = tl.zeros([P1, P0], tl.float32)
    if C2:
        d1 = tl.zeros([P2, P1], tl.float32)
    if C3:
        d2 = tl.zeros([P3, P2], tl.float32)
    if C4:
        d3 = tl.zeros([P4, P3], tl.float32)
    m0 = _held(w0, C1, C0, P1, P0, HELD)
    if C2:
        m1 = _held(w1, C2, C1, P2, P1, HELD)
    if C3:
        m2 = _held(w2, C3, C2, P3, P2, HELD)
    if C4:
        m3 = _held(w3, C4, C3, P4, P3, HELD)
    for tile in range(tl.program_id(0), tl.cdiv(used, BLOCK), tl.num_programs(0)):
        row = tile * BLOCK + tl.arange(0, BLOCK)
        real = row < used
        h0 = _load_rows(x, row, real, C0, P0)
        if C2 or FINAL_RELU:
            h1 = _relu(_product(h0, tl.trans(_matrix(m0, C1, C0, P1, P0, HELD)), PRECISION))
        if C3 or (C2 and FINAL_RELU):
            h2 = _relu(_product(h1, tl.trans(_matrix(m1, C2, C1, P2, P1, HELD)), PRECISION))
        if C4 or (C3 and FINAL_RELU):
            h3 = _relu(_product(h2, tl.trans(_matrix(m2, C3, C2, P3, P2, HELD)), PRECISION))
        if C4:
            slope = _load_rows(grad, row, real, C4, P4)
            if FINAL_RELU:
                slope = tl.where(_product(h3, tl.trans(_matrix(m3, C4, C3, P4, P3, HELD)), PRECISION) > 0, slope, 0.0)
            d3 += _product(tl.trans(slope), h3, PRECISION)
            slope = _product(slope, _matrix(m3, C4, C3, P4, P3, HELD), PRECISION)
            slope = tl.where(h3 > 0, slope, 0.0)
        elif C3:
            slope = _load_rows(grad, row, real, C3, P3)
            if FINAL_RELU:
                slope = tl.where(h3 > 0, slope, 0.0)
        if C3:
            d2 += _product(tl.trans(slope), h2, PRECISION)
            slope = _product(slope, _matrix(m2, C3, C2, P3, P2, HELD), PRECISION)
            slope = tl.where(h2 > 0, slope, 0.0)
        elif C2:
            slope = _load_rows(grad, row, real, C2, P2)
            if FINAL_RELU:
                slope = tl.where(h2 > 0, slope, 0.0)
        if C2:
            d1 += _product(tl.trans(slope), h1, PRECISION)
            slope = _product(slope, _matrix(m1, C2, C1, P2, P1, HELD), PRECISION)
            slope = tl.where(h1 > 0, slope, 0.0)
        else:
            slope = _load_rows(grad, row, real, C1, P1)
            if FINAL_RELU:
                slope = tl.where(h1 > 0, slope, 0.0)
        d0 += _product(tl.trans(slope), h0, PRECISION)
        if grad_x is not None:
            slope = _product(slope, _matrix(m0, C1, C0, P1, P0, HELD), PRECISION)
            _store_rows(grad_x, row, row < count, slope, C0, P0)
    if grad_x is not None:
        _clear_rest(grad_x, used, count, C0, P0, BLOCK)
    if partial is not None:
        sums = partial + tl.program_id(0).to(tl.int64) * total
        _store_weight(sums + start0, d0, C1, C0, P1, P0)
        if C2:
            _store_weight(sums + start1, d1, C2, C1, P2, P1)
        if C3:
            _store_weight(sums + start2, d2, C3, C2, P3, P2)
        if C4:
            _store_weight(sums + start3, d3, C4, C3, P4, P3)
