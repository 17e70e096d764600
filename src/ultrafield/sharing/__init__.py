"""One scene on several GPUs of one host: a process for each GPU, which calls functions with the others."""

from __future__ import annotations

from .group import ALONE, Group
from .member import Member
from .team import Team

__all__ = ["ALONE", "Group", "Member", "Team"]
