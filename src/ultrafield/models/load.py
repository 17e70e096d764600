"""Scenes of 3D models, read by trimesh from a file's bytes and from the files beside it that it names."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

from ..budget import memory
from ..errors import SceneError, UltrafieldError, first_line, shortened
from ..reading import read_bytes
from .check import check_scene
from .gltf import check_glb, check_gltf
from .ply import check_ply

if TYPE_CHECKING:
    import trimesh

_GROWTH = 16  # bytes of memory that a byte of a file may take while it is parsed
_SHOWN = 200  # characters of a reader's complaint in a message
_TEXTS = (".obj", ".off", ".xyz", ".mtl")
_ARCHIVES = (".3mf", ".3dxml", ".zae")
_UNUSED = ("metallicRoughnessTexture", "normalTexture", "occlusionTexture", "emissiveTexture")
_CHECKS: dict[str, Callable[[bytes], None]] = {".glb": check_glb, ".gltf": check_gltf, ".ply": check_ply}


def load_model(path: str | Path, **options: Any) -> trimesh.Scene:
    """Read a 3D model as a scene.

    Nothing is fetched from a network or read from outside the model's folder; textures and materials there that cannot
    be found are left out, as are paths and points.

    Args:
        path: GLB, glTF, OBJ, PLY, STL, OFF, … : any format of meshes that trimesh reads here.
        options: Passed to trimesh's reader.

    Raises:
        SceneError: The file, or one beside it that it needs, is missing, cannot be read, or is too large.
    """
    import trimesh

    path = Path(path)
    kind = path.suffix.lower()
    data = _text(read_bytes(path, most=memory() // _GROWTH), kind)
    known = sorted(f".{name}" for name in trimesh.exchange.load.mesh_formats() if "_" not in name)
    if kind not in known:
        raise SceneError(f"{path}: not a 3D scene that can be read; expected one of {', '.join(known)}")
    logger = logging.getLogger("trimesh")
    if not logger.handlers:  # or Python would print its warnings
        logger.addHandler(logging.NullHandler())
    folder = _folder(path, len(data))
    try:
        _CHECKS.get(kind, _check_archive if kind in _ARCHIVES else _check_nothing)(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd values, which are checked afterwards
            scene = trimesh.load_scene(io.BytesIO(data), file_type=kind[1:], resolver=folder, **options)
    except Exception as failure:  # each of trimesh's readers raises its own kinds
        reason = folder.refused or f"not readable as a 3D scene ({_reason(failure)})"
        raise SceneError(f"{path}: {reason}") from None
    if folder.refused is not None:
        raise SceneError(f"{path}: {folder.refused}")
    for geometry in scene.geometry.values():
        _drop_unused(getattr(getattr(geometry, "visual", None), "material", None))
    check_scene(scene, str(path))
    return scene


def _drop_unused(material: Any) -> None:
    """Take off a material the textures that nothing here uses; they would be decoded when meshes are joined."""
    for name in _UNUSED:
        if getattr(material, name, None) is not None:
            setattr(material, name, None)


def _check_nothing(_: bytes) -> None:
    """Formats whose readers take no more memory than their files."""


def _check_archive(data: bytes) -> None:
    """Raise `ValueError` for an archive that is broken, or too large once unpacked."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            size = sum(item.file_size for item in archive.infolist())
    except (BadZipFile, OSError, EOFError, NotImplementedError) as failure:
        raise ValueError(f"no archive that can be read: {failure}") from None
    if size * _GROWTH > memory():
        raise ValueError(f"takes {size / 1e6:,.0f} MB once unpacked; a larger --memory raises the limit")


def _text(data: bytes, kind: str) -> bytes:
    """The content of a file of text in UTF-8, whatever it is in; other files as they are."""
    if kind not in _TEXTS:
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1").encode()
    return data


def _reason(failure: Exception) -> str:
    if isinstance(failure, MemoryError):
        return "it takes more memory than there is"
    return shortened(first_line(failure), _SHOWN)


def _folder(path: Path, size: int) -> Any:
    """What trimesh asks for the files that a model names: only those in the model's folder, within a limit in total."""
    from trimesh.resolvers import FilePathResolver

    class Folder(FilePathResolver):
        """Files beside a model; `refused` is the first that is there and cannot be used."""

        def __init__(self, root: Path) -> None:
            super().__init__(str(path.absolute()))
            self.root, self.left = root.resolve(), memory() // _GROWTH - size
            self.refused: UltrafieldError | None = None

        def get(self, name: str) -> bytes:
            names = (name, unquote(name))
            for candidate in (*names, *(part.replace("\\", "/").rsplit("/", 1)[-1] for part in names)):
                try:
                    file = (self.root / candidate.strip()).resolve()
                    inside = file.is_relative_to(self.root) and file.exists()
                except (OSError, ValueError, RuntimeError):  # a name that no file can have, links in a circle
                    continue
                if inside:
                    return self._read(file)
            raise FileNotFoundError(f"{name[:_SHOWN]!r} is not in the model's folder")

        def _read(self, file: Path) -> bytes:
            try:
                data = read_bytes(file, most=self.left)
            except UltrafieldError as failure:
                self.refused = self.refused or failure
                raise
            self.left -= len(data)
            return _text(data, file.suffix.lower())

        def namespaced(self, namespace: str) -> FilePathResolver:
            return Folder(self.root / namespace)

        def keys(self) -> list[str]:
            return [entry.name for entry in self.root.iterdir()]

        def write(self, name: str, data: str | bytes) -> None:
            raise PermissionError(f"{name}: a model is only read")

    return Folder(path.absolute().parent)
