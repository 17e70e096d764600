"""The fused Triton perceptron against one matrix product after another."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs Triton")

from ultrafield.field.kernels import mlp_gpu as module
from ultrafield.field.kernels.mlp_gpu import mlp_gpu
from ultrafield.field.mlp import Mlp

SHAPES = [[3, 5], [64, 64, 16], [48, 20, 64], [32, 64, 64, 3], [17, 16, 33, 7, 20]]


def plain(x: Tensor, weights: list[Tensor], final_relu: bool) -> Tensor:
    for index, weight in enumerate(weights):
        x = (torch.relu(x) if index else x) @ weight.T
    return torch.relu(x) if final_relu else x


def inputs(widths: list[int], count: int, device: str) -> tuple[Tensor, list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(count)
    weights = [weight.detach().to(device) for weight in Mlp(widths, generator=generator).weights]
    x = torch.randn(count, widths[0], generator=generator)
    grad = torch.randn(count, widths[-1], generator=generator)
    return x.to(device), weights, grad.to(device)


def gradients(function, x: Tensor, weights: list[Tensor], grad: Tensor) -> list[Tensor]:
    """The output, the gradient of x and those of the weights."""
    x, weights = x.clone().requires_grad_(), [weight.clone().requires_grad_() for weight in weights]
    out = function(x, weights)
    return [out.detach(), *torch.autograd.grad(out, [x, *weights], grad)]


@pytest.mark.parametrize("final_relu", [False, True])
@pytest.mark.parametrize("count", [1, 131])
@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_forward_and_gradients_equal_autograd(widths, count, final_relu, kernel_device):
    x, weights, grad = inputs(widths, count, kernel_device)
    found = gradients(lambda x, w: mlp_gpu(x, w, final_relu=final_relu, precision="ieee"), x, weights, grad)
    expected = gradients(lambda x, w: plain(x, w, final_relu), x.double(), [w.double() for w in weights], grad.double())
    for one, other in zip(found, expected, strict=True):
        # Float32 sums of up to 131 terms of size about one.
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_rounded_products_stay_close(precision, kernel_device):
    if precision == "bf16" and kernel_device == "cpu":
        pytest.skip("Triton's interpreter cannot multiply bfloat16")
    x, weights, grad = inputs([64, 64, 16], 200, kernel_device)
    found = gradients(lambda x, w: mlp_gpu(x, w, precision=precision), x, weights, grad)
    expected = gradients(lambda x, w: plain(x, w, False), x, weights, grad)
    for one, other in zip(found, expected, strict=True):
        # Ten or seven bits of mantissa, and a few ReLUs that switch near zero: compared as a whole.
        assert (one - other).norm() < (0.02 if precision == "tf32" else 0.06) * other.norm()


@pytest.mark.parametrize("live", [0, 1, 64, 100, 999])
def test_rows_that_are_not_live_are_zero_and_unread(live, kernel_device, monkeypatch):
    x, weights, grad = inputs([32, 16, 3], 150, kernel_device)
    used = min(live, 150)
    x[used:], grad[used:] = torch.nan, torch.nan
    fresh = {name: getattr(owner, name) for owner, name in ((torch.Tensor, "new_empty"), (torch, "empty_like"))}

    def poisoned(name: str):
        def make(*arguments, **options) -> Tensor:
            out = fresh[name](*arguments, **options)
            return out.fill_(torch.nan) if out.is_floating_point() else out

        return make

    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned("new_empty"))
    monkeypatch.setattr(torch, "empty_like", poisoned("empty_like"))
    count = torch.tensor([live], device=kernel_device)
    out, grad_x, *grads = gradients(lambda x, w: mlp_gpu(x, w, precision="ieee", live=count), x, weights, grad)
    expected = gradients(lambda x, w: plain(x, w, False), x[:used], weights, grad[:used])
    for one, other in zip([out[:used], grad_x[:used], *grads], expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert not out[used:].any()
    assert not grad_x[used:].any()


def test_no_rows_have_no_gradient(kernel_device):
    x, weights, grad = inputs([8, 16, 3], 0, kernel_device)
    out, grad_x, *grads = gradients(lambda x, w: mlp_gpu(x, w), x, weights, grad)
    assert out.shape == (0, 3)
    assert grad_x.shape == (0, 8)
    assert not any(part.any() for part in grads)


@pytest.mark.parametrize("final_relu", [False, True])
def test_networks_that_are_too_large_are_cut(final_relu, kernel_device, monkeypatch):
    monkeypatch.setattr(module, "_BACKWARD", (module._Launch(1600, 32, 4, 1, 1),))
    x, weights, grad = inputs([32, 32, 16, 32, 16, 16, 16, 16], 90, kernel_device)
    live = torch.tensor([60], device=kernel_device)
    assert [module._fitting(weights, first) for first in range(7)] == [2, 4, 6, 7, 7, 7, 7]
    function = partial(mlp_gpu, final_relu=final_relu, precision="ieee")
    found = gradients(function, x, weights, grad)
    expected = gradients(lambda x, w: plain(x, w, final_relu), x, weights, grad)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    out = function(x, weights, live=live)
    torch.testing.assert_close(out[:60], found[0][:60])
    assert not out[60:].any()


@pytest.mark.parametrize("frozen", ["x", "first", "weights"])
def test_only_wanted_gradients_are_computed(frozen, kernel_device):
    x, weights, grad = inputs([16, 24, 8], 40, kernel_device)
    everything = gradients(lambda x, w: mlp_gpu(x, w), x, weights, grad)[1:]
    x.requires_grad_(frozen != "x")
    weights[0].requires_grad_(frozen == "x")
    weights[1].requires_grad_(frozen != "weights")
    mlp_gpu(x, weights).backward(grad)
    for tensor, expected in zip([x, *weights], everything, strict=True):
        assert (tensor.grad is None) != tensor.requires_grad
        if tensor.requires_grad:  # the same sums, compiled another way
            torch.testing.assert_close(tensor.grad, expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_the_same_every_time(kernel_device):
    x, weights, grad = inputs([32, 64, 3], 300, kernel_device)
    first, second = (gradients(lambda x, w: mlp_gpu(x, w), x, weights, grad) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_weights_without_room_in_shared_memory_are_read_where_they_are_needed(kernel_device, monkeypatch):
    monkeypatch.setattr(module._Device, "of", classmethod(lambda cls, device: cls(processors=1, shared_memory=0)))
    x, weights, grad = inputs([32, 48, 20, 3], 200, kernel_device)
    found = gradients(lambda x, w: mlp_gpu(x, w, precision="ieee"), x, weights, grad)
    expected = gradients(lambda x, w: plain(x, w, False), x.double(), [w.double() for w in weights], grad.double())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


def test_a_device_with_less_shared_memory_holds_fewer_weights():
    hopper, ada = (module._Device(processors=132, shared_memory=kilobytes << 10) for kilobytes in (227, 99))
    assert hopper.holds(128 * 128, "tf32")
    assert not hopper.holds(128 * 128 + 256, "tf32")
    assert hopper.holds(24576, "bf16")
    assert not ada.holds(256, "bf16")
