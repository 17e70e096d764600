"""Code that asks for single precision, run in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch


@contextmanager
def double_precision() -> Iterator[None]:
    """Within it float64 is PyTorch's default, and what code that names float32 gets.

    What was bound to a name before, such as the default of an argument, remains float32.
    """
    default = torch.get_default_dtype()
    double: Any = torch.float64
    with (
        mock.patch.object(torch, "float", double),
        mock.patch.object(torch, "float32", double),
        mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
    ):
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(default)
