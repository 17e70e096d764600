"""The optimiser of the steps that the host leads, against PyTorch's own."""

from __future__ import annotations

import copy
import sys

import pytest
import torch

from ultrafield.training.schedule import Adam, adam, cosine_lr


def train(field: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        cosine_lr(optimizer, step, 10, floor=0.1)
        optimizer.zero_grad(set_to_none=True)
        field(torch.linspace(-1, 1, 15).view(5, 3)).square().sum().backward()
        optimizer.step()


@pytest.fixture
def fields() -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    field = torch.nn.Linear(3, 4)
    return field, copy.deepcopy(field)


def pytorchs(field: torch.nn.Module) -> torch.optim.Adam:
    group = {"params": list(field.parameters()), "lr": 0.01, "initial_lr": 0.01}
    return torch.optim.Adam([group], betas=(0.9, 0.99), eps=1e-15, fused=True)


def test_steps_are_those_of_pytorch(fields):
    one, other = fields
    train(one, adam(one, lr=0.01, beta2=0.99), range(6))
    train(other, pytorchs(other), range(6))
    assert all(map(torch.equal, one.parameters(), other.parameters()))


def test_a_state_of_pytorchs_adam_goes_on(fields):
    one, other = fields
    before = pytorchs(other)
    train(other, before, range(3))
    one.load_state_dict(other.state_dict())
    after = adam(one, lr=0.01, beta2=0.99)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    train(one, after, range(3, 6))
    train(other, before, range(3, 6))
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    assert after.state_dict().keys() == before.state_dict().keys()


def test_no_compiler_is_imported(fields, monkeypatch):
    field, _ = fields
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # importing it fails
    optimizer = Adam(field.parameters(), lr=0.1)
    train_state = optimizer.state_dict()
    optimizer.load_state_dict(train_state)
    optimizer.zero_grad()
    field(torch.ones(1, 3)).sum().backward()
    before = field.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(field.weight, before)
