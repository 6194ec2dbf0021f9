"""The agent answers its own user, also while the loop is stuck, and survives every kind of client."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import maypole
import pytest
from maypole.trace import agent as agents
from maypole.trace.agent.client import Agent, AgentError
from maypole.trace.agent.place import make_private, remove_stale, socket_path
from maypole.trace.agent.server import CLIENTS_MAX, LINE_BYTES_MAX, Server

TIMEOUT_S = 20


@pytest.fixture(autouse=True)
def private_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of this test's own for sockets, with a name short enough for them."""
    with tempfile.TemporaryDirectory(prefix="mp", dir="/tmp") as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        yield Path(base) / "maypole"


def in_thread(call: Callable[[], Any]) -> Any:
    """Call something elsewhere and wait for it, so that the loop of this thread is stuck meanwhile."""
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(TIMEOUT_S)
    assert results, "no answer came"
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def ask(do: str, **arguments: object) -> dict[str, Any]:
    with Agent(os.getpid()) as agent:
        return agent.ask(do, wait_s=5, **arguments)


def served(call: Callable[[], Any]) -> Any:
    """Call something in a coroutine of a loop that has an agent; the loop stands still meanwhile."""

    async def main() -> Any:
        await asyncio.sleep(0)
        return in_thread(call)

    return maypole.run(main(), agent=True)


