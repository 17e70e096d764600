"""Id maps that are meant, and those that compression or smoothing has spoiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ultrafield.errors import SceneError
from ultrafield.io import write_image
from ultrafield.masks import read_masks
from ultrafield.masks.id_maps import read_id_map

from .test_files import WHITE, disc, photograph

Degrade = Callable[[np.ndarray], np.ndarray]


def cells(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Ids [side, side] of areas of very different size: weighted Voronoi cells."""
    rng = np.random.default_rng(seed)
    centres, weights = rng.random((count, 2)) * side, rng.pareto(1.5, count) + 0.1
    rows, columns = np.mgrid[:side, :side]
    distances = (rows[..., None] - centres[:, 0]) ** 2 + (columns[..., None] - centres[:, 1]) ** 2
    return np.asarray((distances / weights).argmin(axis=-1))


def coloured(ids: np.ndarray, seed: int = 1) -> np.ndarray:
    """Ids as random colours, id 0 as black."""
    colors = np.random.default_rng(seed).integers(1, 256, (int(ids.max()) + 1, 3)).astype(np.uint8)
    colors[0] = 0
    return colors[ids]


def jpeg(quality: int) -> Degrade:
    """Through JPEG and back."""

    def degrade(image: np.ndarray) -> np.ndarray:
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)

    return degrade


def resized(factor: float, interpolation: int) -> Degrade:
    """Smaller or larger, with blending of neighbours."""

    def degrade(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation)

    return degrade


def parts() -> Iterator[np.ndarray]:
    """Ids of few and of many areas."""
    yield cells(5, 200, 3)
    yield cells(40, 160, 4)
    yield cells(300, 200)


DEGRADED = {
    "jpeg 50": jpeg(50),
    "jpeg 90": jpeg(90),
    "halved": resized(0.5, cv2.INTER_AREA),
    "enlarged": resized(1.5, cv2.INTER_LINEAR),
    "lanczos": resized(0.5, cv2.INTER_LANCZOS4),
    "blurred": lambda image: cv2.GaussianBlur(image, (3, 3), 0.6),
}


@pytest.mark.parametrize("how", DEGRADED)
@pytest.mark.parametrize("count", [5, 40, 300])
def test_degraded_id_maps_are_refused(tmp_path: Path, how: str, count: int) -> None:
    ids = next(ids for ids in parts() if ids.max() + 1 >= count - 5)
    file = tmp_path / "train_seg/r_0.png"
    write_image(file, DEGRADED[how](coloured(ids)))
    with pytest.raises(SceneError) as caught:
        read_masks(tmp_path, "train", "r_0")
    text = str(caught.value)
    assert text.startswith(f"{file}: ")
    assert "nowhere hold 2x2 pixels, as JPEG compression, smoothing or a photograph leave them; save id maps" in text
    assert "\n" not in text


@pytest.mark.parametrize("how", DEGRADED)
def test_degraded_grey_id_maps_are_refused(tmp_path: Path, how: str) -> None:
    write_image(tmp_path / "a.png", DEGRADED[how]((cells(5, 200, 3) * 30).astype(np.uint8)))
    with pytest.raises(SceneError, match="nowhere hold 2x2 pixels"):
        read_id_map(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("count", "side"), [(2, 20), (40, 16), (40, 60), (255, 128), (300, 64), (300, 200), (900, 200)]
)
@pytest.mark.parametrize("kind", ["colours", "numbers"])
def test_id_maps_of_hundreds_of_parts_are_read(tmp_path: Path, count: int, side: int, kind: str) -> None:
    ids = cells(count, side)
    write_image(tmp_path / "a.png", coloured(ids) if kind == "colours" else ids.astype(np.uint16))
    found = read_id_map(tmp_path / "a.png")
    assert found.count == len(np.unique(ids)) - (ids == 0).any()
    np.testing.assert_array_equal(found.labels >= 0, ids != 0)


