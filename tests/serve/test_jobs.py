"""Jobs handed to a server end as if the process that was asked for them had done them."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import toy_server
from toy_server import ToyServer

from ultrafield.errors import ConfigError
from ultrafield.serve import process
from ultrafield.serve.channel import Channel
from ultrafield.serve.client import NotServed, connect
from ultrafield.serve.likeness import difference, likeness
from ultrafield.serve.place import Place, places
from ultrafield.serve.process import WorkerProcess, end_of

SERVER = """
import toy_server
from ultrafield.serve import process
from ultrafield.serve.place import places
from ultrafield.serve.server import Server

process._START = toy_server.WORKER
place = places()[0]
place.prepare()
Server(place, device="cpu", kernels=False, idle=60.0, note=lambda text: print(text, flush=True)).serve(lambda: False)
"""


def asked(server: ToyServer, message: dict[str, object], files: tuple[int, ...] = ()) -> dict[str, object]:
    channel = connect()
    assert channel is not None
    assert channel.send(message, files)
    received = channel.receive(10)
    channel.close()
    assert received is not None
    return received[0]


def trained(server: ToyServer, what: str = "train", **more: str) -> subprocess.Popen[str]:
    client = server.begin(what, **more)
    assert client.stdout is not None
    assert client.stdout.readline().startswith("training")
    return client


def test_a_job_has_folder_variables_umask_and_files_of_its_process(toy_server: ToyServer, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    before, mask = Path.cwd(), os.umask(0o027)
    try:
        os.chdir(folder)
        results = [toy_server.run("tell", "0", SAID=word) for word in ("one", "two")]
    finally:
        os.chdir(before)
        os.umask(mask)
    for (code, out, err), word in zip(results, ("one", "two"), strict=True):
        assert (code, out.split()[:3]) == (0, [str(folder), word, "0o27"])
        assert "['run', 'tell', '0'] False" in out
        assert err.count("UserWarning: told") == 1  # in the second job again
    assert results[0][1].split()[-1] == results[1][1].split()[-1]  # no files are left open
    assert asked(toy_server, {"ask": "status"})["done"] == 2


def test_exit_codes_and_errors_are_those_of_the_job(toy_server: ToyServer) -> None:
    assert toy_server.run("tell", "2")[0] == 2
    assert toy_server.run("other")[0] == 3
    code, _, err = toy_server.run("raise")
    assert code == 1
    assert "ValueError: odd" in err.splitlines()  # a worker that is still starting is said, too


def test_a_worker_in_which_a_failed_job_left_threads_is_replaced(toy_server: ToyServer) -> None:
    worker = asked(toy_server, {"ask": "status"})["worker"]
    assert toy_server.run("tell", "2")[0] == 2
    assert asked(toy_server, {"ask": "status"})["worker"] == worker
    assert toy_server.run("leave a thread")[0] == 2
    assert asked(toy_server, {"ask": "status"})["worker"] != worker


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_client_ends_the_job_well(number: int, code: int, toy_server: ToyServer) -> None:
    with trained(toy_server) as client:
        client.send_signal(number)
        _, err = client.communicate(timeout=60)
    assert (client.returncode, err) == (code, "ultrafield: interrupted; saved\n")
    assert toy_server.run("tell", "0")[0] == 0


def test_a_second_signal_does_not_wait(toy_server: ToyServer) -> None:
    with trained(toy_server, "stubborn") as client:
        client.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.3)
        client.send_signal(signal.SIGINT)
        _, err = client.communicate(timeout=60)
    assert client.returncode == 130
    assert err.count("\n") == 1


def test_the_job_of_a_killed_client_is_ended(toy_server: ToyServer) -> None:
    with trained(toy_server) as client:
        client.kill()
        client.communicate(timeout=60)
    assert toy_server.run("tell", "0")[0] == 0
    assert any(note.startswith("run train: exit code 143") for note in toy_server.notes)


def test_jobs_wait_for_one_another(toy_server: ToyServer) -> None:
    with trained(toy_server) as first, toy_server.begin("tell", "0") as second:
        assert second.stderr is not None
        assert "another job is under way; waiting (--no-serve" in second.stderr.readline()
        with toy_server.begin("tell", "0") as third:  # which loses patience
            assert third.stderr is not None
            third.stderr.readline()
            third.send_signal(signal.SIGINT)
            assert third.wait(60) == 130
        assert asked(toy_server, {"ask": "status"})["job"] == "run train"
        first.send_signal(signal.SIGINT)
        assert (first.wait(60), second.wait(60)) == (130, 0)


def test_a_worker_with_other_threads_begins_anew(toy_server: ToyServer) -> None:
    code, _, err = toy_server.run("tell", "0", NUMBA_NUM_THREADS="3")
    assert code == 0
    assert "the worker starts anew, as the environment is another one (NUMBA_NUM_THREADS); waiting" in err
    worker = WorkerProcess.started({"A": "1", "OMP_WAIT_POLICY": "PASSIVE"}, device="cpu", kernels=False)
    assert worker.changes({"B": "2"}) == []
    assert worker.changes({"CUDA_VISIBLE_DEVICES": "1"}) == ["CUDA_VISIBLE_DEVICES"]
    worker.process.kill()
    assert end_of(worker.ended()) == "was killed by SIGKILL"


def here(toy_server: ToyServer, *arguments: str, **more: str) -> str:
    """What a client says that does the work itself, which its argument makes fail at once."""
    code, _, err = toy_server.run(*arguments, **more)
    assert code == 2
    assert "--out" in err  # which is lacking
    return err.splitlines()[0]


def test_a_job_whose_worker_dies_is_done_by_its_process(toy_server: ToyServer) -> None:
    assert here(toy_server, "die") == "serve: the worker was killed by SIGKILL; doing the work here"


def test_a_stopped_server_leaves_its_jobs_to_their_processes(toy_server: ToyServer) -> None:
    with trained(toy_server) as client:
        channel = connect()
        assert channel is not None
        channel.send({"ask": "stop"})
        _, err = client.communicate(timeout=60)
    assert channel.receive(60) is None
    channel.close()
    lines = err.splitlines()
    assert lines[:2] == ["ultrafield: interrupted; saved", "serve: the server was stopped; doing the work here"]
    assert toy_server.notes[-1] == "stopped"


def test_one_that_would_do_otherwise_is_not_used(toy_server: ToyServer) -> None:
    ours = likeness()
    assert difference(ours, ours) is None
    assert difference(ours | {"version": "0.0"}, ours) == f"it is version {ours['version']}, this is 0.0"
    assert "has changed" in str(difference(ours | {"program": ["/", ""]}, ours))
    assert difference(ours | {"CPUs": [], "memory": 0}, ours) == "its CPUs and memory differ"
    assert difference(ours | {"priority": 19}, ours) == "its priority differs"
    request = {"ask": "run", "likeness": ours | {"version": "0.0"}}
    refusal = str(asked(toy_server, request, (0, 1, 2))["refused"])
    assert refusal.startswith(f"it is version {ours['version']}, this is 0.0 (process ")
    assert toy_server.run("tell", "0", SLURM_JOB_ID="7")[0] == 2


def test_a_killed_server_leaves_its_job_to_its_process(runtime_folder: Path) -> None:
    paths = os.pathsep.join(str(Path(module.__file__).parents[up]) for module, up in ((process, 2), (toy_server, 0)))
    server = ToyServer(places()[0], os.environ | {"PYTHONPATH": paths}, 60.0)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env=server.environment
    ) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline().startswith("ready")
        with trained(server) as client:
            listening.kill()
            _, err = client.communicate(timeout=60)
    assert err.splitlines()[:2] == [
        "ultrafield: interrupted; saved",
        "serve: the server has ended; doing the work here",
    ]
    assert client.returncode == 2  # as --out is lacking


def test_several_gpus_are_left_to_the_process(toy_server: ToyServer) -> None:
    said = here(toy_server, "tell", "0", "--gpus", "2")
    assert said == "serve: it works on one GPU, and --gpus asks for more; doing the work here"
    assert toy_server.run("tell", "0", "--gpus=1")[0] == 0


def test_help_waits_for_no_server(toy_server: ToyServer) -> None:
    code, out, _ = toy_server.run("--help")
    assert (code, "usage: ultrafield run" in out) == (0, True)
    assert asked(toy_server, {"ask": "status"})["done"] == 0


@pytest.mark.parametrize(("arguments", "more"), [(("--no-serve",), {}), ((), {"ULTRAFIELD_NO_SERVE": "1"})])
def test_it_can_be_refused(arguments: tuple[str, ...], more: dict[str, str], toy_server: ToyServer) -> None:
    assert "serve" not in here(toy_server, "tell", "0", *arguments, **more)
    assert asked(toy_server, {"ask": "status"})["done"] == 0


def test_what_a_killed_server_left_is_said_and_replaced(
    runtime_folder: Path, new_server: Callable[..., ToyServer]
) -> None:
    place = Place(runtime_folder / "ultrafield")
    place.prepare()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place.socket))
    with pytest.raises(NotServed, match=r"nobody answers at .*serve\.sock \(ultrafield serve --stop removes it\)"):
        connect()
    server = new_server()
    assert server.run("tell", "0")[0] == 0


def test_it_ends_when_nothing_is_to_do(new_server: Callable[..., ToyServer]) -> None:
    server = new_server(idle=0.3)
    server.run("tell", "0")
    for _ in range(100):
        if server.notes[-1].startswith("nothing"):
            break
        server.ended.wait(0.1)
    assert server.notes[-1] == "nothing to do for 0.005 minutes"
    assert connect() is None


def test_only_its_user_may_speak_to_it(toy_server: ToyServer) -> None:
    status = toy_server.place.socket.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(toy_server.place.folder.stat().st_mode) == 0o700
    toy_server.place.folder.chmod(0o755)
    with pytest.raises(NotServed, match="others may enter it"):
        connect()
    with pytest.raises(ConfigError, match="others may enter it"):
        toy_server.place.prepare()
    toy_server.place.folder.chmod(0o700)


def test_places_that_cannot_be_used(runtime_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="XDG_RUNTIME_DIR names another place"):
        Place(tmp_path / "file" / "x").prepare()
    with pytest.raises(ConfigError, match="too long a path for a socket"):
        Place(tmp_path / ("x" * 120)).prepare()
    (tmp_path / "link").symlink_to(tmp_path)
    assert Place(tmp_path / "link").fault() == "is no folder"


DEEP = 100_000 * b"["


@pytest.mark.parametrize(
    "sent",
    [
        *(b"", b"\0\0\0\x02[]", b"\0\0\0\x03{{{", b"\xff\xff\xff\xff{}", b"\0\0", b"\0\0\0\x02\xff\xfe"),
        len(DEEP).to_bytes(4) + DEEP,
    ],
    ids=lambda sent: repr(sent[:8]),
)
def test_what_is_no_message_is_not_answered(sent: bytes, toy_server: ToyServer) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(toy_server.place.socket))
        stranger.sendall(sent)
        stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(10)
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    assert asked(toy_server, {"ask": "status"})["ready"]


REQUEST = {"ask": "run", "environment": {}, "folder": "/", "umask": 0o22, "arguments": ["run", "tell", "0"]}


UNREADABLE = (
    *(("likeness", None), ("likeness", []), ("environment", None), ("environment", {"A": 1}), ("folder", 3)),
    *(("environment", {"A=B": "x"}), ("environment", {"A": "\0"}), ("folder", "\0"), ("umask", -1)),
    *(("umask", "x"), ("umask", 1 << 70), ("arguments", None), ("arguments", "run"), ("arguments", ["run", 3])),
)


def test_requests_that_cannot_be_read_are_refused_and_their_processes_do_the_work(toy_server: ToyServer) -> None:
    good = REQUEST | {"likeness": likeness()}
    for name, value in UNREADABLE:
        refusal = str(asked(toy_server, good | {name: value}, (0, 1, 2))["refused"])
        assert refusal.startswith(f"it cannot read what it is asked for ({name!r} must be ")
        without = {other: value for other, value in good.items() if other != name}
        assert asked(toy_server, without, (0, 1, 2))["refused"] == refusal
    assert asked(toy_server, {"ask": "status"})["waiting"] == 0


def test_what_is_no_signal_does_not_reach_a_job(toy_server: ToyServer) -> None:
    channel = connect()
    assert channel is not None
    request = REQUEST | {"likeness": likeness(), "environment": toy_server.environment, "arguments": ["run", "train"]}
    with open(os.devnull, "r+b") as nothing:
        channel.send(request, (nothing.fileno(),) * 3)
    while "started" not in (channel.receive(60) or pytest.fail("the server has ended"))[0]:
        pass
    for number in ("x", None, [], 9, 1 << 70, True):
        channel.send({"signal": number})
        assert asked(toy_server, {"ask": "status"})["job"] == "run train"
    channel.send({"signal": signal.SIGTERM})
    assert channel.receive(60) == ({"ended": 143}, [])
    channel.close()


def test_a_message_that_drips_in_is_not_waited_for() -> None:
    one, other = socket.socketpair()

    def drip() -> None:
        with suppress(OSError):  # nobody listens any more
            for byte in b'\0\0\0\x09{"a": 17}':
                one.sendall(bytes([byte]))
                time.sleep(0.03)

    dripping, channel = threading.Thread(target=drip), Channel(other)
    dripping.start()
    assert channel.receive(0.1) is None  # though each byte came in time
    channel.close()
    dripping.join()
    one.close()


def test_messages_carry_files(tmp_path: Path) -> None:
    one, other = (Channel(end) for end in socket.socketpair())
    with open(tmp_path / "file", "w") as file:
        assert one.send({"text": "ä\udcff"}, (file.fileno(),))
    received = other.receive(10)
    assert received is not None
    message, (descriptor,) = received
    os.write(descriptor, b"through")
    os.close(descriptor)
    assert message == {"text": "ä\udcff"}
    assert (tmp_path / "file").read_bytes() == b"through"
    other.close()
    assert not one.send({"text": "nobody"})
    one.close()
