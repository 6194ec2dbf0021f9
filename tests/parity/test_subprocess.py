"""Child processes: pipes, exit codes, signals, and everything around them."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness.kinds import Loop, NewLoop
from harness.outcome import SameAsAsyncio

PYTHON = sys.executable


async def python(code: str, **arguments: Any) -> asyncio.subprocess.Process:
    """Start a Python that runs this code."""
    return await asyncio.create_subprocess_exec(PYTHON, "-I", "-c", code, **arguments)


@pytest.mark.debug
def test_communicate_moves_much_data_both_ways(loop: Loop) -> None:
    payload = bytes(range(256)) * 2048

    async def main() -> None:
        code = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); sys.exit(3)"
        process = await python(code, stdin=PIPE, stdout=PIPE)
        out, err = await process.communicate(payload)
        assert out == payload[::-1]
        assert err is None
        assert process.returncode == 3
        assert await process.wait() == 3

    loop.run_until_complete(main())


def test_both_outputs_are_told_apart_or_joined(loop: Loop) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True)"

    async def main() -> None:
        process = await python(code, stdout=PIPE, stderr=PIPE)
        assert await process.communicate() == (b"out\n", b"err\n")
        process = await python(code, stdout=PIPE, stderr=STDOUT)
        assert (await process.communicate())[0] == b"out\nerr\n"

    loop.run_until_complete(main())


def test_a_shell_runs_a_line(loop: Loop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(
            "read line; echo got $line; exit 4", stdin=PIPE, stdout=PIPE
        )
        assert (await process.communicate(b"it\n"))[0] == b"got it\n"
        assert process.returncode == 4

    loop.run_until_complete(main())


def test_the_ends_of_a_child_are_pipes(loop: Loop) -> None:
    code = "import os, stat; print([stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in (0, 1, 2)])"

    async def main() -> None:
        process = await python(code, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        assert (out.strip(), err) == (b"[True, True, True]", b"")
        process = await asyncio.create_subprocess_shell(
            "cat /dev/stdin > /dev/stdout; echo e > /dev/stderr", stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        assert (await process.communicate(b"through"))[1] == b"e\n"

    loop.run_until_complete(main())


@pytest.mark.parametrize("how", ["terminate", "kill", "send_signal"])
def test_a_signal_ends_the_child_and_is_its_return_code(loop: Loop, how: str) -> None:
    async def main() -> None:
        process = await python("print('up', flush=True); import time; time.sleep(60)", stdout=PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        if how == "send_signal":
            process.send_signal(signal.SIGUSR1)
            assert await process.wait() == -signal.SIGUSR1
        else:
            getattr(process, how)()
            expected = signal.SIGTERM if how == "terminate" else signal.SIGKILL
            assert await process.wait() == -expected
        # The child is forgotten when its pipe has ended too.
        assert await process.stdout.read() == b""
        with pytest.raises(ProcessLookupError):
            for _ in range(100):
                process.kill()
                await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_a_child_that_a_thread_waits_for_keeps_its_pid_until_the_loop_knows(
    new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "no pidfds here")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    loop = new_loop()
    if sys.version_info < (3, 14):
        pytest.skip("before Python 3.14 asyncio's kill() reaps a child that has ended, by Popen.poll()")

    async def main() -> None:
        process = await python("import time; time.sleep(60)")
        threads = threading.enumerate()
        (watcher,) = [thread for thread in threads if thread.name.startswith("asyncio-waitpid")]
        process.kill()
        watcher.join()
        assert process.returncode is None
        assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    loop.run_until_complete(main())


def test_many_children_at_once_are_all_waited_for(loop: Loop) -> None:
    async def main() -> None:
        children = [
            await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exit {number}") for number in range(30)
        ]
        assert await asyncio.gather(*(child.wait() for child in children)) == list(range(30))

    loop.run_until_complete(main())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_loop_of_another_thread_runs_children(new_loop: NewLoop) -> None:
    loop = new_loop()
    results: list[Any] = []

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("/bin/echo", "in a thread", stdout=PIPE)
        results.append((await process.communicate(), process.returncode))

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    thread.join()
    assert results == [((b"in a thread\n", None), 0)]


def test_a_cancelled_communicate_leaves_a_child_that_can_be_killed(loop: Loop) -> None:
    async def main() -> None:
        process = await python("import time; time.sleep(60)", stdin=PIPE, stdout=PIPE)
        waiting = asyncio.create_task(process.communicate(b"x"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        process._transport.close()  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)

    loop.run_until_complete(main())


def test_preexec_environment_and_folder_reach_the_child(loop: Loop) -> None:
    async def main() -> None:
        process = await python(
            "import os; print(os.environ['MARK'], os.getcwd(), os.umask(0))",
            stdin=DEVNULL,
            stdout=PIPE,
            env={"MARK": "set"},
            cwd="/",
            preexec_fn=lambda: os.umask(0o077),
        )
        assert (await process.communicate())[0] == b"set / 63\n"

    loop.run_until_complete(main())


def test_transport_and_protocol_tell_the_same_story(loop: Loop) -> None:
    class Story(asyncio.SubprocessProtocol):
        def __init__(self) -> None:
            self.events: list[str] = []
            self.ended = loop.create_future()

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            self.events.append(f"{fd}:{data.decode()}")

        def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
            self.events.append(f"{fd} closed")

        def process_exited(self) -> None:
            self.events.append("exited")

        def connection_lost(self, exc: Exception | None) -> None:
            self.ended.set_result(exc)

    async def main() -> None:
        transport, story = await loop.subprocess_exec(
            Story, "/bin/echo", "-n", "hello", stdin=None, stderr=None
        )
        assert transport.get_pid() > 0
        assert transport.get_pipe_transport(1) is not None
        assert transport.get_pipe_transport(2) is None
        await story.ended
        assert transport.get_returncode() == 0
        assert sorted(story.events) == ["1 closed", "1:hello", "exited"]
        transport.close()

    loop.run_until_complete(main())


Main = Callable[[Any], Coroutine[Any, Any, Any]]

BAD_CALLS: dict[str, Main] = {
    "no such program": lambda loop: asyncio.create_subprocess_exec("/no/such/program"),
    "a folder": lambda loop: asyncio.create_subprocess_exec("/tmp"),
    "number as program": lambda loop: asyncio.create_subprocess_exec(3),  # type: ignore[arg-type]
    "text mode": lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", text=True),
    "universal newlines": lambda loop: loop.subprocess_exec(
        asyncio.SubprocessProtocol, "true", universal_newlines=True
    ),
    "encoding": lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", encoding="utf-8"),
    "errors": lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", errors="strict"),
    "buffered": lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", bufsize=1),
    "shell for exec": lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", shell=True),
    "list for shell": lambda loop: loop.subprocess_shell(asyncio.SubprocessProtocol, ["true"]),
    "unknown argument": lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", nonsense=1),
    "bad folder": lambda loop: asyncio.create_subprocess_exec("true", cwd="/no/such/folder"),
}


@pytest.mark.parametrize("main", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, main: Main) -> None:
    assert same_as_asyncio(lambda loop: loop.run_until_complete(main(loop))).error is not None
