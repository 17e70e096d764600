"""Adam whose step count and learning rate live on the device, so that a CUDA graph can replay its steps.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; gradients that are zero are skipped as in
Müller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", 2022, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import RunError
from ...field.hashgrid import HashGrid

_BETA1, _EPS = 0.9, 1e-15


class FusedAdam:
    """Adam with β₁ 0.9 and ε 1e-15 on all parameters of a field, in Triton and without a wait for the device.

    Args:
        field: Module whose parameters are optimised; float32, all on one device.
        lr: Initial learning rate.
        beta2: Decay of squared gradients.
        sparse: Whether entries of a hash grid whose gradient is exactly zero, and their moments, stay unchanged in a
            step. Otherwise a step is that of `torch.optim.Adam`.

    Attributes:
        count: Steps done [1], int64, on the device.
        lr: Initial learning rate [1], float64, on the device.
    """

    def __init__(self, field: nn.Module, *, lr: float, beta2: float, sparse: bool = False) -> None:
        self._parameters = dict(field.named_parameters())
        self._sparse = {id(module.table) for module in field.modules() if sparse and isinstance(module, HashGrid)}
        self._betas, self._steps, self._floor = (_BETA1, beta2), 0, 1.0
        device = next(iter(self._parameters.values())).device
        self.count = torch.zeros(1, dtype=torch.int64, device=device)
        self.lr = torch.full((1,), lr, dtype=torch.float64, device=device)
        self._rates = torch.zeros(2, device=device)
        self._average = {name: torch.zeros_like(value.detach()) for name, value in self._parameters.items()}
        self._square = {name: torch.zeros_like(value.detach()) for name, value in self._parameters.items()}

    def set_schedule(self, steps: int, floor: float) -> None:
        """Let the learning rate fall to the fraction `floor` of `lr` along half a cosine over `steps` steps."""
        self._steps, self._floor = steps, floor

    def zero_grad(self) -> None:
        """Drop the gradients of the parameters."""
        for parameter in self._parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, gradients: Mapping[Tensor, Tensor] | None = None) -> None:
        """Update all parameters that have a gradient.

        Args:
            gradients: Contiguous gradient buffers of some parameters, read instead of their `grad`, and zeroed.
        """
        from .kernels.adam_gpu import adam_gpu, advance_gpu  # Triton exists only beside CUDA builds

        buffers = {id(parameter): buffer for parameter, buffer in (gradients or {}).items()}
        advance_gpu(self.count, self.lr, self._rates, betas=self._betas, steps=self._steps, floor=self._floor)
        for name, parameter in self._parameters.items():
            gradient = buffers.get(id(parameter), parameter.grad)
            if gradient is not None:
                adam_gpu(
                    parameter,
                    gradient.contiguous(),
                    self._average[name],
                    self._square[name],
                    self._rates,
                    betas=self._betas,
                    eps=_EPS,
                    sparse=id(parameter) in self._sparse,
                    clear=id(parameter) in buffers,
                )

    def state_dict(self) -> dict[str, Any]:
        """Step count, learning rate, and moments by parameter name."""
        return {"step": self.count, "lr": self.lr, "average": dict(self._average), "square": dict(self._square)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Return to a saved state, in place, so that captured graphs stay valid.

        Raises:
            RunError: The state is that of other parameters.
        """
        own = self.state_dict()
        if _shapes(state) != _shapes(own):
            raise RunError("the training state is that of another optimiser or device; delete it to start afresh")
        for key in ("step", "lr"):
            own[key].copy_(state[key])
        for key in ("average", "square"):
            for name, value in own[key].items():
                value.copy_(state[key][name])


def _shapes(state: dict[str, Any]) -> dict[str, Any]:
    """Shapes of a state's tensors, nested like the state."""
    return {
        key: tuple(value.shape) if isinstance(value, Tensor) else _shapes(value) if isinstance(value, dict) else None
        for key, value in state.items()
    }
