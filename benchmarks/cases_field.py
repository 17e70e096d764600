"""The field's operations: the hash grid and the perceptrons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from lib.case import Case, Op, Outputs, Setup, cache, compare, row_bytes
from torch import Tensor
from torch.nn.functional import linear

from ultrafield.config import HashGridConfig, preset
from ultrafield.field.hashgrid import encode
from ultrafield.field.kernels.hashgrid_torch import encode_torch
from ultrafield.field.layout import GridLayout, grid_layout
from ultrafield.field.mlp import Mlp

# Widths of the networks of the presets, and whether a ReLU follows the last layer.
_NETWORKS = {
    "density 64→64→16": ([64, 64, 16], False),
    "colour 32→64→64→3": ([32, 64, 64, 3], False),
    "features 48→128→128": ([48, 128, 128], True),
}
# Norm of the error over the norm of the result, of the values and of the gradients. A rounded hidden value near zero
# may fall on the other side of the ReLU: the gradients' error is about the square root of the values'.
_ROUNDING = {
    "ieee": (1e-5, 5e-3),
    "fp32": (1e-5, 5e-3),
    "tf32": (1e-2, 5e-2),
    "bf16": (3e-2, 0.15),
    "half": (1e-2, 5e-2),
}


def cases(setup: Setup) -> Iterator[Case]:
    """Every operation of this kind that exists on the device."""
    size = f"{setup.samples:,} samples"
    layout = grid_layout(_grid(setup))
    size_of_grid = f"{size}, {layout.levels} × {layout.features} channels"
    yield Case("encode", size_of_grid, lambda: _encode(setup, layout))
    yield Case("encode, gradient of the table", size_of_grid, lambda: _encode_backward_table(setup, layout))
    yield Case("encode, gradient of the positions", size_of_grid, lambda: _encode_backward_x(setup, layout))
    for name, network in _NETWORKS.items():
        for label, function, precision in _multipliers(setup):
            title = f"MLP {name}, {label}"
            yield Case(title, size, lambda n=network, f=function, p=precision: _mlp(setup, *n, f, p))
            yield Case(
                f"{title}, backward", size, lambda n=network, f=function, p=precision: _mlp_backward(setup, *n, f, p)
            )


def _grid(setup: Setup) -> HashGridConfig:
    """The grid of the preset for the device."""
    if setup.quick:
        return HashGridConfig(levels=4, features=4, log2_entries=10, base_resolution=8, max_resolution=64)
    return preset("draft" if setup.device.type == "cpu" else "standard").geometry.grid


def _positions(setup: Setup) -> Tensor:
    """Samples as training has them: 32 in a row lie close together on a ray that ends near a sphere.

    Odd multiples of 2⁻¹⁴, so that a position in cells is exact in float32 and never on a border between cells, where
    the gradient of the positions jumps.
    """
    rays = -(-setup.samples // 32)
    direction = torch.nn.functional.normalize(setup.normal(rays, 3, seed=0), dim=1)
    end = 0.5 + 0.3 * torch.nn.functional.normalize(setup.normal(rays, 3, seed=1), dim=1)
    t = (torch.arange(32, device=setup.device) - 16) * 3**0.5 / 1024
    x = (end[:, None] + t[:, None] * direction[:, None]).reshape(-1, 3)[: setup.samples].clamp(0, 0.9999)
    return (torch.floor(x * 8192) + 0.5) / 8192


def _corners(setup: Setup, layout: GridLayout) -> int:
    """Bytes of the table's rows that all samples ask for: eight corners on each level."""
    return setup.samples * layout.levels * 8 * row_bytes(setup, layout.features)


def _level_cache(setup: Setup, layout: GridLayout) -> str:
    """The ceiling of reading rows: one level is read at a time."""
    rows = max(int(b - a) for a, b in pairwise(layout.offsets))
    return cache(setup, rows * 4 * layout.features)


def _encode(setup: Setup, layout: GridLayout) -> Op:
    x, table = _positions(setup), setup.normal(int(layout.offsets[-1]), layout.features, seed=2)
    function = encode
    if setup.triton:
        from ultrafield.field.kernels.hashgrid_gpu import encode_gpu as function
    moved = setup.samples * 4 * (3 + layout.channels) + _corners(setup, layout)
    return Op(
        run=torch.no_grad()(lambda: (function(x, table, layout),)),
        check=compare(lambda: (encode_torch(x.double(), table.double(), layout),), 1e-5),
        bytes=moved,
        ceiling=_level_cache(setup, layout),
    )


def _encode_backward_table(setup: Setup, layout: GridLayout) -> Op:
    x, upstream = _positions(setup), setup.normal(setup.samples, layout.channels, seed=3)
    table = setup.normal(int(layout.offsets[-1]), layout.features, seed=2)

    def wanted() -> Outputs:
        leaf = table.double().requires_grad_()
        return torch.autograd.grad(encode_torch(x.double(), leaf, layout), leaf, upstream.double())

    return Op(
        run=_table_gradient(setup, x, table, upstream, layout),
        # Thousands of gradients meet in a row of a coarse level, in any order.
        check=compare(wanted, 1e-4),
        # Each row is read, added to and written.
        bytes=setup.samples * 4 * (3 + layout.channels) + 2 * _corners(setup, layout),
        ceiling=_level_cache(setup, layout),
    )