def test_thin_segments_in_one_place_each_are_read(tmp_path: Path) -> None:
    ids = np.zeros((60, 60), np.uint8)
    for index in range(20):  # slanting wires, one pixel wide
        rows = np.arange(60)
        ids[rows, np.clip(3 * index + rows // 20, 0, 59)] = index + 1
    write_image(tmp_path / "a.png", ids)
    assert read_id_map(tmp_path / "a.png").count == 20


def test_exact_parts_of_a_dataset_are_read(tmp_path: Path, pickplace: Path) -> None:
    for index, ids in enumerate(np.load(pickplace / "exact/train.npz")["part"][:60:15]):
        shifted = (ids.astype(np.int64) - ids.min()).astype(np.uint8)
        for name, picture in (("n", shifted), ("c", coloured(shifted)), ("s", coloured(shifted)[::4, ::4])):
            write_image(tmp_path / f"{name}{index}.png", picture)
            assert (
                read_id_map(tmp_path / f"{name}{index}.png").count
                == len(np.unique(picture.reshape(-1, picture.shape[-1] if picture.ndim == 3 else 1), axis=0)) - 1
            )


@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize(
    "degrade", [jpeg(60), resized(1.5, cv2.INTER_LINEAR), lambda image: image], ids=["jpeg", "resized", "as it is"]
)
def test_a_soft_mask_in_place_of_an_id_map_is_one_mask(tmp_path: Path, ending: str, degrade: Degrade) -> None:
    soft = degrade(WHITE)
    write_image(tmp_path / f"a{ending}", soft)
    found = read_id_map(tmp_path / f"a{ending}")
    assert found.count == 1
    assert abs(int((found.labels == 0).sum()) - disc().sum() * soft.size / WHITE.size) < 30


def test_a_cut_out_in_place_of_an_id_map_is_one_mask(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.dstack([photograph(), WHITE]))
    np.testing.assert_array_equal(read_id_map(tmp_path / "a.png").labels == 0, disc())


def test_a_spoiled_id_map_with_alpha_is_no_cut_out(tmp_path: Path) -> None:
    picture = cv2.GaussianBlur(coloured(cells(40, 160, 4) + 1), (3, 3), 0.6)
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    write_image(tmp_path / "a.png", np.dstack([picture, alpha]))
    with pytest.raises(SceneError, match="nowhere hold 2x2 pixels"):
        read_id_map(tmp_path / "a.png")


@pytest.mark.parametrize("side", [40, 1100])
def test_a_photograph_is_no_id_map(tmp_path: Path, side: int) -> None:
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8))
    with pytest.raises(SceneError, match=r"a\.png: .* a photograph"):
        read_id_map(tmp_path / "a.png")


def test_a_large_cut_out_is_one_mask(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1100, 1100, 4)).astype(np.uint8)
    picture[..., 3] = 0
    picture[:900, :, 3] = 255
    write_image(tmp_path / "a.png", picture)
    found = read_id_map(tmp_path / "a.png")
    assert (found.count, int((found.labels == 0).sum())) == (1, 900 * 1100)


def test_id_maps_in_jpeg_files(tmp_path: Path) -> None:
    blocks = np.kron(np.array([[0, 1], [2, 0]]), np.ones((32, 32), int)) * 100  # as wide as JPEG's own blocks
    cv2.imwrite(str(tmp_path / "clean.jpg"), blocks.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert read_id_map(tmp_path / "clean.jpg").count == 2
    cv2.imwrite(str(tmp_path / "spoiled.jpg"), coloured(cells(5, 200, 3)))
    with pytest.raises(SceneError, match=r"spoiled\.jpg: .* save id maps without loss \(PNG"):
        read_id_map(tmp_path / "spoiled.jpg")
    ladder = np.kron(np.arange(49).reshape(7, 7) * 5, np.ones((16, 16), int)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "many.jpg"), ladder, [cv2.IMWRITE_JPEG_QUALITY, 100])
    with pytest.raises(SceneError, match="ids in a JPEG file, which changes values"):
        read_id_map(tmp_path / "many.jpg")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.float64])
def test_ids_in_arrays(tmp_path: Path, dtype: type) -> None:
    ids = np.array([[0, 1, 1], [0, 7, 7]]).astype(dtype)
    file = tmp_path / "train_seg/r_0.npy"
    file.parent.mkdir()
    np.save(file, ids)
    expected = [ids == value for value in np.unique(ids) if value]
    np.testing.assert_array_equal(read_masks(tmp_path, "train", "r_0").masks(), expected)


def test_negative_ids_mean_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[-1, 3], [-7, 3]]))
    found = read_id_map(tmp_path / "a.npy")
    assert (found.count, found.labels.tolist()) == (1, [[-1, 0], [-1, 0]])


