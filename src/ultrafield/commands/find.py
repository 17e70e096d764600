"""`ultrafield find`: nodes by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from ..config.ranges import check_settings
from ..errors import ConfigError
from ..pipeline.console import Report
from .name import print_matches
from .options import MEMORY, MemoryLimit, RunArgument


@dataclass(frozen=True)
class Find(MemoryLimit):
    """Find nodes of the tree by their names; give them names with `ultrafield name`.

    Attributes:
        run: Run folder that `ultrafield segment` wrote.
        text: Text that the name holds, in capitals or not.
    """

    run: RunArgument
    text: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, MEMORY)
        if not self.text.strip():
            raise ConfigError("TEXT: expected at least one letter")

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Print the nodes, the best first."""
        from ..pipeline.naming import find_nodes
        from ..pipeline.segmentation import open_run

        report, segmentation = Report(), open_run(self.run)
        matches = find_nodes(segmentation, self.text)
        print_matches(f"Nodes called {self.text!r}", "score", matches, segmentation, report)
        if not matches:
            named = len(segmentation.names)
            hint = f"{named} nodes have names" if named else f"no node has a name yet: ultrafield name {self.run}"
            report.result(f"no name holds {self.text!r}; {hint}")
