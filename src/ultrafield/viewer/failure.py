"""What cannot be done to what is shown."""

from __future__ import annotations

from ..errors import UltrafieldError


class ViewError(UltrafieldError):
    """Something that cannot be done to what is shown; the text, for the user, says why."""