def test_a_stack_in_place_of_an_id_map(tmp_path: Path) -> None:
    file = tmp_path / "train_seg/r_0.npy"
    file.parent.mkdir()
    stack = np.array([[[1, 1], [0, 0]], [[1, 0], [1, 0]]], bool)
    np.save(file, stack)
    np.testing.assert_array_equal(read_masks(tmp_path, "train", "r_0").masks(), stack)


def test_soft_numbers_in_place_of_ids_are_one_mask(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.2, 0.7], [0.9, 0.4]]))
    assert read_id_map(tmp_path / "a.npy").labels.tolist() == [[-1, 0], [0, -1]]
    np.save(tmp_path / "b.npy", np.array([[0.2, np.nan]]))
    with pytest.raises(SceneError, match=r"b\.npy: a mask holds a value that is negative or not finite"):
        read_id_map(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.array([["a", "b"]]))
    with pytest.raises(SceneError, match=r"c\.npy: expected ids, found <U1"):
        read_id_map(tmp_path / "c.npy")
    np.save(tmp_path / "d.npy", np.zeros(3, int))
    with pytest.raises(SceneError, match=r"d\.npy: expected an id map \[H, W\], found an array of shape \[3\]"):
        read_id_map(tmp_path / "d.npy")


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_maps_without_pixels(tmp_path: Path, shape: tuple[int, int]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, int))
    with pytest.raises(SceneError, match=r"a\.npy: expected an id map \[H, W\], found an array of shape"):
        read_id_map(tmp_path / "a.npy")


def test_large_maps_are_read_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultrafield.masks import sizes

    files = {"clean": coloured(cells(40, 160, 4)), "spoiled": cv2.GaussianBlur(coloured(cells(5, 90)), (3, 3), 0.6)}
    files |= {"soft": jpeg(60)(WHITE), "thin": (np.eye(60) * np.arange(60)).astype(np.uint8)}

    def outcome(name: str) -> object:
        try:
            found = read_id_map(tmp_path / f"{name}.png")
        except SceneError as error:
            return str(error)
        return found.count, found.labels.tolist()

    for name, picture in files.items():
        write_image(tmp_path / f"{name}.png", picture)
    whole = [outcome(name) for name in files]
    for pixels in (1, 200, 1000):
        monkeypatch.setattr(sizes, "_BAND_PIXELS", pixels)
        assert [outcome(name) for name in files] == whole


def test_segments_that_vanish_at_another_size_are_dropped(tmp_path: Path) -> None:
    ids = np.zeros((8, 8), np.uint8)
    ids[0, 0], ids[4:, 4:], ids[:4, 4:] = 1, 5, 9
    write_image(tmp_path / "train_seg/r_0.png", ids)
    found = read_masks(tmp_path, "train", "r_0", (4, 4))
    np.testing.assert_array_equal(found.masks(), [ids[1::2, 1::2] == 5, ids[1::2, 1::2] == 9])
    assert not found.inside.any()
    np.testing.assert_array_equal(found.same, np.eye(2, dtype=bool))


def test_index_0_of_a_palette_without_black_means_none(tmp_path: Path) -> None:
    ids = cells(6, 60).astype(np.uint8)
    colors = np.random.default_rng(0).integers(1, 256, (6, 3)).astype(np.uint8)
    colors[4] = colors[2]  # indices are ids, not colours
    expected = read_id_map(saved(tmp_path / "grey.png", ids, None))
    assert expected.count == 5
    found = read_id_map(saved(tmp_path / "palette.png", ids, colors))
    np.testing.assert_array_equal(found.labels, expected.labels)
    # With something black, colours decide: that is what none are, whatever the order of the palette.
    colors = np.arange(18, dtype=np.uint8).reshape(6, 3)[::-1].copy()
    colors[5] = 0
    found = read_id_map(saved(tmp_path / "reversed.png", 5 - ids, colors))
    np.testing.assert_array_equal(found.labels >= 0, ids > 0)
    found = read_id_map(saved(tmp_path / "full.png", np.maximum(5 - ids, 1) - 1, colors))  # of which none is black here
    assert found.count == 5


def saved(file: Path, indices: np.ndarray, colors: np.ndarray | None) -> Path:
    """A picture of indices, grey or with a palette."""
    picture = Image.fromarray(indices)
    if colors is not None:
        picture.putpalette(colors.tobytes())
    picture.save(file)
    return file
