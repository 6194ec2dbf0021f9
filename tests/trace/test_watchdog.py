"""What holds a loop is found while it holds it: line, task, ancestry, context, duration."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import maypole
import pytest
from harness.children import run_script
from harness.kinds import MAYPOLE
from maypole.trace import Stall, Watchdog
from maypole.trace.watchdog import watch

THRESHOLD_S = 0.05
HELD_S = 0.15

request_id: ContextVar[Any] = ContextVar("request_id")
user: ContextVar[Any] = ContextVar("user")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Records go to caplog, not to the leak check."""


def watched(main: Callable[[], Coroutine[Any, Any, Any]], **options: Any) -> list[Stall]:
    """Run a program under a watchdog; return what it told."""
    stalls: list[Stall] = []

    async def root() -> None:
        await asyncio.create_task(main(), name="main")
        await asyncio.sleep(0)

    with (
        asyncio.Runner(loop_factory=maypole.new_event_loop) as runner,
        # Its thread is started outside of any turn: on a busy machine that alone may take a while.
        Watchdog(runner.get_loop(), THRESHOLD_S, on_stall=stalls.append, **options),
    ):
        runner.run(root())
    return stalls


def wait_for_watchdogs() -> None:
    """Wait for the threads that end because their loops were closed."""
    for thread in threading.enumerate():
        if thread.name == "maypole-watchdog":
            thread.join(5)


def line_of(function: Callable[..., Any], text: str) -> int:
    """The number of the line of a function that has this text."""
    lines, first = inspect.getsourcelines(function)
    [found] = [number for number, line in enumerate(lines) if text in line]
    return first + found


def sleeps() -> None:
    time.sleep(HELD_S)


async def computes() -> None:
    end = time.monotonic() + HELD_S
    while time.monotonic() < end:
        sum(number * number for number in range(200))


def reads_a_socket() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.settimeout(HELD_S)
        with pytest.raises(TimeoutError):
            mine.recv(1)


def matches_badly() -> None:
    text = "a" * 21 + "b"
    end = time.monotonic() + HELD_S
    while time.monotonic() < end:
        re.match(r"(a+)+$", text)


@pytest.mark.parametrize(
    ("function", "text"),
    [(sleeps, "time.sleep"), (reads_a_socket, "mine.recv"), (matches_badly, "re.match")],
    ids=["time.sleep", "a socket", "a long call into C"],
)
def test_the_guilty_line_of_a_call_that_blocks(function: Callable[[], None], text: str) -> None:
    async def handler() -> None:
        await asyncio.sleep(0)
        function()

    [stall] = watched(handler)
    assert stall.kind == "step"
    assert stall.where is not None
    assert (stall.where.file, stall.where.line) == (__file__, line_of(function, text))
    assert stall.where.function == function.__name__
    assert text in stall.where.source
    assert stall.task == "main"
    assert stall.coroutine is not None
    assert stall.coroutine.endswith("handler")
    assert stall.stack[-1].function.endswith("handler")
    assert stall.duration_s >= HELD_S
    assert stall.threshold_s == THRESHOLD_S


def test_a_loop_that_computes_is_found_in_its_function() -> None:
    [stall] = watched(computes)
    assert stall.where is not None
    assert stall.where.file == __file__
    assert stall.where.function.startswith("computes")
    assert stall.samples >= 2


def test_ancestry_names_who_made_the_task_and_who_made_that() -> None:
    async def leaf() -> None:
        sleeps()

    async def middle() -> None:
        await asyncio.create_task(leaf(), name="leaf")

    async def root() -> None:
        await asyncio.create_task(middle(), name="middle")

    [stall] = watched(root)
    assert stall.task == "leaf"
    assert stall.parents[:2] == ("middle", "main")


def test_a_parent_that_has_ended_ends_the_ancestry() -> None:
    async def leaf() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sleeps()

    async def root() -> None:
        made: list[asyncio.Task[None]] = []

        async def parent() -> None:
            made.append(asyncio.create_task(leaf(), name="leaf"))

        await asyncio.create_task(parent())
        await made[0]

    [stall] = watched(root)
    assert (stall.task, stall.parents) == ("leaf", ())


def test_chosen_context_variables_are_told() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    async def handler() -> None:
        request_id.set("r-17")
        user.set(Odd())
        sleeps()

    unset: ContextVar[str] = ContextVar("unset")
    [stall] = watched(handler, context=[request_id, user, unset])
    assert stall.context["request_id"] == "r-17"
    assert "Odd" in stall.context["user"] or "ZeroDivisionError" in stall.context["user"]
    assert "unset" not in stall.context


def test_a_name_that_raises_costs_only_the_name() -> None:
    class Hostile(asyncio.Task[None]):
        def get_name(self) -> str:
            raise RuntimeError("no name")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **options: Hostile(coro, loop=loop, **options))  # type: ignore[arg-type]
        try:
            await loop.create_task(handler())
        finally:
            loop.set_task_factory(None)

    async def handler() -> None:
        sleeps()

    [stall] = watched(main)
    assert stall.task == "<RuntimeError when asked>"
    assert stall.where is not None
    assert stall.where.function == "sleeps"


