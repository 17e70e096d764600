"""The stages of a run, and fingerprints of everything that each of them depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..config import Config, to_dict
from ..parallel import in_background
from ..scene import Scene
from ..scene.digest import SceneDigest, digest_scene
from ..scene.options import SceneOptions
from .inputs import digest_inputs

STAGES = ("masks", "train", "render", "segment", "eval")  # as recorded in the run folder
_FORMAT = 3  # of surfaces and label maps; those of another format are made anew


def fingerprint(*settings: Any) -> str:
    """A short digest of JSON-ready settings and of the fingerprints of the stages before."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Source:
    """The inputs of a run, digested once when the command begins.

    Attributes:
        scene: The scene folder; None for a scene in memory.
        data: How it is read.
        content: Digests of the pictures, masks and cameras as read, which is all that training and segmentation see.
        files: Digest of the names, sizes and times of the scene's files, ground truth included.
    """

    scene: Path | None
    data: SceneOptions
    content: SceneDigest
    files: str

    @classmethod
    def of(cls, path: Path, data: SceneOptions, scene: Scene, *, run: Path) -> Self:
        """Digest a scene and the folder that it was read from; the folder `run` is no input, even inside the scene."""
        folder = scene.root or path
        with in_background() as submit:
            content = submit(digest_scene, scene)
            files = digest_inputs(folder, run=run) if folder.is_dir() else ""
        return cls(path, data, content.result(), files)

    @classmethod
    def in_memory(cls, scene: Scene) -> Self:
        """Digest a scene by its arrays."""
        return cls(None, SceneOptions(), digest_scene(scene), "")

    def with_masks(self, masks: Path, scene: Scene) -> Self:
        """The same source whose masks lie below another folder; `scene` has them."""
        return replace(self, data=replace(self.data, masks=masks), content=digest_scene(scene))


@dataclass(frozen=True)
class Stages:
    """Fingerprint of each stage of one run: its settings, and those and the inputs of all stages before it.

    Attributes:
        geometry: Training of the radiance field, and its renderings; masks are part of it if its training uses them.
        train_geometry: The training that the engine `lift` needs.
        train: All training that the engine needs.
        train_with_features: Training of geometry and features, which also serves the engine `lift`.
        segment: Surface, graph, tree and label maps.
        evaluate: Metrics with their default settings.
    """

    geometry: str
    train_geometry: str
    train: str
    train_with_features: str
    segment: str
    evaluate: str

    @classmethod
    def of(cls, source: Source, config: Config) -> Self:
        """The fingerprints of a run with settings `config` on the inputs `source`."""
        masks = source.content.masks
        geometry = fingerprint(
            source.content.pictures,
            config.seed,
            to_dict(config.geometry),
            masks if config.geometry.uses_masks else None,
        )
        alone, featured = fingerprint(geometry, None), fingerprint(geometry, masks, to_dict(config.features))
        train = alone if config.engine == "lift" else featured
        segment = fingerprint(train, masks, config.engine, to_dict(config.segment), _FORMAT)
        return cls(geometry, alone, train, featured, segment, fingerprint(segment, source.files, "eval"))