def raw(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(TIMEOUT_S)
    client.connect(os.fspath(path))
    return client


def all_of(client: socket.socket) -> bytes:
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that repeats requests; "fail" makes it raise."""

    def respond(request: Any) -> dict[str, Any]:
        if request.get("do") == "fail":
            raise ZeroDivisionError("by request")
        if request.get("do") == "long":
            return {"ok": True, "long": "x" * 5_000_000}
        return {"ok": True, "said": request}

    server = Server(respond)
    yield server
    server.stop()


def test_a_loop_that_is_stuck_is_shown_from_outside() -> None:
    found = served(lambda: ask("tree"))
    [loop] = found["loops"]
    [task] = loop["tree"]["tasks"]
    assert task["state"] == "running"
    assert any(place["function"] == "in_thread" for place in task["stack"])
    assert loop["held_ns"] > 0
    assert loop["thread"] == "MainThread"
    assert f"{task['name']} " in loop["text"]


def test_births_are_noted_for_the_agent() -> None:
    async def main() -> Any:
        made = asyncio.create_task(asyncio.sleep(60), name="made")
        await asyncio.sleep(0)
        found = in_thread(lambda: ask("tree"))
        made.cancel()
        return found

    [loop] = maypole.run(main(), agent=True)["loops"]
    made = next(task for task in loop["tree"]["tasks"] if task["name"] == "made")
    main_task = next(task for task in loop["tree"]["tasks"] if task["name"] != "made")
    assert made["created_at"]["source"] == 'made = asyncio.create_task(asyncio.sleep(60), name="made")'
    assert made["age_s"] >= 0
    assert made["parent"] == main_task["id"]


def test_metrics_and_greeting_name_the_loop() -> None:
    metrics = served(lambda: ask("metrics"))
    assert metrics["loops"][0]["metrics"]["tasks"]["alive"] == 1
    hello = served(lambda: ask("hello"))
    assert (hello["pid"], hello["protocol"]) == (os.getpid(), 1)
    assert [loop["loop"] for loop in hello["loops"]] == ["EventLoop"]


def test_a_recording_is_taken_from_outside_while_the_loop_works() -> None:
    async def main() -> Any:
        asked = asyncio.get_running_loop().run_in_executor(None, lambda: ask("trace", seconds=0.2))
        while not asked.done():
            await asyncio.sleep(0.001)
        return await asked

    [document] = maypole.run(main(), agent=True)["documents"]
    assert document["format"] == "maypole-trace"
    assert document["program"]["ended"] == "running"
    assert document["program"]["pid"] == os.getpid()
    assert "sleep" in document["waits"]["kind"]


def test_the_socket_is_private_and_goes_with_the_run(private_folder: Path) -> None:
    def look() -> tuple[int, int]:
        path = private_folder / f"{os.getpid()}.sock"
        return stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(private_folder.stat().st_mode)

    assert served(look) == (0o600, 0o700)
    assert list(private_folder.iterdir()) == []
    with pytest.raises(AgentError, match="has no agent of maypole: start it with MAYPOLE_AGENT=1"):
        Agent(os.getpid())


def test_without_being_asked_nothing_listens(private_folder: Path) -> None:
    maypole.run(asyncio.sleep(0))
    assert not private_folder.exists()


@pytest.mark.parametrize(
    ("request_line", "reason"),
    [
        (b"\n", "one JSON object"),
        (b"hello\n", "one JSON object"),
        (b"[1]\n", "one JSON object"),
        (b"\xff\xfe\n", "one JSON object"),
        (b"[" * 50_000 + b"\n", "one JSON object"),
        (b'{"do": "fail"}\n', "ZeroDivisionError: by request"),
    ],
)
def test_garbage_gets_a_sentence_and_the_connection_goes_on(
    server: Server, request_line: bytes, reason: str
) -> None:
    with raw(server.path) as client, client.makefile("rb") as lines:
        client.sendall(request_line)
        answer = json.loads(lines.readline())
        assert not answer["ok"]
        assert reason in answer["error"]
        client.sendall(b'{"do": "again"}\n')
        assert json.loads(lines.readline()) == {"ok": True, "said": {"do": "again"}}


def test_a_line_that_is_too_long_ends_the_connection_with_a_sentence(server: Server) -> None:
    with raw(server.path) as client:
        client.sendall(b"x" * (LINE_BYTES_MAX + 1))
        answer = json.loads(all_of(client))
    assert "at most 65536 bytes" in answer["error"]


def test_half_requests_and_hanging_up_disturb_nobody(server: Server) -> None:
    with raw(server.path) as good, good.makefile("rb") as lines:
        for part in (b"", b'{"do": "ha', b'{"do": "long"}\n', b'{"do": 1}\n' * 1_000):
            with raw(server.path) as bad:
                bad.sendall(part)
        good.sendall(b'{"do": "me"}\n')
        assert json.loads(lines.readline())["said"] == {"do": "me"}


def test_requests_in_one_packet_are_answered_in_order(server: Server) -> None:
    with raw(server.path) as client, client.makefile("rb") as lines:
        client.sendall(b"".join(b'{"n": %d}\n' % n for n in range(3_000)))
        assert [json.loads(lines.readline())["said"]["n"] for _ in range(3_000)] == list(range(3_000))


def test_a_slow_reader_gets_all_of_a_long_answer_and_holds_up_nobody(server: Server) -> None:
    with raw(server.path) as slow, raw(server.path) as quick:
        slow.sendall(b'{"do": "long"}\n{"do": "then"}\n')
        with quick.makefile("rb") as lines:
            quick.sendall(b'{"do": "me"}\n')
            assert json.loads(lines.readline())["ok"]
        with slow.makefile("rb") as lines:
            assert len(json.loads(lines.readline())["long"]) == 5_000_000
            assert json.loads(lines.readline())["said"] == {"do": "then"}


def test_many_clients_are_served_and_one_too_many_is_told_so(server: Server) -> None:
    clients = [raw(server.path) for _ in range(CLIENTS_MAX)]
    for client in clients:
        client.sendall(b'{"do": "me"}\n')
        assert client.recv(65_536)
    with raw(server.path) as late:
        assert b"serves 32 clients already" in all_of(late)
    for client in clients:
        client.close()
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        with raw(server.path) as client:
            client.sendall(b'{"do": "me"}\n')
            if b"said" in client.recv(65_536):
                return
        assert time.monotonic() < deadline


def test_two_loops_in_two_threads_have_one_agent() -> None:
    async def other() -> int:
        return len(in_thread(lambda: ask("hello"))["loops"])

    async def main() -> Any:
        return await asyncio.to_thread(lambda: maypole.run(other(), agent=True))

    assert maypole.run(main(), agent=True) == 2


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_of_fork_has_no_agent_and_leaves_the_parents_alone() -> None:
    def fork() -> int:
        child = os.fork()
        if child == 0:
            try:
                alive = any(thread.name == "maypole-agent" for thread in threading.enumerate())
                os._exit(1 if alive or agents._agent._server is not None else 0)
            finally:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def look() -> tuple[int, bool]:
        return fork(), ask("hello")["ok"]

    assert served(look) == (0, True)


def test_the_virtual_clock_does_not_wait_for_the_agent() -> None:
    loop = maypole.new_event_loop(clock="virtual")
    began = time.monotonic()
    with agents.serving(loop):
        loop.run_until_complete(asyncio.sleep(3600))
    loop.close()
    assert loop.is_closed()
    assert time.monotonic() - began < 60


def test_stale_sockets_are_removed_and_living_ones_stay(private_folder: Path, server: Server) -> None:
    gone = private_folder / "4194305.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(gone))
    other = private_folder / "notes.txt"
    other.write_text("mine")
    remove_stale(private_folder)
    assert sorted(path.name for path in private_folder.iterdir()) == sorted([server.path.name, "notes.txt"])


def test_a_folder_that_others_can_enter_is_not_used(
    private_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_folder.mkdir(mode=0o755)
    private_folder.chmod(0o755)
    with pytest.raises(OSError, match="lets other users in"):
        make_private(private_folder)
    assert socket_path(1).parent != private_folder


def test_a_link_in_place_of_the_folder_is_not_followed(private_folder: Path, tmp_path: Path) -> None:
    private_folder.symlink_to(tmp_path)
    with pytest.raises(OSError, match="is no folder"):
        make_private(private_folder)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"do": "dance"}, '"do" is one of hello, metrics, tree, trace'),
        ({}, '"do" is one of'),
        ({"do": ["tree"]}, '"do" is one of'),
        ({"do": "trace", "seconds": -1}, '"seconds" is a number above 0'),
        ({"do": "trace", "seconds": "5"}, '"seconds" is a number'),
        ({"do": "trace", "seconds": True}, '"seconds" is a number'),
        ({"do": "trace", "capacity": 0}, '"capacity" is a number'),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(request_: dict[str, Any], reason: str) -> None:
    def refused() -> str:
        with Agent(os.getpid()) as agent, pytest.raises(AgentError) as caught:
            agent.ask(request_.pop("do", None), **request_)
        return str(caught.value)

    assert reason in served(refused)


def test_a_second_recording_at_once_is_refused_and_the_first_goes_on() -> None:
    async def main() -> tuple[Any, ...]:
        loop = asyncio.get_running_loop()
        first = loop.run_in_executor(None, lambda: ask("trace", seconds=0.5))
        await asyncio.sleep(0.2)
        second = loop.run_in_executor(None, lambda: ask("trace", seconds=0.1))
        return tuple(await asyncio.gather(first, second, return_exceptions=True))

    first, second = maypole.run(main(), agent=True)
    assert first["documents"]
    assert isinstance(second, AgentError)
    assert "recorded already" in str(second)


def test_a_client_that_goes_ends_its_recording() -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()

        def begin_and_go() -> None:
            with Agent(os.getpid()) as agent:
                agent._socket.sendall(b'{"do": "trace", "seconds": 600}\n')
                while not loop._trace_is_on:  # type: ignore[attr-defined]
                    time.sleep(0.001)

        await loop.run_in_executor(None, begin_and_go)
        for _ in range(1_000):
            if not loop._trace_is_on:  # type: ignore[attr-defined]
                return True
            await asyncio.sleep(0.01)
        return False

    assert maypole.run(main(), agent=True)


TOKEN = "a secret of this test only"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port for the agent, asked for with a token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    monkeypatch.setenv("MAYPOLE_AGENT", f"tcp:{port}")
    monkeypatch.setenv("MAYPOLE_AGENT_TOKEN", TOKEN)
    return port


def with_agent(call: Callable[[], Any]) -> Any:
    """As `served`, but the environment asks for the agent, and this ends it."""

    async def main() -> Any:
        return in_thread(call)

    try:
        return maypole.run(main())
    finally:
        agents._agent.stop()
        agents._agent.forget()


def test_a_port_is_opened_only_when_asked_and_wants_the_token(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> tuple[str, int]:
        with Agent(("127.0.0.1", port)) as agent:
            state = agent.ask("tree")["loops"][0]["tree"]["tasks"][0]["state"]
        with Agent(os.getpid()) as agent:
            return state, len(agent.ask("hello")["loops"])

    assert with_agent(look) == ("running", 1)

    def refused() -> str:
        monkeypatch.setenv("MAYPOLE_AGENT_TOKEN", "a guess")
        with pytest.raises(AgentError) as caught:
            Agent(("127.0.0.1", port))
        return str(caught.value)

    assert "refuses: the first request carries the token" in with_agent(refused)


@pytest.mark.parametrize("line", [b'{"do": "tree"}\n', b'{"token": 1}\n', b"garbage\n", b'{"token": ""}\n'])
def test_without_the_token_nothing_is_answered(port: int, line: bytes) -> None:
    def knock() -> bytes:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
            client.sendall(line + b'{"do": "tree"}\n')
            return all_of(client)

    answer = json.loads(with_agent(knock))
    assert not answer["ok"]
    assert "carries the token" in answer["error"]


@pytest.mark.parametrize(
    ("wanted", "token", "reason"),
    [
        ("tcp:7000", "", "needs a secret in MAYPOLE_AGENT_TOKEN"),
        ("tcp:7000", "short", "needs a secret in MAYPOLE_AGENT_TOKEN"),
        ("tcp:", TOKEN, "needs a port from 0 to 65535, not ''"),
        ("tcp:70000", TOKEN, "needs a port from 0 to 65535, not '70000'"),
    ],
)
def test_a_port_that_cannot_be_safe_is_not_opened_and_the_program_runs(
    wanted: str, token: str, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MAYPOLE_AGENT", wanted)
    monkeypatch.setenv("MAYPOLE_AGENT_TOKEN", token)
    try:
        assert maypole.run(asyncio.sleep(0, "done")) == "done"
    finally:
        agents._agent.forget()
    assert reason in caplog.text
