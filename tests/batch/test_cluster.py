"""`ultrafield batch` on a cluster of three nodes, simulated on this machine: deaths, faults, and going on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray")
pytest.importorskip("pyarrow", reason="needs pyarrow")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

from ultrafield import cli  # noqa: E402
from ultrafield.batch.table import read_table  # noqa: E402
from ultrafield.commands import batch as command  # noqa: E402

FULL_DISK = """
import errno, os
real = os.replace
def full(source, target):
    if str(target).endswith("field.safetensors"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real(source, target)
os.replace = full
"""

# A cluster takes note after 3 s that a node has gone, rather than after 15 s.
ATTENTIVE = {"health_check_period_ms": 500, "health_check_failure_threshold": 6, "health_check_initial_delay_ms": 2000}


# A worker takes longer to start than such a run; after so few steps a density shows something, a surface does not.
SHORT = ["--geometry.representation", "density", "--geometry.steps", "30", "--geometry.samples", "2048", "--cuts", "3"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head node and two others, each with room for one worker; the disk of the last one is full."""
    import ray
    from ray.cluster_utils import Cluster

    environment = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_prestart_worker_first_driver": "0", "RAY_ADDRESS": ""}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": ATTENTIVE})
        made.removable = made.add_node(num_cpus=1, wait=False)
        full = tmp_path_factory.mktemp("full")
        (full / "sitecustomize.py").write_text(FULL_DISK)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(full), *sys.path]))
        made.add_node(num_cpus=1, wait=False)
        made.wait_for_nodes()
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def scenes(tiny_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Four good scenes and a broken one."""
    folder = tmp_path_factory.mktemp("scenes")
    good = [shutil.copytree(tiny_scene, folder / f"scene_{index}") for index in range(4)]
    broken = folder / "broken"
    broken.mkdir()
    (broken / "transforms_train.json").write_text("{")
    return [str(place) for place in (*good, broken)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs that the tests of this module go on with."""
    return tmp_path_factory.mktemp("runs") / "out"


def run_batch(cluster: Any, scenes: list[str], out: Path, tiny: list[str], *more: str) -> int:
    return cli.main(
        ["batch", *scenes, "--out", str(out), "--address", cluster.address, "--cores", "1", *tiny, *SHORT, *more]
    )


def times_run(run: Path) -> int:
    """How often a run was brought to its end."""
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return sum(line.get("stage") == "run" for line in lines)


def owner_of_a_run(out: Path, besides: set[int]) -> int:
    """The process of a worker that is in the middle of a scene."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        for lock in out.glob("scene_*/.ultrafield.lock"):
            try:
                process = int(json.loads(lock.read_text())["process"])
            except (OSError, ValueError):
                continue
            if process not in besides and not (lock.parent / "stages.json").exists():
                return process
        time.sleep(0.02)
    raise TimeoutError("no worker began a scene")


def raylet_of(process: int) -> int:
    """The process that a worker was started by; 0 if the worker has died."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_nodes_with_other_versions_are_refused(
    cluster: Any,
    scenes: list[str],
    out: Path,
    tiny: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = command.versions_here()
    monkeypatch.setattr(command, "versions_here", lambda: (("ultrafield", "99.0"), *here[1:]))
    assert run_batch(cluster, scenes[:1], out, tiny) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"has ultrafield {here[0][1]} instead of 99.0; install the same on every node")
    assert not (out / "scene_0").exists()


@pytest.mark.slow
def test_deaths_a_full_disk_and_a_broken_scene_leave_the_others_alone(
    cluster: Any, scenes: list[str], out: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lost: list[str] = []

    def disturb() -> None:
        first = owner_of_a_run(out, set())
        os.kill(first, signal.SIGKILL)
        lost.append("worker")
        raylet = cluster.removable.all_processes["raylet"][0].process.pid
        besides = {first}
        while raylet_of(second := owner_of_a_run(out, besides)) != raylet:
            besides.add(second)
        cluster.remove_node(cluster.removable, allow_graceful=False)
        lost.append("node")

    thread = threading.Thread(target=disturb)
    thread.start()
    code = run_batch(cluster, scenes, out, tiny)
    thread.join()
    said = capsys.readouterr()
    assert (code, lost) == (1, ["worker", "node"]), said.err
    assert "5 scenes: 4 done, 0 done before, 1 failed" in said.out, said.err
    assert said.err.count("its worker or node died; it is begun again") == 2
    assert "gets no more scenes: No space left on device: " in said.err
    assert "1 of 5 scenes failed (broken: " in said.err.splitlines()[-1]
    assert "transforms_train.json: not valid JSON" in said.err.splitlines()[-1]
    assert not (out / "broken").exists()
    assert [times_run(out / f"scene_{index}") for index in range(4)] == [1] * 4
    rows = {outcome.name: outcome for outcome in read_table(str(out))}
    assert [rows[f"scene_{index}"].state for index in range(4)] == ["done"] * 4
    assert rows["broken"].fault == "scene"
    assert rows["scene_0"].figures["points"] > 100
    assert rows["scene_0"].stages.keys() >= {"train", "segment"}
    page = (out / "batch.html").read_text()
    assert 'href="scene_3/report.html"' in page
    assert "not valid JSON" in page


def test_a_second_batch_does_nothing_for_what_is_done(
    cluster: Any, scenes: list[str], out: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {row.name: row for row in read_table(str(out))}
    assert run_batch(cluster, scenes[:1], out, tiny) == 0
    assert "1 scenes: 0 done, 1 done before, 0 failed" in capsys.readouterr().out
    assert [times_run(out / f"scene_{index}") for index in range(4)] == [1] * 4
    after = {row.name: row for row in read_table(str(out))}
    assert after["scene_0"].seconds == before["scene_0"].seconds
    assert after["broken"] == before["broken"]  # no part of this batch


def test_a_cluster_of_this_host_listens_on_this_host_alone_and_leaves_signals_to_us() -> None:
    code = """
import os, signal, time
from ultrafield.batch.cluster import connect
from ultrafield.interruption import watch
watch("ours")
ray = connect(None)
import psutil
here = psutil.Process()
sockets = [socket for p in [here, *here.children(recursive=True)] for socket in p.net_connections()]
print({socket.laddr.ip.removeprefix("::ffff:") for socket in sockets if socket.status == "LISTEN"}, flush=True)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.splitlines()[-1] == "{'127.0.0.1'}", done.stderr
    assert done.returncode == 143
    assert done.stderr.startswith("ours: interrupted; ")
    assert done.stderr.count("\n") == 1
