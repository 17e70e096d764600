"""Sequences whose items are too large to be held together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class OnDemand(Sequence[_Item], Generic[_Key, _Item]):
    """Items that are made or read whenever they are asked for, each from its key.

    Attributes:
        make: Called with a key, from whichever threads ask.
        keys: The keys of the items, in their order.
    """

    make: Callable[[_Key], _Item]
    keys: Sequence[_Key]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> _Item:  # type: ignore[override]
        return self.make(self.keys[index])
