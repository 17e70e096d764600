"""`ultrafield name`: names for nodes, from ground truth, a table, words and a network, or the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..config.ranges import FRACTION, Range, check_settings
from ..errors import ConfigError
from ..names import check_title
from ..pipeline.console import Report, figure
from ..pipeline.folder import RunFolder
from .options import MEMORY, Device, MemoryLimit, RunArgument, Switch

if TYPE_CHECKING:
    from ..pipeline.naming import Match
    from ..pipeline.segmentation import Segmentation

_LIMITS = MEMORY | {"iou": Range(0.0, 1.0, above=True), "node": Range(0, 1 << 40), "least": FRACTION}
_SHOWN = 40  # names that are printed


@dataclass(frozen=True)
class Name(MemoryLimit):
    """Give nodes of the tree names: from ground truth if nothing else is said. Names are kept in RUN/edits.json.

    Attributes:
        run: Run folder that `ultrafield segment` wrote.
        csv: Table with rows NODE,NAME or LEVEL:NODE,NAME (level 0 is the coarsest).
        node: Node to name; needs --name.
        name: Its name; empty takes its name away.
        model: CLIP or SigLIP as transformers saves it, a folder or a model on the Hugging Face hub (OWNER/NAME), which
            gives each node the one of --words that fits it best.
        words: Names to choose from, between commas, or a file with one on each line.
        least: Score from which a node has a word as its name; at one half it fits better than "object" or "stuff".
        device: Where to compute; auto takes CUDA if there is one.
        iou: How well a node must fit a true segment to have its name.
        overwrite: Let ground truth or words rename nodes that have a name.
    """

    run: RunArgument
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    node: Annotated[int | None, tyro.conf.arg(metavar="ID")] = None
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    model: Annotated[str | None, tyro.conf.arg(metavar="FOLDER|OWNER/NAME")] = None
    words: Annotated[str | None, tyro.conf.arg(metavar="WORDS|FILE")] = None
    least: float = 0.5
    device: Device = "auto"
    iou: float = 0.5
    overwrite: Switch = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self, _LIMITS)
        if (self.node is None) != (self.name is None):
            missing, given = ("name", "node") if self.name is None else ("node", "name")
            raise ConfigError(f"needed with --{given}", setting=missing)
        if self.node is not None and self.csv is not None:
            raise ConfigError("give either a table or one node", setting="csv")
        if (self.model is None) != (self.words is None):
            missing, given = ("words", "model") if self.words is None else ("model", "words")
            raise ConfigError(f"needed with --{given}", setting=missing)
        if self.words is not None and (self.node is not None or self.csv is not None):
            raise ConfigError("give either words, a table or one node", setting="words")
        if self.name is not None:
            check_title(self.name, "--name")

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Store the names."""
        from ..pipeline.edits import are_recorded, read_edits, write_edits
        from ..pipeline.segmentation import open_run

        report, run = Report(), RunFolder(self.run)
        run.tidy()
        segmentation = open_run(self.run)
        named = self._names(segmentation, report)
        edited = read_edits(run, run.read_tree())
        changed = {node: name for node, name in named.items() if edited.names.get(node, "") != name}
        for node, name in changed.items():
            edited.rename(node, name)
        if changed or not are_recorded(run, edited):
            write_edits(run, edited)
        report.result(f"{run.edits_file}: {len(changed)} names changed, {len(edited.names)} nodes have one")

    def _names(self, segmentation: Segmentation, report: Report) -> dict[int, str]:
        from ..pipeline.naming import check_node, names_from_table

        if self.node is not None:
            check_node(segmentation, self.node, "--node")
            return {self.node: (self.name or "").strip()}
        if self.csv is not None:
            return names_from_table(self.csv, segmentation)
        if self.words is not None:
            return self._word_names(segmentation, report)
        return self._true_names(segmentation, report)

    def _word_names(self, segmentation: Segmentation, report: Report) -> dict[int, str]:
        from ..pipeline.word_names import WordScorer, names_from_words, read_words

        words = read_words(self.words or "")
        scorer = WordScorer.of(self.model or "", self.device, report)
        matches = names_from_words(segmentation, words, scorer, least=self.least)
        kept = {} if self.overwrite else segmentation.names
        ranked = sorted(matches, key=lambda match: (-match.score, match.node))
        print_matches("Named by words", "score", ranked, segmentation, report)
        return {match.node: match.name for match in matches if match.node not in kept}

    def _true_names(self, segmentation: Segmentation, report: Report) -> dict[int, str]:
        from ..pipeline.job import stored_scene
        from ..pipeline.naming import names_from_truth, true_nodes

        scene = stored_scene(RunFolder(self.run), report)
        matches = names_from_truth(segmentation, scene, least=self.iou)
        kept = {} if self.overwrite else segmentation.names
        print_matches("Named from ground truth", "IoU", matches, segmentation, report)
        report.note(f"{len(matches)} of {len(true_nodes(scene))} true segments have a node with IoU ≥ {self.iou:g}")
        return {match.node: match.name for match in matches if match.node not in kept}


def print_matches(
    title: str, score: str, matches: Sequence[Match], segmentation: Segmentation, report: Report, *, most: int = _SHOWN
) -> None:
    """Print nodes with their names, heights and sizes, `most` at most."""
    if not matches:
        return
    place = {int(node): index for index, node in enumerate(segmentation.ids.tolist())}
    tree = segmentation.tree
    rows = [
        [
            match.name or "–",
            str(match.node),
            figure(match.score, 2),
            figure(float(tree.heights[place[match.node]])),
            str(int(tree.sizes[place[match.node]])),
        ]
        for match in matches[:most]
    ]
    report.table(title, ["", "node", score, "height", "points"], rows)
    if len(matches) > most:
        report.result(f"… and {len(matches) - most} more")
