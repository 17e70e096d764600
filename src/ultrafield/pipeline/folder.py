"""The run folder: where every artefact of a run lies, and which stages are done.

    config.json  stages.json  log.jsonl  field.safetensors  state.pt  surface.npz  tree.npz  tree.json  metrics.json
    quality.json  points.ply  contact_sheet.png  cameras.npz  report.html
    words.npz                           embeddings of nodes by a network for words
    edits.json                          names, merges and splits made by the user
    masks/                              2D masks that `run` made itself
    renders/<split>/<image>.npz         color [H, W, 3] uint8, depth [H, W] float32, opacity [H, W] float16
    labels/<split>/<image>.npz          index [H, W] int32, columns [C, L] int32, heights [L] float32, is_level [L]
                                        bool; label maps [L, H, W] are columns.T[:, index]
    views/<split>/<image>/<height>.png  the automatic levels

Rendered depth and surface.npz are in the normalised frame; everything else that has a frame is in the user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..cameras import RenderedDepth, RenderedView, Similarity
from ..config import Config, from_dict, to_dict
from ..errors import ConfigError, RunError, SceneError, in_shell
from ..export.video import is_film
from ..io import copy_file, write_json, write_npz
from ..labels.stack import LabelStack
from ..names import check_name
from ..owner import LOCK_NAME, BusyError, owned
from ..reading import read_json, read_npz
from ..removal import check_ours, files_below, find_link, find_stranger, kinds, remove_ours, sweep
from ..scene.options import SceneOptions
from ..surface import Surface
from ..ultrametric import Tree
from .records import NOTHING, StageRecords

_SPLIT = "(train|val|val_rotate)"
# Files in the folders of a run that a stage may empty: only what is called as it calls them, since more may lie there.
_PATTERNS = {
    "masks": r"train_seg/[^/]+/\d+\.png|train_seg_hierarchy/[^/]+_(inside|same)\.npy|train_seg/\.ultrafield\.json",
    "renders": rf"{_SPLIT}/[^/]+(\.npz|_(color|depth|feature|normal)\.png)"
    r"|(\.orbit\.tmp|orbit)\.mp4|orbit/\d{4,}\.png",
    "labels": rf"{_SPLIT}/[^/]+\.npz",
    "views": rf"{_SPLIT}/[^/]+/\d+\.\d{{3,}}\.png",
}
_FILMS = r"films/[^/]+\.(mp4|webm)"
_KINDS = {name: kinds(pattern) for name, pattern in _PATTERNS.items()}
_TREE = ("surface.npz", "tree.npz")  # of `segment`: what edits leave as it is
_RESULTS = (*_TREE, "cameras.npz", "tree.json", "points.ply", "quality.json", "contact_sheet.png")  # of `segment`
_OTHERS = (
    *("config.json", "stages.json", "state.pt", "field.safetensors", "metrics.json", "edits.json", "report.html"),
    "words.npz",
)
_EVERYTHING = kinds(
    *map(re.escape, (*_RESULTS, *_OTHERS)),
    r"edits-[0-9a-f]+\.json",
    *(f"{name}/(?:{pattern})" for name, pattern in _PATTERNS.items()),
    f"renders/{_FILMS}",
)
# A folder with nothing else counts as empty: a process was killed before config.json was whole.
_UNCLAIMED = kinds(r"config\.json", re.escape(LOCK_NAME))
_PUBLISHED = kinds(r"config\.json", re.escape(LOCK_NAME), r"\d+/.+")  # or with views of the published commands
_SURFACE = ("points", "normals", "colors", "visible", "voxel")  # arrays of surface.npz, and after `to_user_`:
_SIMILARITY = ("scale", "rotation", "translation")


@dataclass(frozen=True)
class RunConfig:
    """The content of config.json.

    Attributes:
        scene: The scene folder; None for a scene in memory.
        data: How it is read.
        config: Every setting.
    """

    scene: Path | None
    data: SceneOptions
    config: Config


@dataclass(frozen=True)
class ViewLabels:
    """Label maps of one view at several heights.

    Attributes:
        labels: Tree node ids at the L cuts, int32; -1 for none.
        heights: Height of each cut [L], float32, increasing.
        is_level: Which cuts are automatic levels [L], bool.
    """

    labels: LabelStack
    heights: np.ndarray
    is_level: np.ndarray

    @property
    def levels(self) -> LabelStack:
        """The labels at the automatic levels."""
        return self.labels.at(self.is_level)


@dataclass(frozen=True)
class RunFolder:
    """A folder that the stages of one run write into and read from.

    Attributes:
        root: The folder; it is made when the first file is written.
        records: Which stages are done, with which settings.
    """

    root: Path
    records: StageRecords = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", StageRecords(self.root))

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own the folder, which must be claimed, for the length of a block that writes into it.

        What was killed before leaves temporary files; they are swept. Records are read anew.

        Raises:
            BusyError: Another process owns it.
            RunError: A folder lies where a stage writes a file.
        """
        with owned(self.root) as outermost:
            if outermost:
                self._check_files()
                sweep(self.root, _EVERYTHING)
                self.records.refresh()
            yield

    def tidy(self) -> None:
        """Remove what a killed process left, where the folder can be owned; commands that write nothing do it too."""
        if (self.root / LOCK_NAME).is_file():
            with suppress(BusyError, OSError), self.owned():
                pass

    @property
    def config_file(self) -> Path:
        """Scene, reading options and settings."""
        return self.root / "config.json"

    @property
    def edits_file(self) -> Path:
        """Names, merges and splits made by the user; missing where there are none."""
        return self.root / "edits.json"

    @property
    def masks(self) -> Path:
        """Masks made by the run itself, in the published layout."""
        return self.root / "masks"

    def render_file(self, split: str, name: str) -> Path:
        """File of the rendering of one view."""
        return self._of_view("renders", split, name, ".npz")

    def label_file(self, split: str, name: str) -> Path:
        """File of the label maps of one view."""
        return self._of_view("labels", split, name, ".npz")

    def view_folder(self, split: str, name: str) -> Path:
        """Folder of the pictures of one view's automatic levels."""
        return self._of_view("views", split, name)

    def _of_view(self, folder: str, split: str, name: str, ending: str = "") -> Path:
        check_name(name, f"{self.root}: view name")
        return self.root / folder / split / f"{name}{ending}"

    # What is in the way

    def claim(self, scene: Path | None, *, takeover: bool = False) -> None:
        """Raise, before anything is written, unless the stages of a run on `scene` may write and remove files here.

        They may in a folder that is new or empty, or that holds an earlier run.

        Args:
            scene: The scene folder; None for a scene in memory.
            takeover: Whether the earlier run may have been on another scene, and may have views of epochs beside it.

        Raises:
            ConfigError: The folder is a file.
            RunError: It is, or holds, the scene or something that is no run on it; or it, or a folder that a stage
                writes into, is a link.
        """
        if self.root.exists() and not self.root.is_dir():
            raise ConfigError(f"--out: expected a folder to write, got {self.root}, which is a file")
        place = None if scene is None else scene.resolve()
        self._check_place(place)
        if self.config_file.is_file():
            earlier = self.read_config().scene
            if (None if earlier is None else earlier.resolve()) != place and not takeover:
                raise RunError(
                    f"{self.root}: holds a run on {_named(earlier)}; give {_named(place)} a folder of its own"
                )
            return
        stranger = find_stranger(self.root, _PUBLISHED if takeover else _UNCLAIMED)
        if stranger is not None:
            raise RunError(
                f"{self.root}: neither empty nor a run folder (it holds {stranger.relative_to(self.root)} and no "
                "config.json); give the run a folder of its own"
            )

    def _check_place(self, scene: Path | None) -> None:
        """Raise `RunError` if the folder is or holds the scene, or if what is written here would land elsewhere."""
        root = self.root.resolve()
        if scene is not None and (root == scene or root in scene.parents):
            relation = "is the scene itself" if root == scene else f"holds the scene {scene}"
            raise RunError(f"{self.root}: {relation}, which is never changed; give the run a folder of its own")
        links = (find_link(self.root / name) for name in _KINDS)
        link = self.root if self.root.is_symlink() else next((link for link in links if link is not None), None)
        if link is not None:
            raise RunError(f"{link}: is a link, through which nothing is written; give the run a folder of its own")

    def _check_files(self) -> None:
        """Raise `RunError` if a folder lies where a stage writes a file, which no file would replace."""
        for name in (*_RESULTS, *_OTHERS, "log.jsonl"):
            if (self.root / name).is_dir():
                raise RunError(f"{self.root / name}: is a folder, where the run writes a file; move it elsewhere")

    def clear(self, *names: str) -> None:
        """Remove what stages wrote into some of the folders masks, renders, labels and views; other files stay."""
        if "renders" in names:
            for film in (self.root / "renders" / "films").glob("*"):
                if not film.is_symlink() and is_film(film):
                    film.unlink()
        for name in names:
            remove_ours(self.root / name, _KINDS[name])

    def clear_results(self, *, keep_tree: bool = False) -> None:
        """Remove what a segmentation wrote, so that nothing of it is taken for the next one's.

        Args:
            keep_tree: Whether surface and tree stay, as where only the user's edits of the tree are new.
        """
        for name in (*_RESULTS, "metrics.json"):
            if not (keep_tree and name in _TREE):
                (self.root / name).unlink(missing_ok=True)
        self.clear("labels", "views")

    def files_of(self, stage: str) -> list[Path]:
        """Files that a stage has written."""
        if stage == "masks":
            return self._below("masks")
        if stage == "train":
            return [self.root / "field.safetensors"]
        if stage == "render":
            return [file for file in self._below("renders") if file.suffix == ".npz"]
        if stage == "segment":
            return [*(self.root / name for name in _RESULTS), *self._below("labels"), *self._below("views")]
        if stage == "tree":
            return [self.root / name for name in _TREE]
        if stage == "report":
            return [self.root / "report.html"]
        if stage == "edits":
            return [self.edits_file]
        if stage == "words":
            return [self.root / "words.npz"]
        return [self.root / "metrics.json"]

    def _below(self, name: str) -> list[Path]:
        folder, ours = self.root / name, _KINDS[name]
        files = files_below(folder) if folder.is_dir() else iter(())
        return [file for file in files if ours.fullmatch(file.relative_to(folder).as_posix())]

    def clear_masks(self, given: Path | None) -> None:
        """Remove the masks that the run made.

        Args:
            given: Folder of masks that the user named, None if there is none.

        Raises:
            ConfigError: That folder is the run's own.
            SceneError: Another file lies among the masks.
        """
        if given is not None and self.masks.resolve() in (given.resolve(), *given.resolve().parents):
            raise ConfigError(f"--masks: {given} is where the run makes its own masks; copy yours to another folder")
        check_ours(self.masks, _KINDS["masks"])
        self.clear("masks")

    # Settings

    def write_config(self, scene: Path | None, data: SceneOptions, config: Config, *, takeover: bool = False) -> None:
        """Store what the run works on and how; errors and `takeover` are those of `claim`."""
        self.claim(scene, takeover=takeover)
        if self.config_file.is_file() and self.read_config() == RunConfig(_resolved(scene), data.resolved(), config):
            return
        place = None if scene is None else str(scene.resolve())
        content = {"version": __version__, "scene": place, "data": data.to_json(), "config": to_dict(config)}
        write_json(self.config_file, content)

    def read_config(self) -> RunConfig:
        """Read config.json; `RunError` if it is missing or not what `write_config` writes."""
        if not self.config_file.is_file():
            raise RunError(f"{self.root}: no run folder (no config.json); make one: ultrafield train SCENE --out RUN")
        try:
            content = read_json(self.config_file, error=RunError)
            data = SceneOptions.from_json(content["data"])
            scene = None if content["scene"] is None else Path(content["scene"])
            return RunConfig(scene, data, from_dict(Config, content["config"]))
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError, SceneError) as error:
            raise RunError(f"{self.config_file}: cannot be used ({error})") from None

    # Records

    def finish(self, stage: str, settings: str, seconds: float, made_from: Mapping[str, str] = NOTHING) -> None:
        """Record that a stage is done, with the files that it has written."""
        self.records.finish(stage, settings, seconds, self.files_of(stage), made_from)

    def log(self, line: dict[str, Any]) -> None:
        """Add a line to log.jsonl, which training writes too."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def adopt_geometry(self, other: RunFolder) -> None:
        """Start from the field and the rendered views of another run on the same scene, in a folder that is claimed."""
        write_json(self.config_file, read_json(other.config_file, error=RunError))  # from here on it is known as a run
        for file in (*other.files_of("train"), *other.files_of("render")):
            copy_file(file, self.root / file.relative_to(other.root))
        self.records.adopt(other.records, "render")

    # Artefacts

    def write_surface(self, surface: Surface) -> None:
        """Write surface.npz."""
        own = {name: np.asarray(getattr(surface, name)) for name in _SURFACE}
        frame = {f"to_user_{name}": np.asarray(getattr(surface.to_user, name)) for name in _SIMILARITY}
        inner = {} if np.isinf(surface.inner) else {"inner": np.asarray(surface.inner)}
        write_npz(self.root / "surface.npz", **own, **frame, **inner)

    def read_surface(self) -> Surface:
        """Read surface.npz; one of version 0.1, which has no `to_user`, is refused."""
        file = self.root / "surface.npz"
        stored = self._load(file, (*_SURFACE, *(f"to_user_{name}" for name in _SIMILARITY)))
        scale, rotation, translation = (stored[f"to_user_{name}"] for name in _SIMILARITY)
        arrays = {name: stored[name] for name in _SURFACE if name != "voxel"}
        try:
            to_user = Similarity(float(scale), rotation, translation)
            inner = float(read_npz(file, ("inner",)).get("inner", np.inf))
            return Surface(**arrays, voxel=float(stored["voxel"]), to_user=to_user, inner=inner)
        except (ValueError, TypeError) as error:
            raise RunError(f"{file}: cannot be used ({error}); make it anew with: ultrafield segment") from None

    def write_tree(self, tree: Tree) -> None:
        """Write tree.npz."""
        from ..ultrametric import save_tree

        save_tree(self.root / "tree.npz", tree)

    def read_tree(self) -> Tree:
        """Read tree.npz."""
        from ..ultrametric import load_tree

        return load_tree(self._existing(self.root / "tree.npz"))

    def write_render(self, split: str, name: str, view: RenderedView) -> None:
        """Store a rendered view; colour is rounded to 8 bits, like the pictures it is compared with."""
        depth, opacity = view.depth.astype(np.float32), view.opacity.astype(np.float16)
        write_npz(self.render_file(split, name), color=view.picture(), depth=depth, opacity=opacity)

    def read_render(self, split: str, name: str) -> RenderedView:
        """Read a rendered view."""
        stored = self._load(self.render_file(split, name), ("color", "depth", "opacity"))
        color = stored["color"].astype(np.float32) / 255.0
        return RenderedView(color, stored["depth"], stored["opacity"].astype(np.float32))

    def read_rendered_depth(self, split: str, name: str) -> RenderedDepth:
        """Read depth and opacity of a rendered view, without its colours, which are most of the file."""
        stored = self._load(self.render_file(split, name), ("depth", "opacity"))
        return RenderedDepth(stored["depth"], stored["opacity"].astype(np.float32))

    def read_depth(self, split: str, name: str) -> np.ndarray:
        """Read the depth of a rendered view alone [H, W], float32, normalised units."""
        return self._load(self.render_file(split, name), ("depth",))["depth"]

    def write_labels(self, split: str, name: str, view: ViewLabels) -> None:
        """Store the label maps of one view: each pixel's column, and the node ids of every column at all cuts."""
        index, columns = view.labels.index, view.labels.columns
        cuts = {"heights": view.heights, "is_level": view.is_level}
        write_npz(self.label_file(split, name), index=index, columns=columns, **cuts)

    def read_labels(self, split: str, name: str) -> ViewLabels:
        """Read the label maps of one view."""
        file = self.label_file(split, name)
        arrays = self._load(file, ("index", "columns", "heights", "is_level"))
        index, columns = arrays["index"], arrays["columns"]
        if columns.ndim != 2 or columns.shape[1] != len(arrays["heights"]):
            raise RunError(f"{file}: expected columns of {len(arrays['heights'])} heights, got {list(columns.shape)}")
        if columns.dtype != np.int32:
            raise RunError(f"{file}: 'columns' must hold node ids, int32; make it anew with: {self._anew}")
        whole = index.ndim == 2 and index.dtype == np.int32
        if not whole or (index.size and not 0 <= index.min() <= index.max() < len(columns)):
            raise RunError(f"{file}: 'index' must name columns for the pixels of a picture; make it anew: {self._anew}")
        return ViewLabels(LabelStack(index, columns), arrays["heights"], arrays["is_level"])

    @property
    def _anew(self) -> str:
        return f"ultrafield segment {in_shell(self.root)}"

    def _load(self, file: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        arrays = read_npz(self._existing(file), names)
        for name in names:
            if name not in arrays:
                raise self._lacking(file, name)
        return {name: arrays[name] for name in names}

    def _lacking(self, file: Path, name: str) -> RunError:
        return RunError(f"{file}: holds no array {name!r}; make it anew with: ultrafield segment {in_shell(self.root)}")

    def _existing(self, file: Path) -> Path:
        if not file.is_file():
            raise RunError(f"{file}: missing; make it with: ultrafield segment {in_shell(self.root)}")
        return file


def _resolved(scene: Path | None) -> Path | None:
    return None if scene is None else scene.resolve()


def _named(scene: Path | None) -> str:
    return "a scene in memory" if scene is None else str(scene)
