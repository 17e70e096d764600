"""Progress bars: drawn on a terminal, silent elsewhere, and never in the way of the items."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ultrafield.progress import progress_bar, track


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=100), text


@pytest.mark.parametrize(("terminal", "show"), [(True, True), (False, True), (True, False)])
def test_bars_are_drawn_on_terminals_if_wanted(terminal, show):
    target, text = console(terminal=terminal)
    assert list(track("abc", "letters", 3, show=show, console=target)) == ["a", "b", "c"]
    assert ("letters" in text.getvalue()) == (terminal and show)


def test_work_done_before_counts():
    target, text = console(terminal=True)
    list(track([8], "steps", 10, done=8, console=target))
    assert "90%" in text.getvalue()


def test_a_block_says_how_far_it_is():
    target, text = console(terminal=True)
    with progress_bar("pixels", 4, console=target) as advance:
        advance(3)
    assert "75%" in text.getvalue()


def test_an_error_passes_through():
    target, _ = console(terminal=True)
    with pytest.raises(KeyboardInterrupt), progress_bar("pixels", 4, console=target):
        raise KeyboardInterrupt
