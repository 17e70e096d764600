"""Table and page of a batch, and how a cluster is shared out."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

arrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

from ultrafield import cli  # noqa: E402
from ultrafield.batch.cluster import Node, choose_device, share_out  # noqa: E402
from ultrafield.batch.outcome import Outcome  # noqa: E402
from ultrafield.batch.results import Results  # noqa: E402
from ultrafield.batch.table import TABLE, read_table, write_table  # noqa: E402
from ultrafield.batch.worker import fault_of, version_fault  # noqa: E402
from ultrafield.errors import BackendError, ConfigError, RunError, SceneError  # noqa: E402

DONE = Outcome(
    "room <1>",
    "/data/room <1>",
    "done",
    node="host",
    seconds=3.5,
    finished="2026-01-02T03:04:05+00:00",
    stages={"train": 2.0, "segment": 1.0},
    figures={"points": 1234.0, "nc": 0.5},
    losses=(0.5, 0.25, 0.125),
)
BAD = Outcome("bad", "/data/bad", "failed", "no pictures & no hope", "scene", "host")


class Links(HTMLParser):
    """Places that a page leads to or asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.requests: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("href", "src"):
                self.requests.append(value or "")


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_table(str(tmp_path)) == []
    write_table(str(tmp_path), [BAD, DONE])
    assert read_table(f"file://{tmp_path}") == [BAD, DONE]
    row = parquet.read_table(tmp_path / TABLE).to_pylist()[1]
    assert (row["seconds_train"], row["seconds_masks"], row["nc"], row["vc"]) == (2.0, None, 0.5, None)


