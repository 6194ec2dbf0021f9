"""Ten programs with a fault each: the recording has line, task and ancestry, the summary names it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"
TIMEOUT_S = 50


@dataclass(frozen=True)
class Recorded:
    """What ``maypole trace`` has made of a program."""

    exit_code: int
    document: dict[str, Any]
    summary: str
    page: str
    fault_lines: tuple[int, ...]

    def rows(self, group: str) -> Iterator[dict[str, Any]]:
        """The rows of a group, with texts and places instead of their numbers."""
        columns = self.document[group]
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(columns, row, strict=True))

    def text(self, number: int) -> str:
        return "" if number < 0 else str(self.document["strings"][number])

    def site(self, number: int) -> tuple[str, int, str]:
        sites = self.document["sites"]
        file, line, function = (sites[name][number] for name in ("file", "line", "function"))
        return Path(self.text(file)).name, line, self.text(function)

    def task(self, name: str) -> dict[str, Any]:
        return next(task for task in self.rows("tasks") if self.text(task["name"]) == name)

    def ancestry(self, task: int) -> list[str]:
        """The names of a task and of those that made it."""
        by_id = {row["id"]: row for row in self.rows("tasks")}
        names = []
        while task:
            names.append(self.text(by_id[task]["name"]))
            task = by_id[task]["parent"]
        return names


@pytest.fixture
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Recorded:
    """Run the program of the test's name under ``maypole trace``."""
    program = PROGRAMS / f"{request.param}.py"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MAYPOLE"))
    }
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-m", "maypole", "trace", "--json", "out.json", "-o", "out.html", str(program)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    lines = program.read_text().splitlines()
    return Recorded(
        done.returncode,
        json.loads((tmp_path / "out.json").read_text()),
        done.stderr,
        (tmp_path / "out.html").read_text(),
        tuple(number for number, line in enumerate(lines, 1) if line.endswith("# FAULT")),
    )


