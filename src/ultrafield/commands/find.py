"""`ultrafield find`: nodes by name, or by what they look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from ..config.ranges import Range, check_settings
from ..errors import ConfigError, in_shell
from ..pipeline.console import Report
from .name import print_matches
from .options import MEMORY, Device, MemoryLimit, RunArgument

if TYPE_CHECKING:
    from ..pipeline.naming import Scorer

_LIMITS = MEMORY | {"top": Range(1, 1_000_000)}


@dataclass(frozen=True)
class Find(MemoryLimit):
    """Find nodes of the tree by their names (`ultrafield name`) and, with --model, by what they look like.

    Attributes:
        run: Run folder that `ultrafield segment` wrote.
        text: Text that the name holds, in capitals or not; with --model, what is looked for, in your words.
        model: CLIP or SigLIP as transformers saves it: a folder, or a model on the Hugging Face hub (OWNER/NAME).
        top: Nodes to show.
        device: Where to compute; auto takes CUDA if there is one.
    """

    run: RunArgument
    text: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]
    model: Annotated[str | None, tyro.conf.arg(metavar="FOLDER|OWNER/NAME")] = None
    top: int = 40
    device: Device = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, _LIMITS)
        if not self.text.strip():
            raise ConfigError("TEXT: expected at least one letter")

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Print the nodes, the best first."""
        from ..pipeline.folder import RunFolder
        from ..pipeline.naming import by_name, find_nodes
        from ..pipeline.segmentation import open_run

        report = Report()
        RunFolder(self.run).tidy()
        scorers: list[Scorer] = [by_name]
        if self.model is not None:
            from ..pipeline.word_names import WordScorer

            scorers.append(WordScorer.of(self.model, self.device, report))
        segmentation = open_run(self.run)
        matches = find_nodes(segmentation, self.text, scorers)
        title = f"Nodes called {self.text!r}" if self.model is None else f"Nodes for {self.text!r}"
        print_matches(title, "score", matches, segmentation, report, most=self.top)
        if not matches:
            named = len(segmentation.names)
            none = f"no node has a name yet: ultrafield name {in_shell(self.run)}"
            hint = f"{named} nodes have names" if named else none
            report.result(f"no name holds {self.text!r}; {hint}")
