"""Progress bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

_Item = TypeVar("_Item")


@contextmanager
def progress_bar(
    name: str, total: int, *, show: bool = True, console: Console | None = None
) -> Iterator[Callable[[int], None]]:
    """Show a bar for the length of a block, where `console` is a terminal.

    Args:
        name: Text in front of the bar.
        total: Amount of work in all.
        show: Whether to show the bar at all.
        console: Where to draw; stderr by default.

    Yields:
        A function that takes the amount of work done so far.
    """
    if not show:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    target = console or Console(stderr=True)
    with Progress(console=target, transient=True, disable=not target.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.update(task, completed=done)


def track(
    items: Iterable[_Item],
    name: str,
    total: int,
    *,
    done: int = 0,
    show: bool = True,
    console: Console | None = None,
) -> Iterator[_Item]:
    """Iterate over `items` with a progress bar that one item moves by one.

    Args:
        items: What is iterated over.
        name: Text in front of the bar.
        total: Number of items, including the first `done` ones.
        done: Number of items that were finished before and are not in `items`.
        show: Whether to show the bar at all.
        console: Where to draw; stderr by default.
    """
    with progress_bar(name, total, show=show, console=console) as advance:
        advance(done)
        for count, item in enumerate(items, start=done + 1):
            yield item
            advance(count)
