"""The ten course files: signatures, sentences, style, and behaviour on both loops' virtual clocks."""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import inspect
import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from maypole.testing import VirtualClock
from maypole.testing.clock import LoopName

COURSE = Path(__file__).resolve().parents[2] / "course" / "0x01-python_async_function"
TASKS = ["0-basic_async_syntax", "1-concurrent_coroutines", "2-measure_runtime", "3-tasks", "4-tasks"]
MAINS = ["0-main", "1-main", "2-main", "3-main", "4-main"]
FILES = [f"{name}.py" for name in (*TASKS, *MAINS)]

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import course files by name, each test anew."""
    monkeypatch.syspath_prepend(COURSE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module
    for name in TASKS:
        sys.modules.pop(name, None)


@pytest.fixture(params=["asyncio", "maypole"])
def loop_name(request: pytest.FixtureRequest) -> LoopName:
    """The loop whose virtual clock the task runs on."""
    return cast("LoopName", request.param)


@pytest.fixture
def run(loop_name: LoopName) -> Callable[[Any], tuple[Any, float]]:
    """Run a coroutine; return its result and the virtual seconds that it took."""

    def on_virtual_clock(main: Any) -> tuple[Any, float]:
        clock = VirtualClock()
        with asyncio.Runner(loop_factory=lambda: clock.new_event_loop(loop_name)) as runner:
            result = runner.run(main)
        return result, clock.time() - 1000.0

    return on_virtual_clock


def test_the_folder_holds_the_ten_files_and_a_readme() -> None:
    here = {path.name for path in COURSE.iterdir() if not path.name.startswith((".", "__"))}
    assert here == {*FILES, "README.md"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_can_be_executed_and_says_in_a_sentence_what_it_is(name: str) -> None:
    path = COURSE / name
    text = path.read_bytes()
    assert text.startswith(b"#!/usr/bin/env python3\n")
    assert text.endswith(b"\n")
    assert not text.endswith(b"\n\n")
    assert b"\r" not in text
    assert path.stat().st_mode & 0o111 == 0o111
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for node in (tree, *functions):
        doc = ast.get_docstring(node)
        assert doc
        first = doc.splitlines()[0]
        assert first.endswith(".")
        assert len(first.split()) > 5
    for function in functions:
        assert function.returns is not None
        assert all(argument.annotation is not None for argument in function.args.args)


@pytest.mark.parametrize("name", FILES)
def test_only_the_standard_library_and_the_course_is_imported(name: str) -> None:
    tree = ast.parse((COURSE / name).read_bytes())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"asyncio", "random", "time", "typing"}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "__import__"]
    assert all(cast("ast.Constant", call.args[0]).value in TASKS for call in named)
    assert len(named) == (name != "0-basic_async_syntax.py")


@pytest.mark.parametrize("name", ["1-concurrent_coroutines", "4-tasks"])
def test_the_order_is_not_made_by_sorting(name: str) -> None:
    tree = ast.parse((COURSE / f"{name}.py").read_bytes())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"sort", "sorted", "insort", "heapq", "bisect", "min"}


@pytest.mark.parametrize(
    ("module", "name", "signature", "is_coroutine"),
    [
        (TASKS[0], "wait_random", "(max_delay: int = 10) -> float", True),
        (TASKS[1], "wait_n", "(n: int, max_delay: int) -> List[float]", True),
        (TASKS[2], "measure_time", "(n: int, max_delay: int) -> float", False),
        (TASKS[3], "task_wait_random", "(max_delay: int) -> _asyncio.Task", False),
        (TASKS[4], "task_wait_n", "(n: int, max_delay: int) -> List[float]", True),
    ],
)
def test_signatures(load: Load, module: str, name: str, signature: str, is_coroutine: bool) -> None:
    function = getattr(load(module), name)
    shown = str(inspect.signature(function)).replace("typing.", "").replace("asyncio.Task", "_asyncio.Task")
    assert shown.replace("__asyncio", "_asyncio") == signature
    assert inspect.iscoroutinefunction(function) is is_coroutine


@pytest.mark.parametrize("module", TASKS)
def test_the_examples_in_the_docstrings_run(load: Load, module: str) -> None:
    results = doctest.testmod(load(module))
    assert results.attempted > 0
    assert results.failed == 0


def test_wait_random_waits_as_long_as_it_says(load: Load, run: Any) -> None:
    wait_random = load(TASKS[0]).wait_random

    async def main() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        seen = []
        for _ in range(200):
            start = loop.time()
            seen.append((await wait_random(), loop.time() - start))
        return seen

    random.seed(1234)
    seen, _ = run(main())
    for returned, waited in seen:
        assert type(returned) is float
        assert 0 <= returned <= 10
        assert waited == pytest.approx(returned, abs=2e-9)
    assert max(returned for returned, _ in seen) > 9
    assert min(returned for returned, _ in seen) < 1


@pytest.mark.parametrize(("module", "name"), [(TASKS[1], "wait_n"), (TASKS[4], "task_wait_n")])
@pytest.mark.parametrize(("n", "max_delay"), [(5, 5), (10, 7), (1, 3), (0, 3), (100, 10)])
def test_waits_run_together_and_come_back_ascending(
    load: Load, run: Any, module: str, name: str, n: int, max_delay: int
) -> None:
    random.seed(n)
    delays, took = run(getattr(load(module), name)(n, max_delay))
    assert type(delays) is list
    assert len(delays) == n
    assert delays == sorted(delays)
    assert took == pytest.approx(max(delays, default=0.0), abs=2e-9)


def test_a_group_of_no_delay_is_all_zero(load: Load, run: Any) -> None:
    assert run(load(TASKS[1]).wait_n(10, 0)) == ([0.0] * 10, 0.0)


def test_measure_time_is_the_longest_wait_divided_by_n(
    load: Load, loop_name: LoopName, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    monkeypatch.setattr(asyncio.events, "new_event_loop", lambda: clock.new_event_loop(loop_name))
    longest: list[float] = []
    uniform = random.uniform

    def recorded(low: float, high: float) -> float:
        longest.append(uniform(low, high))
        return longest[-1]

    monkeypatch.setattr(random, "uniform", recorded)
    with clock.time_module():
        measured = load(TASKS[2]).measure_time(5, 9)
    assert measured == pytest.approx(max(longest) / 5, abs=1e-9)
    assert len(longest) == 5


def test_a_task_runs_in_the_background(load: Load, run: Any) -> None:
    task_wait_random = load(TASKS[3]).task_wait_random

    async def main() -> tuple[type, float, float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        task = task_wait_random(4)
        await asyncio.sleep(4)
        delay = await task
        return task.__class__, delay, loop.time() - start

    (kind, delay, took), _ = run(main())
    assert kind is asyncio.Task
    assert 0 <= delay <= 4
    assert took == 4


def test_the_readme_names_every_file_and_the_working_import() -> None:
    text = (COURSE / "README.md").read_text()
    for name in (f"{task}.py" for task in TASKS):
        assert f"`{name}`" in text
    assert re.search(r"__import__\('1-concurrent_coroutines'\)\.wait_n", text)