def test_a_callback_has_no_task() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(sleeps)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    [stall] = watched(main)
    assert (stall.kind, stall.task, stall.parents) == ("callback", None, ())
    assert stall.where is not None
    assert stall.where.function == "sleeps"


def tick() -> None:
    time.sleep(0.004)


def tock() -> None:
    time.sleep(0.004)


def test_many_short_callbacks_in_one_turn_are_summed() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(25):
            loop.call_soon(tick)
            loop.call_soon(tock)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    [stall] = watched(main)
    assert (stall.kind, stall.task, stall.stack) == ("turn", None, ())
    assert stall.duration_s >= 0.2
    seen = {one.frame.function for one in stall.contributors}
    assert seen == {"tick", "tock"}
    assert sum(one.samples for one in stall.contributors) <= stall.samples


def test_one_turn_is_one_stall_and_each_turn_its_own() -> None:
    async def main() -> None:
        for _ in range(3):
            sleeps()
            await asyncio.sleep(0)

    stalls = watched(main)
    assert [stall.kind for stall in stalls] == ["step"] * 3
    assert [stall.began_ns for stall in stalls] == sorted({stall.began_ns for stall in stalls})


def test_short_turns_and_long_waits_are_no_stalls() -> None:
    async def main() -> None:
        await asyncio.sleep(HELD_S)
        for _ in range(100):
            await asyncio.sleep(0.001)

    assert watched(main) == []


def test_the_log_is_told_at_once_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    during: list[str] = []

    async def main() -> None:
        sleeps()
        during.extend(record.getMessage() for record in caplog.records)

    [stall] = watched(main)
    [first] = during
    assert first.startswith("The event loop is held, so far for ")
    assert "task 'main'" in first
    assert (
        f"{__file__.rpartition('/')[2]}:{line_of(sleeps, 'time.sleep')} in sleeps: time.sleep(HELD_S)"
        in first
    )
    [_, last] = caplog.records
    assert (last.name, last.levelno) == ("asyncio", logging.WARNING)
    assert last.getMessage() == f"The event loop was held for {stall}"
    assert last.__dict__["stall"] is stall


def test_the_recording_has_the_stall_with_its_task() -> None:
    import json

    documents: list[bytes] = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop._trace_begin(10_000)
        with Watchdog(loop, THRESHOLD_S):
            await loop.create_task(computes(), name="guilty")
            await asyncio.sleep(0)
        documents.append(loop._trace_end())

    maypole.run(main())
    document = json.loads(documents[0])
    stalls, strings, sites = document["stalls"], document["strings"], document["sites"]
    assert stalls["kind"] == ["step"]
    names = dict(zip(document["tasks"]["id"], document["tasks"]["name"], strict=True))
    assert strings[names[stalls["task"][0]]] == "guilty"
    functions = [strings[sites["function"][site]] for site in stalls["stack"][0]]
    assert functions[-1] == "computes"
    assert stalls["end_ns"][0] - stalls["begin_ns"][0] >= HELD_S * 1e9
    assert stalls["end_ns"][0] <= document["duration_ns"]


def test_the_worst_stalls_are_kept() -> None:
    async def main() -> Watchdog:
        with Watchdog(asyncio.get_running_loop(), 0.02) as dog:
            for number in range(13):
                time.sleep(0.06 + number / 1000)
                await asyncio.sleep(0)
        return dog

    dog = maypole.run(main())
    assert dog.count == 13
    assert len(dog.worst) == 10
    durations = [stall.duration_s for stall in dog.worst]
    assert durations == sorted(durations, reverse=True)


def test_on_stall_that_raises_is_logged_and_the_watch_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    threads: list[threading.Thread] = []

    def on_stall(stall: Stall) -> None:
        threads.append(threading.current_thread())
        raise ZeroDivisionError

    async def main() -> None:
        with Watchdog(asyncio.get_running_loop(), THRESHOLD_S, on_stall=on_stall):
            for _ in range(2):
                sleeps()
                await asyncio.sleep(0)

    maypole.run(main())
    assert len(threads) == 2
    assert threading.main_thread() not in threads
    raised = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage() for record in raised] == ["on_stall of maypole's watchdog raised"] * 2


def test_stopping_in_the_stall_tells_what_is_known() -> None:
    stalls: list[Stall] = []

    async def main() -> None:
        with Watchdog(asyncio.get_running_loop(), THRESHOLD_S, on_stall=stalls.append):
            sleeps()

    maypole.run(main())
    [stall] = stalls
    assert stall.where is not None
    assert stall.where.function == "sleeps"
    assert stall.duration_s >= HELD_S