def program(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recorded", [name], indirect=True)


@pytest.mark.parametrize(
    ("recorded", "function", "ancestry"),
    [
        ("hidden_sleep", "fetch", ["worker", "boss", "Task-1"]),
        ("cpu_loop", "crunch", ["worker", "Task-1"]),
        ("blocking_socket", "worker", ["worker", "Task-1"]),
    ],
    indirect=["recorded"],
)
def test_what_holds_the_loop_is_found_with_line_task_and_ancestry(
    recorded: Recorded, function: str, ancestry: list[str]
) -> None:
    [stall] = recorded.rows("stalls")
    file, line, found_function = recorded.site(stall["stack"][0])
    assert (line in recorded.fault_lines, found_function) == (True, function)
    assert recorded.ancestry(stall["task"]) == ancestry
    assert stall["kind"] == "step"
    assert stall["end_ns"] - stall["begin_ns"] > 100_000_000
    made_by = "".join(f", made by task {name!r}" for name in ancestry[1:])
    [told] = [text for text in recorded.summary.splitlines() if "held:" in text]
    assert f"{file}:{line} in {function}" in told
    assert told.endswith(made_by)
    assert f"by task {ancestry[0]!r}" in told


@program("slow_consumer")
def test_a_slow_consumer_is_named_with_the_line_of_its_producers(recorded: Recorded) -> None:
    puts = [wait for wait in recorded.rows("waits") if recorded.text(wait["operation"]) == "put"]
    assert len(puts) >= 10
    assert {recorded.site(wait["site"])[1:] for wait in puts} == {(recorded.fault_lines[0], "produce")}
    assert {wait["kind"] for wait in puts} == {"queue"}
    [told] = [text for text in recorded.summary.splitlines() if "slow consumer" in text]
    assert "3 producers" in told
    assert "in produce for" in told
    assert told.endswith("in consume")


@program("lost_task")
def test_a_lost_task_is_told_with_the_line_that_made_it_and_where_it_stood(recorded: Recorded) -> None:
    lost = recorded.task("notify")
    assert lost["outcome"] == "pending"
    assert recorded.site(lost["created_at"]) == ("lost_task.py", recorded.fault_lines[0], "forget")
    assert recorded.ancestry(lost["id"]) == ["notify", "forgetful", "Task-1"]
    [told] = [text for text in recorded.summary.splitlines() if "never done" in text]
    assert "task 'notify'" in told
    assert "waits for future" in told
    assert f"lost_task.py:{recorded.fault_lines[0]} in forget" in told


@program("lock_held")
def test_a_lock_that_is_held_across_a_wait_shows_in_the_waits_of_the_others(recorded: Recorded) -> None:
    waits = [wait for wait in recorded.rows("waits") if wait["kind"] == "lock"]
    assert len(waits) == 9
    assert {recorded.site(wait["site"])[1:] for wait in waits} == {(recorded.fault_lines[0], "call")}
    [told] = [text for text in recorded.summary.splitlines() if "waited for a lock" in text]
    assert "10 tasks of" in told
    assert told.endswith("in call")


@program("deadlock")
def test_a_deadlock_is_recorded_when_sigterm_ends_it(recorded: Recorded) -> None:
    assert recorded.exit_code == -15
    assert recorded.document["program"]["ended"] == "killed"
    assert not recorded.document["complete"]
    waits = [wait for wait in recorded.rows("waits") if wait["kind"] == "lock"]
    assert {recorded.site(wait["site"])[1] for wait in waits} == set(recorded.fault_lines)
    assert {task["outcome"] for task in recorded.rows("tasks")} == {"pending"}
    told = [text for text in recorded.summary.splitlines() if "never done" in text]
    for name in ("there", "back"):
        assert any(f"task '{name}'" in text and "waits for lock" in text for text in told)


@program("crowd")
def test_a_crowd_of_tasks_is_told_with_its_function_and_maker(recorded: Recorded) -> None:
    tasks = list(recorded.rows("tasks"))
    fetches = [task for task in tasks if recorded.site(task["function"])[2] == "fetch"]
    assert len(fetches) == 2_000
    assert {recorded.site(task["created_at"])[1] for task in fetches} == set(recorded.fault_lines)
    [told] = [text for text in recorded.summary.splitlines() if "crowd:" in text]
    assert told.endswith("in fetch")


@program("thread_hops")
def test_hops_to_threads_are_counted_with_the_task_that_makes_them(recorded: Recorded) -> None:
    hops = [job for job in recorded.rows("executor") if recorded.text(job["name"]) == "double"]
    assert len(hops) == 500
    assert {recorded.ancestry(job["task"])[0] for job in hops} == {"hopper"}
    assert all(job["submitted_ns"] <= job["begin_ns"] <= job["end_ns"] for job in hops)
    waits = [wait for wait in recorded.rows("waits") if wait["kind"] == "executor"]
    assert {recorded.site(wait["site"])[1:] for wait in waits} >= {(recorded.fault_lines[0], "hopper")}
    [told] = [text for text in recorded.summary.splitlines() if "waited for threads" in text]
    # From Python 3.14 on, a first job that is done before it is waited for makes no step.
    assert re.search(r"in 50[01] steps of 1 tasks", told)
    assert told.endswith("in hopper")


@program("timer_storm")
def test_timers_that_fire_together_are_a_long_turn_of_their_callback(recorded: Recorded) -> None:
    fired = [timer for timer in recorded.rows("timers") if timer["fired"]]
    assert len(fired) >= 3_000
    assert max(turn["ready"] for turn in recorded.rows("turns")) >= 1_000
    told = [text for text in recorded.summary.splitlines() if "long turn:" in text]
    assert "runs of tick" in told[0]


@program("hidden_sleep")
def test_the_page_holds_the_document(recorded: Recorded) -> None:
    assert '<script type="application/json" id="maypole-trace">' in recorded.page
    assert '"maypole-trace"' in recorded.page
    program = recorded.document["program"]
    assert Path(program["argv"][0]).name == "hidden_sleep.py"
    assert (program["ended"], program["python"]) == ("returned", sys.version.split()[0])
