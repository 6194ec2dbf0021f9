"""The loops that every test runs on, and the check that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from harness.children import RunScript, run_script
from harness.kinds import MODE, PLAIN, WITH_DEBUG, Loop, LoopKind, NewLoop
from harness.leaks import KINDS, Before
from harness.outcome import Outcome, SameAsAsyncio, outcome_of, plain

failed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loops", default="", help="only these kinds of loop: asyncio, maypole, …")


def pytest_configure() -> None:
    """Refuse to run in a mode that this process is not in: it is entered before anything else is imported."""
    if MODE and getattr(sys.modules.get("sitecustomize"), "MODE", None) != MODE:
        raise pytest.UsageError("MAYPOLE_TEST_MODE works with tests/modes on PYTHONPATH: try `make modes`")


def pytest_sessionstart() -> None:
    """Let Ctrl-C work: a shell without job control starts what runs in the background with it ignored.

    Children inherit what is ignored, and some tests interrupt theirs.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


#: Folders whose tests watch other programs (servers, a browser, children) by the wall clock. What fails
#: there is tried once more, and counted as rerun; a fault of ours fails twice.
WATCH_OTHERS = frozenset({"cli", "examples", "frameworks", "viewer"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try once more what watches other programs; leave out what a mode makes senseless."""
    for item in items:
        if item.path.parent.name in WATCH_OTHERS or item.path.name == "test_watchdog.py":
            item.add_marker(pytest.mark.flaky(reruns=1))
        for mode in item.iter_markers("not_in_mode"):
            if mode.args[0] == MODE:
                item.add_marker(pytest.mark.skip(reason=mode.args[1]))
    if not os.environ.get("PYTHONASYNCIODEBUG"):
        return
    for item in items:
        if item.path.parent.name in ("trace", "metrics"):
            reason = "debug mode runs asyncio's own tasks, which are callbacks to the loop's observer"
        elif (marker := item.get_closest_marker("not_in_debug_mode")) is not None:
            reason = marker.args[0]
        else:
            continue
        item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Hide all that is loaded from the garbage collector: the leak checks collect after every test."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for a loop on every kind; ``@pytest.mark.debug`` adds debug mode."""
    if "loop_kind" not in metafunc.fixturenames:
        return
    kinds: tuple[LoopKind, ...] = WITH_DEBUG if metafunc.definition.get_closest_marker("debug") else PLAIN
    chosen = metafunc.config.getoption("--loops")
    if chosen:
        names = [name for name in chosen.split(",") if name]
        unknown = set(names) - {kind.name for kind in WITH_DEBUG}
        if unknown:
            raise pytest.UsageError(f"--loops: no such kind of loop: {', '.join(sorted(unknown))}")
        kinds = tuple(kind for kind in kinds if kind.name in names)
    metafunc.parametrize("loop_kind", kinds, ids=lambda kind: kind.name, scope="function")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note on the test that it failed: what it left behind is then no news."""
    report = yield
    if report.failed:
        item.stash[failed] = True
    return report


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[Before]:
    """Fail a test that leaves descriptors, threads, loops or unexpected error records.

    ``@pytest.mark.leaks("fds")`` allows one kind, where leaving it is what the test is about.
    """
    allowed = frozenset(name for marker in request.node.iter_markers("leaks") for name in marker.args)
    if "caplog" in request.fixturenames:
        allowed |= {"logs"}
    unknown = allowed - set(KINDS)
    if unknown:
        raise pytest.UsageError(f"mark leaks: {', '.join(sorted(unknown))} is none of {', '.join(KINDS)}")
    logger = logging.getLogger("asyncio")
    before = Before()
    logger.addHandler(before.records)
    yield before
    logger.removeHandler(before.records)
    if request.node.stash.get(failed, False):
        return
    request.node.funcargs.clear()  # the test's own arguments would keep its loop alive
    left = before.leaked(allowed)
    assert not left, "left behind:\n  " + "\n  ".join(left)


@pytest.fixture
def loop_factory(loop_kind: LoopKind) -> NewLoop:
    """The factory alone, for ``asyncio.Runner(loop_factory=…)``; the one who calls it closes the loop."""
    return loop_kind.new_loop


@pytest.fixture
def new_loop(loop_kind: LoopKind, nothing_left_behind: Before) -> Iterator[NewLoop]:
    """Make loops that are closed when the test ends."""
    yield from closing(loop_kind, nothing_left_behind)


def closing(kind: LoopKind, before: Before) -> Iterator[NewLoop]:
    """A factory whose loops are closed after the ``yield``."""
    made: list[Loop] = []

    def new() -> Loop:
        made.append(kind.new_loop())
        before.watch(made[-1])
        return made[-1]

    yield new
    for loop in made:
        loop.close()
    made.clear()


@pytest.fixture
def loop(new_loop: NewLoop) -> Loop:
    """One loop, closed when the test ends. It is not the current loop of the thread."""
    return new_loop()


@pytest.fixture(name="run_script")
def script_runner(loop_kind: LoopKind) -> RunScript:
    """Run a script in a process of its own, whose ``new_loop()`` makes this kind of loop."""
    return functools.partial(run_script, loop_kind)


@contextlib.contextmanager
def asyncio_itself() -> Iterator[None]:
    """What asyncio does without maypole's helpers, also where they are installed."""
    if MODE != "installed":
        yield
        return
    import maypole

    maypole.uninstall()
    try:
        yield
    finally:
        maypole.install()


@pytest.fixture
def same_as_asyncio(loop_kind: LoopKind, nothing_left_behind: Before) -> SameAsAsyncio:
    """Run a scenario on asyncio's own loop and on this kind: same value, or same exception and text."""

    def on(kind: LoopKind, scenario: Callable[[Loop], Any]) -> Outcome:
        loop = kind.new_loop()
        # What debug mode calls slow is a matter of the machine.
        loop.slow_callback_duration = 60
        records = nothing_left_behind.records
        nothing_left_behind.watch(loop)
        since = len(records.records)
        try:
            outcome = outcome_of(lambda: scenario(loop))
        finally:
            loop.close()
        logged = tuple(plain(record.getMessage()) for record in records.take(since))
        return replace(outcome, logged=logged)

    def compare(scenario: Callable[[Loop], Any]) -> Outcome:
        oracle = LoopKind("oracle", "asyncio:new_event_loop", loop_kind.debug)
        outcomes = []
        for kind, helpers in ((oracle, asyncio_itself), (loop_kind, contextlib.nullcontext)):
            with helpers():
                # On one line, because debug mode puts the lines of the callers into its texts.
                outcomes.append(on(kind, scenario))
        expected, found = outcomes
        if found != expected:
            pytest.fail(f"asyncio: {expected}\n{loop_kind.name}: {found}", pytrace=False)
        return expected

    return compare


@pytest.fixture(autouse=True)
def no_current_loop() -> Iterator[None]:
    """No test sees the loop that another one has set for the thread."""
    yield
    asyncio._set_running_loop(None)
