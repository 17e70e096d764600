"""Camera files of Agisoft Metashape (Export Cameras, `.xml`).

Metashape's camera axes are OpenCV's, pixel centres lie at +0.5, and the principal point is listed relative to the
middle of the picture. Its p1 and p2 are OpenCV's p2 and p1; b1 is what fx is larger than f, b2 shears
(`cameras/brown.py`).

Source: Agisoft Metashape User Manual, appendix "Camera models".
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from ..cameras import Lens, Similarity
from ..errors import SceneError
from ..reading import read_bytes, read_head
from .capture import list_capture
from .frames import Frame, Listing, ListingOptions, Warn, pose_of, warn_about_axes
from .listed import with_pictures
from .optics import Optics, with_lens
from .pictures import view_names
from .values import as_float, shown

_LENSES = {"frame": Lens.BROWN, "fisheye": Lens.THIN_PRISM_FISHEYE, "equidistant_fisheye": Lens.THIN_PRISM_FISHEYE}
_NUMBERS = ("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")
_HEAD = 1 << 12
_MOST = 1e9


def is_metashape(file: Path) -> bool:
    """Whether an XML file begins as those of Metashape do."""
    try:
        head = read_head(file, _HEAD)
    except SceneError:
        return False
    text = _text(head)
    return "<document" in text and "<chunk" in text


def _text(data: bytes) -> str:
    """What stands in XML, with wrong letters where they are neither ASCII nor UTF-16."""
    return data.decode("utf-16" if data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "latin-1", "ignore")


def list_metashape(root: Path, source: Path, options: ListingOptions) -> Listing:
    """List the aligned cameras of a Metashape file (`list_capture`), of the chunk that has most.

    Args:
        root: The scene folder.
        source: The XML file.
        options: How it is listed; told about cameras without a pose and chunks that are not used.

    Raises:
        SceneError: Broken XML, a sensor of another kind, a bad camera, pictures missing.
    """
    chunk = _chunk(source, options.warn)
    sensors = {item.get("id", ""): item for item in chunk.iterfind("./sensors/sensor")}
    optics: dict[str, Optics] = {}
    moves = _component_moves(chunk, source)
    cameras = [item for item in chunk.iterfind("./cameras//camera") if item.find("transform") is not None]
    labels = [item.get("label", "") for item in cameras]
    frames, deviations = [], []
    for camera, label, name in zip(cameras, labels, view_names(labels, source), strict=True):
        where = f"{source}: camera {shown(label)}"
        sensor = camera.get("sensor_id", "")
        if sensor not in optics:
            optics[sensor] = _optics(sensors.get(sensor), where)
        c2w, deviation = _pose(camera, moves.get(camera.get("component_id", ""), moves[""]), where)
        frames.append(Frame(name, label, None, where, c2w, optics[sensor]))
        deviations.append(deviation)
    warn_about_axes(source, deviations, options.warn)
    frames = with_pictures(frames, root, options.images, usual=True)
    return list_capture("metashape", root, source, frames, options)


def _chunk(source: Path, warn: Warn) -> Element:
    """The chunk with most aligned cameras."""
    data = read_bytes(source)
    text = _text(data)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise SceneError(f"{source}: declares entities, which no camera file of Metashape does")
    try:
        document = fromstring(data)
    except (ParseError, ValueError, LookupError) as failure:
        raise SceneError(f"{source}: not valid XML ({failure})") from None
    chunks = [document, *document.iter("chunk")] if document.tag == "chunk" else list(document.iter("chunk"))
    aligned = [(sum(1 for _ in chunk.iterfind("./cameras//camera/transform")), chunk) for chunk in chunks]
    count, chunk = max(aligned, key=lambda item: item[0], default=(0, document))
    if count == 0:
        raise SceneError(f"{source}: holds no aligned cameras")
    if sum(1 for other, _ in aligned if other) > 1:
        warn(f"{source}: holds several chunks; that with most aligned cameras is used, {shown(chunk.get('label'))}")
    listed = sum(1 for _ in chunk.iterfind("./cameras//camera"))
    if listed > count:
        warn(f"{source}: {listed - count} of {listed} cameras are not aligned and left out")
    return chunk


def _optics(sensor: Element | None, where: str) -> Optics:
    """The adjusted calibration of a sensor, or the initial one if there is no other."""
    if sensor is None:
        raise SceneError(f"{where}: is of a sensor that the file lacks")
    calibrations = sorted(sensor.iterfind("calibration"), key=lambda item: item.get("class") != "adjusted")
    item = calibrations[0] if calibrations else None
    kind = (sensor if item is None else item).get("type", sensor.get("type", "frame"))
    if kind not in _LENSES:
        raise SceneError(f"{where}: its sensor is {shown(kind)}; only {', '.join(_LENSES)} can be read")
    if item is None:
        raise SceneError(f"{where}: its sensor has no calibration")
    values = {child.tag: _float(child, where) for child in item if child.tag in _NUMBERS}
    own = item.find("resolution")
    size = _size(sensor.find("resolution") if own is None else own, where)
    f, b1, b2 = values.get("f", 0.0), values.get("b1", 0.0), values.get("b2", 0.0)
    if f <= 0 or f + b1 <= 0:
        raise SceneError(f"{where}: its sensor must have a positive focal length 'f', got {f:g}")
    if values.get("p3") or values.get("p4"):
        raise SceneError(f"{where}: its sensor has p3 or p4, which cannot be read; align with p1 and p2 alone")
    centre = (0.5 * size[0] + values.get("cx", 0.0), 0.5 * size[1] + values.get("cy", 0.0))
    shear = b2 / (f + b1)
    parameters = [values.get(key, 0.0) for key in ("k1", "k2", "p2", "p1", "k3", "k4")]
    parameters += [shear] if kind == "frame" else [0.0, 0.0, shear]
    return with_lens(Optics(size, (f + b1, f), centre=centre), _LENSES[kind], parameters)


def _size(resolution: Element | None, where: str) -> tuple[int, int]:
    edges = [] if resolution is None else [as_float(resolution.get(key)) for key in ("width", "height")]
    if len(edges) != 2 or not all(edge is not None and 1 <= edge <= 1 << 20 for edge in edges):
        raise SceneError(f"{where}: its sensor must have a resolution")
    return round(edges[0] or 0), round(edges[1] or 0)


def _component_moves(chunk: Element, source: Path) -> dict[str, Similarity]:
    """From each component's own frame to the world; the chunk's own transform under ""."""
    moves = {"": _move(chunk.find("transform"), source)}
    for component in chunk.iterfind("./components/component"):
        moves[component.get("id", "")] = _move(component.find("transform"), source)
    return moves


def _move(transform: Element | None, source: Path) -> Similarity:
    """The similarity that a transform describes; a part that is missing changes nothing."""
    if transform is None:
        return Similarity()
    parts = {
        tag: _floats(transform.find(tag), count, f"{source}: its transform")
        for tag, count in (("scale", 1), ("rotation", 9), ("translation", 3))
    }
    scale = float(parts["scale"][0]) if parts["scale"] is not None else 1.0
    rotation = np.eye(3) if parts["rotation"] is None else parts["rotation"].reshape(3, 3)
    translation = np.zeros(3) if parts["translation"] is None else parts["translation"]
    try:
        return Similarity(scale, rotation, translation)
    except ValueError as failure:
        raise SceneError(f"{source}: its transform cannot be used: {failure}") from None


def _pose(camera: Element, move: Similarity, where: str) -> tuple[np.ndarray, float]:
    numbers = _floats(camera.find("transform"), 16, f"{where}: its transform")
    assert numbers is not None
    pose = numbers.reshape(4, 4)
    if not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise SceneError(f"{where}: the last row of its transform must be 0 0 0 1, got {pose[3].tolist()}")
    return pose_of(move.rotation @ pose[:3, :3], move.apply(pose[:3, 3]), where, "its transform")


def _floats(element: Element | None, count: int, item: str) -> np.ndarray | None:
    """The numbers of an element [count]; None if there is no such element."""
    if element is None:
        return None
    numbers = [as_float(word) for word in (element.text or "").split()]
    if len(numbers) != count or any(number is None or not abs(number) <= 1e12 for number in numbers):
        raise SceneError(f"{item} must have {count} numbers in <{element.tag}>, got {shown(element.text)}")
    return np.array(numbers, np.float64)


def _float(element: Element, where: str) -> float:
    value = as_float((element.text or "").strip())
    if value is None or not abs(value) <= _MOST:
        raise SceneError(f"{where}: <{element.tag}> of its sensor must be a number, got {shown(element.text)}")
    return value
