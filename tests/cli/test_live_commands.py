"""``maypole tree``, ``top`` and ``trace --attach`` on a program that runs, and on what is none."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TIMEOUT_S = 40

SERVICE = """
    import asyncio, sys, time

    async def handle(number):
        for _ in range(3):
            await asyncio.sleep(0.0002)

    async def busy():
        while True:
            await asyncio.gather(*(handle(number) for number in range(20)))

    async def holder(first, second):
        async with first:
            await asyncio.sleep(0.01)
            async with second:
                pass

    async def main():
        one, two = asyncio.Lock(), asyncio.Lock()
        tasks = [
            asyncio.create_task(busy(), name="busy"),
            asyncio.create_task(holder(one, two), name="there"),
            asyncio.create_task(holder(two, one), name="back"),
        ]
        await asyncio.sleep(0.1)
        if "stall" in sys.argv:
            time.sleep(0.4)
        print("ready", flush=True)
        if "stuck" in sys.argv:
            while True:
                time.sleep(0.01)
        await asyncio.wait(tasks)

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """What the programs and the commands share: the package, and a folder for sockets."""
    with tempfile.TemporaryDirectory(prefix="mp", dir="/tmp") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAYPOLE")}
        # Debug mode runs asyncio's own tasks, of which nobody notes when they began.
        environment.pop("PYTHONASYNCIODEBUG", None)
        environment.update(
            PYTHONPATH=os.pathsep.join(path for path in sys.path if path),
            XDG_RUNTIME_DIR=folder,
            TERM="xterm",
        )
        yield environment


