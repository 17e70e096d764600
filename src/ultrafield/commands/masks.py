"""`ultrafield masks`: 2D masks of every training view."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, cast

import tyro

from ..errors import ConfigError
from ..masks.sam.families import FAMILIES, FamilyName, Precision
from ..masks.sam.options import GeneratorOptions
from ..masks.write import Form
from ..pipeline.console import Report
from ..pipeline.job import open_scene
from ..pipeline.mask_makers import Maker, network_maker, reading_maker, watershed_maker
from ..pipeline.masks import complete_masks
from ..pipeline.shared_masks import share_masks
from ..scene import Scene
from .options import MemoryLimit, SceneArgument, SceneOptions, Switch, Unprefixed

MaskModel = Literal["watershed", "sam", "sam2", "sam3"]
FormChoice = Literal["auto", "packed", "png"]
PrecisionChoice = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Masks(MemoryLimit):
    """Cut every training picture into masks, or take over masks that you have, and write them with their hierarchy.

    Attributes:
        scene: Folder of pictures and cameras.
        model: What makes the masks; watershed needs no downloaded weights.
        checkpoint: Weights of sam, sam2 or sam3: a folder with config.json and model.safetensors, or the name of a
            model on the Hugging Face hub, such as facebook/sam-vit-huge, which is downloaded.
        source: Masks that you have (id maps, COCO, SAM's own output, pictures of any kind, …), matched by name.
        out: Folder to hold train_seg/ and train_seg_hierarchy/; the scene folder if not given.
        format: One packed file per view, or a folder of PNG files per view; auto takes png for watershed, else packed.
        overwrite: Replace masks that are there; no other file is removed.
        device: Where networks compute: auto, cpu, cuda, or cuda:1 for the second GPU.
        precision: Floats that networks compute in; auto takes 16 bits with CUDA, 32 without.
        data: How the scene is read.
        generator: How networks are asked.
    """

    scene: SceneArgument
    model: MaskModel = "watershed"
    checkpoint: Annotated[str | None, tyro.conf.arg(metavar="DIR|NAME")] = None
    source: Annotated[Path | None, tyro.conf.arg(name="from", metavar="PATH")] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", aliases=("-o",))] = None
    format: FormChoice = "auto"
    overwrite: Switch = False
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    precision: PrecisionChoice = "auto"
    data: Annotated[SceneOptions, Unprefixed] = field(default_factory=SceneOptions)
    generator: Annotated[GeneratorOptions, Unprefixed] = field(default_factory=GeneratorOptions)

    def informed(self) -> None:
        """Nothing that is parsed changes the defaults."""

    def carry_out(self) -> None:
        """Write the masks."""
        self._check()
        report = Report()
        maker = self._network(report) if self.model != "watershed" else None
        scene = open_scene(self.scene, self.data, report, with_masks=False)
        out = self.out or scene.root or self.scene
        count = self._make(maker, scene, out, report)
        report.result(f"{out / 'train_seg'}: {count} masks of {len(scene.train)} views")

    def _make(self, maker: Maker | None, scene: Scene, out: Path, report: Report) -> int:
        form: Form = "packed" if self.format == "auto" else self.format
        if self.source is not None:
            maker = reading_maker(self.source, scene, report)
        elif maker is None and self.format == "packed":
            maker = watershed_maker()
        if maker is None:
            return complete_masks(scene, out, report, overwrite=self.overwrite)
        return share_masks(scene, out, maker, report, form=form, overwrite=self.overwrite)

    def _check(self) -> None:
        """Raise `ConfigError` for options that contradict each other."""
        if self.source is not None and self.model != "watershed":
            raise ConfigError(f"{{setting}} takes masks that exist; --model {self.model} makes others", setting="from")
        if self.checkpoint is not None and self.model == "watershed":
            raise ConfigError(f"{{setting}} names a network; add --model {', '.join(FAMILIES)}", setting="checkpoint")

    def _network(self, report: Report) -> Maker:
        """The maker that asks a network; its weights are looked for before the scene is read."""
        from ..devices import resolve_device
        from ..masks.sam.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(cast(FamilyName, self.model), self.checkpoint)
        try:
            device = resolve_device(self.device)
        except ValueError as failure:
            raise ConfigError(str(failure).removeprefix("device: "), setting="device") from None
        half = checkpoint.family.half if device.type == "cuda" else "float32"
        precision: Precision = half if self.precision == "auto" else self.precision
        return network_maker(checkpoint, self.generator, device=device, precision=precision, report=report)
