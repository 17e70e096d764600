"""The stages of a run, and fingerprints of everything that each of them depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..config import Config, to_dict
from ..scene import Scene
from ..scene.options import SceneOptions
from .inputs import digest_arrays, digest_inputs

STAGES = ("masks", "train", "render", "segment", "eval")  # as recorded in the run folder
_FORMAT = 2  # of surfaces and label maps; those of another format are made anew


def fingerprint(*settings: Any) -> str:
    """A short digest of JSON-ready settings and of the fingerprints of the stages before."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Source:
    """The inputs of a run: a scene's files, as they were when the command began, and how they are read.

    Attributes:
        scene: The scene folder; None for a scene in memory.
        files: Digest of its files, or of its arrays.
        data: How it is read.
        masks: Digest of the files in the folder of masks that `data` names, None if it names none.
    """

    scene: Path | None
    files: str
    data: SceneOptions
    masks: str | None

    @classmethod
    def of(cls, scene: Path, data: SceneOptions, *, run: Path) -> Self:
        """Digest a scene; the folder `run` is no input, even where it lies inside the scene folder."""
        files = digest_inputs(scene, run=run) if scene.is_dir() else ""
        return cls(scene, files, data, _digest_masks(data, run))

    @classmethod
    def in_memory(cls, scene: Scene) -> Self:
        """Digest a scene by its arrays."""
        return cls(None, digest_arrays(scene), SceneOptions(), None)

    def with_masks(self, masks: Path, *, run: Path) -> Self:
        """The same scene with the masks below another folder."""
        data = replace(self.data, masks=masks)
        return replace(self, data=data, masks=_digest_masks(data, run))

    @property
    def fingerprint(self) -> str:
        """A digest of everything."""
        place = None if self.scene is None else str(self.scene.resolve())
        return fingerprint(place, self.data.to_json(), self.files, self.masks)


def _digest_masks(data: SceneOptions, run: Path) -> str | None:
    return digest_inputs(data.masks, run=run) if data.masks is not None and data.masks.is_dir() else None


@dataclass(frozen=True)
class Stages:
    """Fingerprint of each stage of one run: its settings, and those and the inputs of all stages before it.

    Attributes:
        source: The scene's files and how they are read.
        geometry: Training of the radiance field, and its renderings.
        train: All training that the engine needs.
        train_with_features: Training of geometry and features, which also serves the engine `lift`.
        segment: Surface, graph, tree and label maps.
        evaluate: Metrics with their default settings.
    """

    source: str
    geometry: str
    train: str
    train_with_features: str
    segment: str
    evaluate: str

    @classmethod
    def of(cls, source: Source, config: Config) -> Self:
        """The fingerprints of a run with settings `config` on the inputs `source`."""
        geometry = fingerprint(source.fingerprint, config.seed, to_dict(config.geometry))
        featured = fingerprint(geometry, to_dict(config.features))
        train = fingerprint(geometry, None) if config.engine == "lift" else featured
        segment = fingerprint(train, config.engine, to_dict(config.segment), _FORMAT)
        return cls(source.fingerprint, geometry, train, featured, segment, fingerprint(segment, "eval"))