def test_two_watchdogs_do_not_disturb_each_other() -> None:
    outer: list[Stall] = []
    inner: list[Stall] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with Watchdog(loop, THRESHOLD_S, on_stall=outer.append):
            with Watchdog(loop, THRESHOLD_S, on_stall=inner.append):
                await asyncio.create_task(computes(), name="first")
                await asyncio.sleep(0)
            await asyncio.create_task(computes(), name="second")
            await asyncio.sleep(0)

    maypole.run(main())
    assert [stall.task for stall in inner] == ["first"]
    assert [stall.task for stall in outer] == ["first", "second"]
    assert all(stall.parents for stall in outer)


def test_the_watch_ends_with_the_loop() -> None:
    loop = maypole.new_event_loop()
    dog = Watchdog(loop, 0.01).start()
    [thread] = [one for one in threading.enumerate() if one.name == "maypole-watchdog"]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    thread.join(5)
    assert not thread.is_alive()
    dog.stop()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        dog.start()


def test_run_watches_when_it_is_asked_to(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        sleeps()

    maypole.run(main(), stall=THRESHOLD_S)
    assert [record.getMessage().split(",")[0].split(" for")[0] for record in caplog.records] == [
        "The event loop is held",
        "The event loop was held",
    ]
    caplog.clear()
    maypole.run(main())
    assert caplog.records == []


def test_the_environment_asks_for_a_watch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        sleeps()

    monkeypatch.setenv("MAYPOLE_STALL", str(THRESHOLD_S))
    with asyncio.Runner(loop_factory=maypole.new_event_loop) as runner:
        runner.run(main())
    wait_for_watchdogs()
    assert len(caplog.records) == 2
    caplog.clear()
    maypole.run(main(), stall=0)
    assert caplog.records == []


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_bad_threshold_in_the_environment_is_one_sentence_and_the_program_runs(
    value: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAYPOLE_STALL", value)
    maypole.run(asyncio.sleep(0))
    [record] = caplog.records
    assert record.getMessage() == (
        f"MAYPOLE_STALL must be a number of seconds above 0, not {value!r}; no watchdog runs"
    )


def test_bad_input_is_refused() -> None:
    loop = maypole.new_event_loop()
    for bad in (0, -1, float("nan"), "soon", None):
        with pytest.raises(ValueError, match="the threshold must be a number of seconds above 0, not "):
            Watchdog(loop, bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a context variable was expected, got str"):
        Watchdog(loop, 0.1, context=["name"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="stall must be a number of seconds above 0"):
        watch(loop, -1)
    loop.close()
    other = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError, match="needs a loop of maypole, not _UnixSelectorEventLoop"):
        Watchdog(other)
    other.close()
    virtual = maypole.new_event_loop(clock="virtual")
    with pytest.raises(ValueError, match="needs the monotonic clock"):
        Watchdog(virtual)
    virtual.close()


def test_a_child_of_fork_ends_and_has_its_own_watch() -> None:
    finished = run_script(
        MAYPOLE,
        """
        import time, maypole

        async def held():
            time.sleep(0.15)

        async def main():
            child = os.fork()
            if child == 0:
                asyncio._set_running_loop(None)
                code = 1
                try:
                    maypole.run(held(), stall=0.05)
                    code = 0
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
            print("child", status)
            time.sleep(0.15)

        maypole.run(main(), stall=0.05)
        print("parent")
        """,
    )
    assert finished.exit_code == 0, finished.err
    assert finished.lines == ["child 0", "parent"]
    assert finished.err.count("The event loop was held") >= 2


def test_the_interpreter_ends_with_a_watched_loop_left_open() -> None:
    finished = run_script(
        MAYPOLE,
        """
        from maypole.trace import Watchdog
        loop = new_loop()
        dog = Watchdog(loop, 0.001).start()
        loop.run_until_complete(asyncio.sleep(0.01))
        print("end")
        """,
    )
    assert (finished.exit_code, finished.lines) == (0, ["end"])


def test_a_loop_that_never_goes_on_is_told_of() -> None:
    finished = run_script(
        MAYPOLE,
        """
        import threading, maypole

        def waits_for_ever():
            ready()
            threading.Event().wait()

        async def main():
            waits_for_ever()

        threading.Timer(0.5, os._exit, [7]).start()
        maypole.run(main(), stall=0.05)
        """,
    )
    assert finished.exit_code == 7
    assert "in waits_for_ever" in finished.err
    assert finished.err.count("The event loop is held, so far") == 1


def test_maypole_run_passes_the_watch_on(tmp_path: Any) -> None:
    import os
    import subprocess
    import sys

    script = tmp_path / "app.py"
    script.write_text(
        "import asyncio, time\n\nasync def main():\n    time.sleep(0.2)\n\nasyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "maypole", "run", str(script)],
        env={**os.environ, "MAYPOLE_STALL": "0.05"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    assert "app.py:4 in main: time.sleep(0.2)" in done.stderr
