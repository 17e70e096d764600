"""Nodes found and named by words: with small networks of random weights, and with embeddings made by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import ultrafield as uf
from ultrafield import cli
from ultrafield.io import write_npz
from ultrafield.owner import LOCK_NAME
from ultrafield.pipeline import word_embeddings
from ultrafield.pipeline.console import Report
from ultrafield.pipeline.edits import write_edits
from ultrafield.pipeline.folder import RunFolder
from ultrafield.pipeline.naming import find_nodes
from ultrafield.pipeline.word_embeddings import embedded_nodes
from ultrafield.pipeline.word_names import WordScorer, names_from_words, read_words
from ultrafield.pipeline.word_nodes import WordNodes
from ultrafield.ultrametric import EditedTree
from ultrafield.words.checkpoint import open_words
from ultrafield.words.network import WordNetwork
from ultrafield.words.scores import joined, prompts

pytest.importorskip("transformers", reason="needs the extra clip")


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def scorer(folder: Path) -> WordScorer:
    return WordScorer(WordNetwork(open_words(str(folder)), torch.device("cpu")), Report.silent())


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_nodes_are_found_by_words(
    kind: str, run: Path, word_networks: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["find", str(run), "handle of the mug", "--model", str(word_networks[kind]), "--device", "cpu"]
    assert cli.main([*command, "--top", "3"]) == 0
    first = capsys.readouterr()
    assert "Nodes for 'handle of the mug'" in first.out
    assert "… and" in first.out
    assert "words …" in first.err
    written = (run / "words.npz").read_bytes()
    (run / LOCK_NAME).write_text("{}")  # of a process that was killed when it had written them
    assert cli.main([*command, "--top", "3"]) == 0
    assert not (run / LOCK_NAME).exists()
    second = capsys.readouterr()
    assert second.out == first.out  # the same, and from what is kept
    assert "words …" not in second.err
    (run / "words.npz").write_bytes(written[:-1])  # damaged: made again, the same
    assert cli.main([*command, "--top", "3"]) == 0
    assert capsys.readouterr().out == first.out
    assert (run / "words.npz").read_bytes() == written


def test_another_network_or_tree_is_embedded_anew(run: Path, word_networks: dict[str, Path]) -> None:
    found = uf.open_run(run)
    sizes = set()
    for kind in ("clip", "siglip", "clip"):
        find_nodes(found, "mug", [scorer(word_networks[kind])])
        with np.load(run / "words.npz") as stored:
            sizes.add((kind, stored["vectors"].shape[1]))
    assert sizes == {("clip", 24), ("siglip", 32)}
    assert cli.main(["segment", str(run), "--segment.voxel", "0.05", "--device", "cpu"]) == 0
    again = uf.open_run(run)
    matches = find_nodes(again, "mug", [scorer(word_networks["clip"])])
    assert {match.node for match in matches} <= set(again.ids.tolist())


def test_edits_leave_embeddings_valid(run: Path, word_networks: dict[str, Path]) -> None:
    found, ask = uf.open_run(run), scorer(word_networks["clip"])
    nodes = WordNodes.of(found)
    before = embedded_nodes(found, nodes, ask.network, Report.silent())
    tops = np.flatnonzero(nodes.parents == 0)
    others = [node for node in np.flatnonzero(nodes.parents > 0) if nodes.parents[node] != tops[0]]
    edited = EditedTree(found.tree)
    edited.merge([int(nodes.ids[others[0]]), int(nodes.ids[tops[0]])])
    write_edits(RunFolder(run), edited)
    asked: list[int] = []

    class Counting(WordNetwork):
        def pictures(self, pictures):  # type: ignore[no-untyped-def]
            asked.append(len(pictures))
            return super().pictures(pictures)

    assert cli.main(["segment", str(run), "--device", "cpu"]) == 0  # label maps of the edited tree
    after = uf.open_run(run)
    new = WordNodes.of(after)
    network = Counting(open_words(str(word_networks["clip"])), torch.device("cpu"))
    vectors = embedded_nodes(after, new, network, Report.silent())
    place = {int(key): index for index, key in enumerate(nodes.keys)}
    kept = [index for index, key in enumerate(new.keys) if int(key) in place]
    assert 0 < len(kept) < len(new)
    np.testing.assert_array_equal(vectors[kept], before[[place[int(new.keys[index])] for index in kept]])
    assert sum(asked) <= 5 * (len(new) - len(kept))
    embedded_nodes(after, new, network, Report.silent())
    assert sum(asked) <= 5 * (len(new) - len(kept))


def test_nodes_of_edits_that_no_view_shows_have_no_direction(
    run: Path, word_networks: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, ask = uf.open_run(run), scorer(word_networks["clip"])
    nodes = WordNodes.of(found)
    before = embedded_nodes(found, nodes, ask.network, Report.silent())
    monkeypatch.setattr(word_embeddings, "best_views", lambda counts, *rest: [np.zeros(0, int)] * counts.shape[1])
    stored = word_embeddings._read(RunFolder(run))
    assert stored is not None
    fewer = word_embeddings.Embedded(stored.keys[1:], stored.vectors[1:])
    monkeypatch.setattr(word_embeddings, "_read", lambda run: fewer)
    vectors = embedded_nodes(found, nodes, ask.network, Report.silent())
    unseen = nodes.keys == stored.keys[0]
    assert unseen.sum() == 1
    assert not vectors[unseen].any()
    np.testing.assert_array_equal(vectors[~unseen], before[~unseen])


def by_hand(run: Path, ask: WordScorer, meant: dict[int, str]) -> None:
    """Put embeddings of words into words.npz for some nodes, those of what anything may be called for the others."""
    found = uf.open_run(run)
    nodes = WordNodes.of(found)
    embedded_nodes(found, nodes, ask.network, Report.silent())
    folder = RunFolder(run)
    with np.load(run / "words.npz") as stored:
        keys, vectors = stored["keys"], stored["vectors"].copy()
    (anything,) = joined(ask.network.texts(prompts(["texture"])))
    vectors[:] = anything
    for node, word in meant.items():
        place = int(np.flatnonzero(nodes.ids == node)[0])
        (vectors[np.searchsorted(keys, nodes.keys[place])],) = joined(ask.network.texts(prompts([word])))
    settings, made_from = folder.records.settings("words"), folder.records.made_from("words")
    write_npz(run / "words.npz", keys=keys, vectors=vectors)
    assert settings is not None
    folder.finish("words", settings, 0.0, made_from)


def test_embeddings_made_by_hand_give_the_known_answer(
    run: Path, word_networks: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ask, found = scorer(word_networks["siglip"]), uf.open_run(run)
    nodes = WordNodes.of(found)
    mug, box = int(nodes.ids[2]), int(nodes.ids[3])
    by_hand(run, ask, {mug: "mug", box: "blue box"})
    first, *others = find_nodes(found, "mug", [ask])
    assert first.node == mug
    assert first.score > 0.5
    assert all(match.score <= 0.5 + 1e-6 for match in others if match.node != box)
    assert find_nodes(found, "blue box", [ask])[0].node == box
    named = names_from_words(found, ["mug", "blue box", "handle"], ask, least=0.501)
    assert {match.node: match.name for match in named} == {mug: "mug", box: "blue box"}
    words = ["name", str(run), "--words", "mug, blue box,handle", "--model", str(word_networks["siglip"])]
    assert cli.main([*words, "--least", "0.501", "--device", "cpu"]) == 0
    assert "Named by words" in capsys.readouterr().out
    assert uf.open_run(run).names == {mug: "mug", box: "blue box"}
    assert cli.main(["name", str(run), "--node", str(mug), "--name", "mine"]) == 0
    assert cli.main([*words, "--least", "0.501", "--device", "cpu"]) == 0
    assert uf.open_run(run).names[mug] == "mine"
    assert cli.main([*words, "--least", "0.501", "--device", "cpu", "--overwrite"]) == 0
    assert uf.open_run(run).names[mug] == "mug"


def test_without_the_scene_rendered_pictures_are_looked_at(
    run: Path, word_networks: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    command = ["find", str(run), "mug", "--model", str(word_networks["clip"]), "--device", "cpu"]
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"scene": str(run / "gone")}))
    assert cli.main(command) == 0
    assert "words: the scene is not here; rendered pictures are used instead of photographs" in capsys.readouterr().err


def test_a_run_folder_that_cannot_be_written_to_is_searched_all_the_same(
    run: Path, word_networks: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultrafield.pipeline import word_embeddings

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "words.npz")

    monkeypatch.setattr(word_embeddings, "write_npz", full)
    assert cli.main(["find", str(run), "mug", "--model", str(word_networks["clip"]), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert "words.npz: not kept (No space left on device)" in told.err
    assert "Nodes for 'mug'" in told.out
    assert not (run / "words.npz").exists()


def test_a_saved_segmentation_has_no_views_for_words(
    run: Path, tmp_path: Path, word_networks: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    saved = uf.open_run(run).save(tmp_path / "saved")
    assert cli.main(["find", str(saved), "mug", "--model", str(word_networks["clip"])]) == 2
    assert "--model: words need a run folder with rendered views" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model", "m"], "--words: needed with --model"),
        (["--words", "a"], "--model: needed with --words"),
        (["--words", "a", "--model", "m", "--csv", "t"], "--words: give either words, a table or one node"),
        (
            ["--words", " , ,", "--model", "m"],
            "--words: expected words between commas, or a file with one on each line",
        ),
        (["--words", "a,b\x07", "--model", "m"], "cannot be a name: it holds a control character"),
        (["--words", "a", "--model", "nowhere"], "--model: nowhere: no such folder"),
        (["--words", "a", "--model", "m", "--least", "2"], "--least: expected a number from 0 to 1"),
    ],
)
def test_options_that_cannot_be_used(
    options: list[str], expected: str, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["name", str(tiny_run), *options]) == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_words_are_read_from_a_text_or_a_file(tmp_path: Path) -> None:
    assert read_words("mug, handle ,mug,, Ω") == ["mug", "handle", "Ω"]
    (tmp_path / "words.txt").write_text("\ufeffmug\n\nhandle, of the mug\n", encoding="utf-8")
    assert read_words(str(tmp_path / "words.txt")) == ["mug", "handle, of the mug"]
    assert len(read_words(",".join(f"word {index}" for index in range(2000)))) == 2000
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(uf.SceneError, match=r"words\.txt: no text in UTF-8"):
        read_words(str(tmp_path / "words.txt"))