def _table_gradient(
    setup: Setup, x: Tensor, table: Tensor, upstream: Tensor, layout: GridLayout
) -> Callable[[], Outputs]:
    """The gradient as training asks for it: on a GPU, added to a lasting buffer."""
    if setup.triton:
        from ultrafield.field.kernels.hashgrid_gpu import encode_backward_table_gpu

        buffer = torch.zeros_like(table)
        return lambda: (encode_backward_table_gpu(x, upstream, layout, out=buffer),)
    leaf = table.requires_grad_()
    encoded = encode(x, leaf, layout)
    return lambda: torch.autograd.grad(encoded, leaf, upstream, retain_graph=True)


def _encode_backward_x(setup: Setup, layout: GridLayout) -> Op:
    x, upstream = _positions(setup).requires_grad_(), setup.normal(setup.samples, layout.channels, seed=3)
    table = setup.normal(int(layout.offsets[-1]), layout.features, seed=2)
    function = encode
    if setup.triton:
        from ultrafield.field.kernels.hashgrid_gpu import encode_gpu as function
    encoded = function(x, table, layout)

    def wanted() -> Outputs:
        leaf = x.detach().double().requires_grad_()
        return torch.autograd.grad(encode_torch(leaf, table.double(), layout), leaf, upstream.double())

    return Op(
        run=lambda: torch.autograd.grad(encoded, x, upstream, retain_graph=True),
        check=compare(wanted, 1e-4),
        bytes=setup.samples * 4 * (6 + layout.channels) + _corners(setup, layout),
        ceiling=_level_cache(setup, layout),
    )


Network = Callable[[Tensor, Sequence[Tensor], bool], Tensor]


def _multipliers(setup: Setup) -> Iterator[tuple[str, Network, str]]:
    """Every way to run a network: a label, the function and how it rounds."""
    if setup.triton:
        from ultrafield.field.kernels.mlp_gpu import mlp_gpu

        # The interpreter cannot multiply bfloat16.
        for precision in ("tf32", "bf16", "ieee") if setup.device.type == "cuda" else ("tf32", "ieee"):
            yield (
                f"Triton {precision}",
                lambda x, w, final, p=precision: mlp_gpu(x, list(w), final_relu=final, precision=p),
                precision,
            )
    if setup.device.type == "cuda":
        for label, precision in (("cuBLAS fp32", "fp32"), ("cuBLAS tf32", "tf32"), ("cuBLAS half", "half")):
            yield label, _plain, precision
    elif not setup.triton:
        yield "PyTorch", _module, "fp32"


def _plain(x: Tensor, weights: Sequence[Tensor], final_relu: bool) -> Tensor:
    """A network layer by layer."""
    for index, weight in enumerate(weights):
        x = linear(x if index == 0 else torch.relu(x), weight)
    return torch.relu(x) if final_relu else x


def _module(x: Tensor, weights: Sequence[Tensor], final_relu: bool) -> Tensor:
    """The network as the fields hold it."""
    network = Mlp([x.shape[1], *(len(weight) for weight in weights)], generator=torch.Generator())
    network.weights = torch.nn.ParameterList(weights)
    return network(x, final_relu=final_relu)


def _network_inputs(setup: Setup, widths: list[int], precision: str) -> tuple[Tensor, list[Tensor], Tensor]:
    """Rows, weights and the gradient of the output, in the precision in which they are handed over."""
    dtype = torch.float16 if precision == "half" else torch.float32
    x, upstream = (setup.normal(setup.samples, width, seed=4).to(dtype) for width in (widths[0], widths[-1]))
    weights = [setup.normal(b, a, seed=5 + b).mul_((2 / a) ** 0.5).to(dtype) for a, b in pairwise(widths)]
    return x, weights, upstream


def _rounding_as(precision: str, run: Callable[[], Outputs]) -> Callable[[], Outputs]:
    """The same with PyTorch's own products of float32 rounded to TF32, or not."""

    def rounded() -> Outputs:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        try:
            return run()
        finally:
            torch.set_float32_matmul_precision("highest")

    return rounded


def _mlp(setup: Setup, widths: list[int], final_relu: bool, function: Network, precision: str) -> Op:
    x, weights, _ = _network_inputs(setup, widths, precision)

    def wanted() -> Outputs:
        return (_plain(x.double(), [weight.double() for weight in weights], final_relu),)

    return Op(
        run=_rounding_as(precision, torch.no_grad()(lambda: (function(x, weights, final_relu),))),
        check=compare(wanted, _ROUNDING[precision][0], norm=True),
        bytes=setup.samples * (widths[0] + widths[-1]) * x.element_size(),
        flops=2 * setup.samples * sum(weight.numel() for weight in weights),
        products=_products(precision),
    )


def _mlp_backward(setup: Setup, widths: list[int], final_relu: bool, function: Network, precision: str) -> Op:
    x, weights, upstream = _network_inputs(setup, widths, precision)
    weights = [torch.nn.Parameter(weight) for weight in weights]
    leaves = [x.requires_grad_(), *weights]
    out = _rounding_as(precision, lambda: (function(x, weights, final_relu),))()[0]

    def wanted() -> Outputs:
        exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
        return torch.autograd.grad(_plain(exact[0], exact[1:], final_relu), exact, upstream.double())

    return Op(
        run=_rounding_as(precision, lambda: torch.autograd.grad(out, leaves, upstream, retain_graph=True)),
        check=compare(wanted, _ROUNDING[precision][1], norm=True),
        bytes=setup.samples * (2 * widths[0] + widths[-1]) * x.element_size(),
        # Two products per layer; what a kernel computes again does not count.
        flops=4 * setup.samples * sum(weight.numel() for weight in weights),
        products=_products(precision),
    )


def _products(precision: str) -> str:
    """The ceiling of products: half precision has the rate of bfloat16."""
    return {"ieee": "fp32", "half": "bf16"}.get(precision, precision)
