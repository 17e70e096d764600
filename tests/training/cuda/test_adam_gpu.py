"""Adam in Triton against PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ultrafield.config import HashGridConfig
from ultrafield.errors import RunError
from ultrafield.field.hashgrid import HashGrid
from ultrafield.training.schedule import adam, cosine_lr

pytest.importorskip("triton", reason="needs Triton")

from ultrafield.training.cuda.adam import FusedAdam


class Field(nn.Module):
    """Parameters of sizes that do and do not fill 16 bytes, and a grid."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.grid = HashGrid(HashGridConfig(2, 4, 8, 4, 16), generator=generator)
        self.matrix = nn.Parameter(torch.randn(3, 7, generator=generator))
        self.wide = nn.Parameter(torch.randn(40, 32, generator=generator))
        self.one = nn.Parameter(torch.randn(1, generator=generator))
        self.empty = nn.Parameter(torch.zeros(0, 4))
        self.idle = nn.Parameter(torch.ones(5))  # never has a gradient


def draw(field: Field, generator: torch.Generator) -> dict[nn.Parameter, Tensor]:
    """Gradients of every size that float32 knows how to square."""
    return {
        value: (
            torch.randn(value.shape, generator=generator)
            * 10 ** torch.empty(value.shape).uniform_(-8, 4, generator=generator)
        ).to(value.device)
        for name, value in field.named_parameters()
        if name != "idle"
    }


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("beta2", [0.99, 0.999])
def test_steps_equal_those_of_torch(beta2, sparse, kernel_device):
    field, reference = Field().to(kernel_device), Field().to(kernel_device)
    found = FusedAdam(field, lr=0.01, beta2=beta2, sparse=sparse)
    found.set_schedule(20, 0.1)
    expected = adam(reference, lr=0.01, beta2=beta2)
    generator = torch.Generator().manual_seed(1)
    for step in range(12):
        gradients = draw(field, generator)
        for parameter, other in zip(field.parameters(), reference.parameters(), strict=True):
            if parameter in gradients:
                parameter.grad, other.grad = gradients[parameter], gradients[parameter].clone()
        found.step()
        cosine_lr(expected, step, 20, floor=0.1)
        expected.step()
    for parameter, other in zip(field.parameters(), reference.parameters(), strict=True):
        # A dozen steps of at most 0.01 each, rounded differently.
        torch.testing.assert_close(parameter, other, rtol=1e-5, atol=1e-6)
    assert int(found.count) == 12


def test_entries_without_gradient_are_left_alone_and_buffers_zeroed(kernel_device):
    field = Field().to(kernel_device)
    optimizer = FusedAdam(field, lr=0.01, beta2=0.99, sparse=True)
    generator = torch.Generator().manual_seed(2)
    buffer = torch.zeros_like(field.grid.table)
    for _ in range(3):
        before = [field.grid.table.detach().clone(), *(part["grid.table"].clone() for part in _moments(optimizer))]
        buffer.copy_(torch.randn(buffer.shape, generator=generator))
        buffer[torch.rand(len(buffer), generator=generator) < 0.5] = 0.0
        buffer[::7, 1] = 0.0
        untouched = buffer == 0
        optimizer.step({field.grid.table: buffer})
        assert not buffer.any()
        after = [field.grid.table.detach(), *(part["grid.table"] for part in _moments(optimizer))]
        for old, new in zip(before, after, strict=True):
            assert torch.equal(old == new, untouched)


def _moments(optimizer: FusedAdam) -> list[dict[str, Tensor]]:
    state = optimizer.state_dict()
    return [state["average"], state["square"]]


def test_a_gradient_held_by_the_parameter_stays(kernel_device):
    field = Field().to(kernel_device)
    optimizer = FusedAdam(field, lr=0.01, beta2=0.99, sparse=True)
    field.matrix.grad = torch.ones_like(field.matrix)
    optimizer.step()
    assert (field.matrix.grad == 1).all()
    optimizer.zero_grad()
    assert field.matrix.grad is None


def test_training_goes_on_from_a_saved_state(kernel_device, tmp_path):
    straight, broken = Field().to(kernel_device), Field().to(kernel_device)
    optimizers = [FusedAdam(field, lr=0.01, beta2=0.99) for field in (straight, broken)]
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    for step in range(6):
        if step == 3:
            torch.save(optimizers[1].state_dict(), tmp_path / "state.pt")
            moments = optimizers[1].state_dict()["average"]["matrix"]
            optimizers[1].step(draw(broken, torch.Generator()))  # forgotten again
            broken.load_state_dict(straight.state_dict())
            optimizers[1].load_state_dict(torch.load(tmp_path / "state.pt", map_location="cpu", weights_only=True))
            assert optimizers[1].state_dict()["average"]["matrix"] is moments
        for field, optimizer, generator in zip((straight, broken), optimizers, generators, strict=True):
            optimizer.step(draw(field, generator))
    for one, other in zip(straight.parameters(), broken.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_state_of_another_optimiser_is_refused(kernel_device):
    field = Field().to(kernel_device)
    with pytest.raises(RunError, match="another optimiser or device"):
        FusedAdam(field, lr=0.01, beta2=0.99).load_state_dict(adam(field, lr=0.01, beta2=0.99).state_dict())