@contextmanager
def running(
    environment: dict[str, str], folder: Path, *args: str, options: tuple[str, ...] = ("run", "--agent")
) -> Iterator[int]:
    """Run the service until the block ends; yields its process."""
    script = folder / "service.py"
    script.write_text(textwrap.dedent(SERVICE))
    command = [sys.executable, "-m", "maypole", *options] if options else [sys.executable]
    with subprocess.Popen(
        [*command, str(script), *args], env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child.pid
        finally:
            child.kill()


@pytest.fixture(scope="module")
def service(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A service that works, with two tasks that wait for each other, and one stall behind it."""
    with running(environment, tmp_path_factory.mktemp("service"), "stall") as process:
        yield process


@pytest.fixture(scope="module")
def stuck(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A service whose loop stands still for good."""
    with running(environment, tmp_path_factory.mktemp("stuck"), "stuck") as process:
        yield process


def maypole(
    environment: dict[str, str], *args: str | int, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maypole", *map(str, args)]
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S
    )


def test_the_tree_of_a_program_names_its_deadlock_and_its_lines(
    environment: dict[str, str], service: int
) -> None:
    done = maypole(environment, "tree", service)
    assert (done.returncode, done.stderr) == (0, "")
    assert "EventLoop, running: " in done.stdout
    assert "deadlock: back waits for there waits for back" in done.stdout
    assert "waiting in Lock.acquire (lock) held by back" in done.stdout
    assert "made at" in done.stdout
    assert "s old" in done.stdout


def test_the_tree_as_json_has_the_same(environment: dict[str, str], service: int) -> None:
    done = maypole(environment, "tree", service, "--json")
    [loop] = json.loads(done.stdout)
    assert loop["tree"]["deadlocks"][0]["text"] in maypole(environment, "tree", service).stdout
    assert {"busy", "there", "back"} <= {task["name"] for task in loop["tree"]["tasks"]}


def test_a_program_that_is_stuck_shows_where(environment: dict[str, str], stuck: int) -> None:
    done = maypole(environment, "tree", stuck)
    assert done.stdout.startswith("the loop in MainThread is held by task 'Task-1' for ")
    assert "in main: time.sleep(0.01)" in done.stdout


def test_top_shows_loops_functions_stalls_and_tasks(environment: dict[str, str], service: int) -> None:
    done = maypole(environment, "top", service, "--once", "--interval", "0.5")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert f"pid {service}" in lines[0]
    assert "busy, " in lines[2]
    assert "turns/s" in lines[2]
    [stalls] = [line for line in lines if line.startswith("stalls ")]
    assert re.match(r"stalls [1-9]\d*; the worst: \d+\.\d+ s: .* at .*service\.py:\d+ in ", stalls)
    assert any(line.startswith("deadlock: ") for line in lines)
    assert any(" handle " in line and "service.py:" in line for line in lines)
    assert any("there holder at " in line for line in lines)
    assert max(map(len, lines)) <= 120


def test_top_on_a_program_that_is_stuck_tells_who_holds_it(environment: dict[str, str], stuck: int) -> None:
    done = maypole(environment, "top", stuck, "--once", "--interval", "0.1")
    assert "HELD for " in done.stdout
    assert "by task 'Task-1'" in done.stdout


def test_top_in_a_terminal_obeys_its_keys(environment: dict[str, str], service: int) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "maypole", "top", str(service), "--interval", "0.1"]
    child = subprocess.Popen(
        command, env=environment, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, close_fds=True
    )
    os.close(terminal)
    seen = b""

    def until(text: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + TIMEOUT_S
        while text not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([controller], [], [], 0.2)[0]:
                seen += os.read(controller, 65_536)

    try:
        until(b"by busy")
        os.write(controller, b"s")
        until(b"steps)")
        os.write(controller, b"p")
        until(b"PAUSED")
        os.write(controller, b"q")
        with contextlib.suppress(OSError):  # the terminal ends with its last user
            while True:
                seen += os.read(controller, 65_536)
        child.wait(TIMEOUT_S)
    finally:
        child.kill()
        assert child.stderr is not None
        errors = child.stderr.read()
        child.stderr.close()
        child.wait()
        os.close(controller)
    assert (child.returncode, errors) == (0, b"")


def test_a_part_of_a_running_program_is_recorded(
    environment: dict[str, str], service: int, tmp_path: Path
) -> None:
    done = maypole(
        environment,
        "trace",
        "--attach",
        service,
        "--seconds",
        "0.3",
        "--json",
        "out.json",
        "-o",
        "out.html",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["program"]["ended"] == "running"
    assert document["program"]["pid"] == service
    assert document["duration_ns"] > 250_000_000
    assert b"maypole-trace" in (tmp_path / "out.html").read_bytes()
    assert "steps of" in done.stderr


@pytest.mark.parametrize("verb", [("tree",), ("top", "--once"), ("trace", "--attach")])
def test_what_is_no_program_of_maypole_gets_one_sentence(
    environment: dict[str, str], verb: tuple[str, ...], tmp_path: Path
) -> None:
    def refused(process: int) -> str:
        done = maypole(environment, *verb, process, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stdout == ""
        [line] = done.stderr.splitlines()
        return line

    name = f"maypole {verb[0]}: "
    assert refused(2**22 + 1) == f"{name}there is no process 4194305"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert refused(other.pid) == f"{name}process {other.pid} runs no maypole"
        other.communicate(b"\n")


def test_a_program_without_an_agent_is_told_how_to_get_one(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with running(environment, tmp_path, options=("run",)) as process:
        done = maypole(environment, "tree", process)
    assert done.returncode == 1
    assert f"process {process} has no agent of maypole: start it with MAYPOLE_AGENT=1" in done.stderr


def test_the_variable_asks_for_an_agent_too(environment: dict[str, str], tmp_path: Path) -> None:
    with running({**environment, "MAYPOLE_AGENT": "1"}, tmp_path, options=("run",)) as process:
        assert maypole(environment, "tree", process).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_process_of_another_user_is_refused_in_one_sentence(environment: dict[str, str]) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], user=65_534) as other:
        done = maypole(environment, "tree", other.pid)
        other.kill()
    assert done.returncode == 1
    expected = (
        f"maypole tree: process {other.pid} belongs to another user; only its own user may look into it\n"
    )
    assert done.stderr == expected


def test_a_process_that_is_stopped_does_not_answer_and_is_told_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    from maypole.trace.agent import client

    with running(environment, tmp_path) as process:
        os.kill(process, signal.SIGSTOP)
        before = client.TIMEOUT_S
        client.TIMEOUT_S = 0.2
        try:
            with (
                pytest.raises(client.AgentError, match="does not answer: it is stopped"),
                pytest.MonkeyPatch.context() as patched,
            ):
                patched.setenv("XDG_RUNTIME_DIR", environment["XDG_RUNTIME_DIR"])
                with client.Agent(process) as agent:
                    agent.ask("hello")
        finally:
            client.TIMEOUT_S = before
            os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["tree"], "the following arguments are required: PID"),
        (["tree", "me"], "'me' is not the number of a process"),
        (["top", "0"], "'0' is not the number of a process"),
        (["top", "1", "--interval", "0"], "'0' is no number of seconds between 0.1 and 3600"),
    ],
)
def test_a_wrong_command_line_is_refused(environment: dict[str, str], args: list[str], text: str) -> None:
    done = maypole(environment, *args)
    assert done.returncode == 2
    assert text in done.stderr


def test_top_without_a_terminal_asks_for_once(environment: dict[str, str], service: int) -> None:
    done = maypole(environment, "top", service)
    assert (done.returncode, done.stderr) == (1, "maypole top: this is no terminal: use --once\n")