@pytest.mark.parametrize("metadata", [None, {b"ultrafield.batch": b"0"}])
def test_a_table_of_another_version_is_refused(
    tmp_path: Path, metadata: dict[bytes, bytes] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    table = arrow.table({"scene": ["a"]}).replace_schema_metadata(metadata)
    parquet.write_table(table, tmp_path / TABLE)
    before = (tmp_path / TABLE).read_bytes()
    (tmp_path / "a").mkdir()
    assert cli.main(["batch", str(tmp_path / "a"), "--out", str(tmp_path), "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    said = "no version" if metadata is None else "version 0"
    assert f"{tmp_path / TABLE}: a table of {said}, where this program writes version 1; move it away" in line
    assert (tmp_path / TABLE).read_bytes() == before


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "batch.html").write_text("mine")
    with pytest.raises(RunError, match=r"batch\.html: is not of a batch; move it away"):
        Results(str(tmp_path / "page"))
    (tmp_path / TABLE).write_text("mine")
    with pytest.raises(RunError, match="cannot be read as results of a batch"):
        Results(str(tmp_path))
    with pytest.raises(SceneError, match="exists and is not a folder"):
        Results(str(tmp_path / TABLE))


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("name", None, "name: expected text, got None"),
        ("reason", 3, "reason: expected text, got 3"),
        ("state", "lost", "state: cannot be 'lost'"),
        ("fault", None, "fault: cannot be None"),
        ("seconds", None, "seconds: expected a number, got None"),
        ("seconds_train", "long", "seconds_train: expected a number, got 'long'"),
        ("nc", "good", "nc: expected a number, got 'good'"),
        ("losses", [None], "losses: expected a number, got None"),
        ("losses", 3.0, "not iterable"),
    ],
)
def test_a_table_with_odd_values_is_refused(
    tmp_path: Path, column: str, value: object, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(str(tmp_path), [DONE])
    stored = parquet.read_table(tmp_path / TABLE)
    odd = stored.set_column(stored.column_names.index(column), column, [[value]])
    parquet.write_table(odd, tmp_path / TABLE)
    (tmp_path / "a").mkdir()
    assert cli.main(["batch", str(tmp_path / "a"), "--out", str(tmp_path), "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / TABLE}: cannot be read as results of a batch (" in line
    assert text in line


def test_a_reason_of_other_bytes_is_stored_as_text(tmp_path: Path) -> None:
    write_table(str(tmp_path), [replace(BAD, reason="x\udcff.png: no picture")])
    assert read_table(str(tmp_path))[0].reason == "x\\udcff.png: no picture"


def test_rows_of_a_batch_that_ends_in_between_stay(tmp_path: Path) -> None:
    first, second = Results(str(tmp_path)), Results(str(tmp_path))
    for results, outcome in ((first, DONE), (second, BAD)):
        with results.owned():
            results.add(outcome)
    assert read_table(str(tmp_path)) == [BAD, DONE]


@pytest.mark.parametrize("url", ["", "local://"])
def test_a_page_that_a_batch_wrote_is_replaced_without_its_table(tmp_path: Path, url: str) -> None:
    for outcome in (DONE, BAD):
        (tmp_path / TABLE).unlink(missing_ok=True)
        results = Results(f"{url}{tmp_path}")
        with results.owned():
            results.add(outcome)
    assert "no pictures &amp; no hope" in (tmp_path / "batch.html").read_text()
    (tmp_path / "batch.html").write_text("mine")
    with pytest.raises(RunError, match="is not of a batch"):
        Results(f"{url}{tmp_path}")


def test_the_page_links_to_reports_and_asks_for_nothing(tmp_path: Path) -> None:
    results = Results(str(tmp_path / "out"))
    with results.owned():
        results.add(DONE)
        results.add(BAD)
    page = (tmp_path / "out" / "batch.html").read_text()
    found = Links()
    found.feed(page)
    assert [link for link in found.links if not link.startswith("#")] == ["room%20%3C1%3E/report.html"]
    assert found.requests == []
    assert "no pictures &amp; no hope" in page
    assert "room &lt;1&gt;" in page
    assert 'aria-label="Colour error: from 0.5 to 0.125"' in page
    assert "1 of 2 scenes is finished." in page
    assert "1,234" in page


def test_what_was_kept_keeps_its_time(tmp_path: Path) -> None:
    for outcome in (DONE, Outcome(DONE.name, DONE.scene, "kept", node="other", seconds=0.1, finished="later")):
        results = Results(str(tmp_path))
        with results.owned():
            results.add(outcome)
    (row,) = read_table(str(tmp_path))
    assert (row.state, row.seconds, row.node, row.finished) == ("kept", 3.5, "host", DONE.finished)


def test_workers_get_equal_parts_of_a_cluster() -> None:
    nodes = [Node("a", 16, 2), Node("b", 8, 0)]
    assert choose_device(nodes, "auto") == "cuda"
    shares = share_out(nodes, "cuda", per_gpu=None, cores=None)
    assert (shares.gpu, shares.threads, [shares.slots(node) for node in nodes]) == (0.5, 4, [4, 0])
    shares = share_out([Node("a", 1, 2)], "cuda", per_gpu=3, cores=None)
    assert (shares.cpus, shares.threads, shares.slots(Node("a", 1, 2))) == (0, 1, 6)
    shares = share_out(nodes, "cpu", per_gpu=None, cores=3)
    assert [shares.slots(node) for node in nodes] == [5, 2]
    assert share_out([Node("a", 2, 0)], "cpu", per_gpu=None, cores=None).threads == 2
    with pytest.raises(ConfigError, match=r"cores: no node of the cluster has 17 CPUs \(the largest has 16\)"):
        share_out(nodes, "cpu", per_gpu=None, cores=17)
    with pytest.raises(BackendError, match="no node of the cluster has a GPU"):
        choose_device(nodes[1:], "cuda")


def test_faults_of_scenes_nodes_and_memory_are_told_apart() -> None:
    assert fault_of(SceneError("x")) == fault_of(ConfigError("x")) == "scene"
    assert fault_of(OSError(28, "No space left on device")) == "disk"
    assert fault_of(RuntimeError("CUDA out of memory. Tried")) == fault_of(MemoryError()) == "memory"
    assert fault_of(BackendError("x")) == fault_of(OSError(13, "Permission denied")) == "other"
    here = (("ultrafield", "1"), ("ray", "2"))
    assert version_fault(here, here, "n") is None
    assert version_fault(here, (("ultrafield", "1"), ("ray", "3")), "n") == (
        "node n has ray 3 instead of 2; install the same on every node"
    )
