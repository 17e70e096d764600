"""Options that several commands share, and how they become a `Config`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tyro

from .. import config as settings
from ..config import Config, Engine, FeatureConfig, GeometryConfig, Linkage, Preset, SegmentConfig
from ..errors import ConfigError

Device = Literal["auto", "cpu", "cuda"]
Layout = Literal["auto", "blender-hs", "nerf-synthetic", "nerfstudio", "partnet"]
PresetChoice = Literal["auto", "draft", "standard", "paper"]

SceneArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SCENE")]
RunArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
RunOption = Annotated[Path, tyro.conf.arg(metavar="RUN", aliases=("-o",))]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Unprefixed = tyro.conf.arg(name="")

LinkageOption = Annotated[
    Linkage | None,
    tyro.conf.arg(metavar="{single,average}", help_behavior_hint="(default: as --segment.linkage)"),
]
CutsOption = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as --segment.cuts)")]


@dataclass(frozen=True)
class SceneOptions:
    """How the scene folder is read.

    Attributes:
        layout: Layout of the folder; auto recognises it.
        downsample: Working size of the pictures as a fraction of their own.
        width: Working width in pixels; overrides --downsample.
        half_extent: Half the edge of the box to model, normalised units; found from the cameras if not given.
        hold_out: Where the folder names no validation views, every N-th view is held out; 0 keeps all for training.
        masks: Folder that holds train_seg/; the scene folder itself if not given.
        allow_missing: Continue however many of the listed pictures are not on disk; up to a third is accepted anyway.
    """

    layout: Layout = "auto"
    downsample: float = 1.0
    width: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    half_extent: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    hold_out: int = 8
    masks: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    allow_missing: Switch = False

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `load_scene`."""
        return vars(self) | {"allow_missing": True if self.allow_missing else None}

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values; paths absolute, so that a run can be continued from any folder."""
        return vars(self) | {"masks": None if self.masks is None else str(self.masks.resolve())}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The options that `to_json` stored."""
        masks = values.get("masks")
        return cls(**(values | {"masks": None if masks is None else Path(masks)}))


@dataclass(frozen=True)
class MethodOptions:
    """What is computed, and how.

    Attributes:
        engine: Where dissimilarity comes from: a trained feature field, votes of lifted masks (no training), or both.
        preset: Settings to start from; auto takes standard with CUDA and draft without.
        seed: Seed of every random draw.
        linkage: Shorthand for --segment.linkage.
        cuts: Shorthand for --segment.cuts.
        geometry: Training of density and colour.
        features: Training of the feature field.
        segment: From field to tree and labels.
    """

    engine: Engine = "lift"
    preset: PresetChoice = "auto"
    seed: int = 0
    linkage: LinkageOption = None
    cuts: CutsOption = None
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    @classmethod
    def of_preset(cls, name: Preset) -> Self:
        """The options with everything that preset `name` decides filled in."""
        base = settings.preset(name)
        return cls(engine=base.engine, geometry=base.geometry, features=base.features, segment=base.segment)

    def config(self, name: Preset) -> Config:
        """The settings of a run whose preset is `name`."""
        return Config(
            engine=self.engine,
            preset=name,
            seed=self.seed,
            geometry=self.geometry,
            features=self.features,
            segment=with_shorthands(self.segment, self.linkage, self.cuts),
        )


def with_shorthands(segment: SegmentConfig, linkage: Linkage | None, cuts: int | None) -> SegmentConfig:
    """`segment` with --linkage and --cuts applied where they were given."""
    if cuts is not None and cuts < 1:
        raise ConfigError(f"--cuts: expected at least 1, got {cuts}")
    given = {name: value for name, value in (("linkage", linkage), ("cuts", cuts)) if value is not None}
    return replace(segment, **given)


def choose_preset(choice: PresetChoice, device: Device) -> tuple[Preset, str]:
    """Settle `auto`: standard with CUDA, draft without.

    Returns:
        The preset and the reason, for the user.
    """
    if choice != "auto":
        return choice, "as asked"
    if device == "cpu":
        return "draft", "the device is the CPU"
    import torch

    if device == "cuda":
        return "standard", "the device is CUDA"
    if not torch.cuda.is_available():
        return "draft", "there is no CUDA device"
    if find_spec("triton") is None:
        return "draft", "the CUDA device cannot be used without Triton: pip install triton"
    return "standard", "the device is CUDA"
