"""Traces for the tests of the page: a small service, one with very many events, and bad ones."""

from __future__ import annotations

import json
import random
from typing import Any

from viewer.simulated_loop import COLUMNS, Gate, Recording, Script, SimulatedLoop

MS = 1_000_000
Document = dict[str, Any]


def encoded(document: Document) -> bytes:
    """The document as the recorder would write it."""
    return json.dumps(document, separators=(",", ":")).encode()


def empty() -> Document:
    """A recording in which nothing ran."""
    return Recording().document(1 * MS)


def service(requests: int = 14, seed: int = 7) -> Document:
    """A service with all that a trace can show: a stall, a lost task, an error, cancels, locks, a thread."""
    chance = random.Random(seed)
    loop = SimulatedLoop()
    lock, queue = Gate("lock"), Gate("queue", free=2)

    def handler(number: int) -> Script:
        yield "compute", chance.randrange(40, 400) * 1_000
        yield "io", chance.randrange(2, 40) * MS, 31
        yield "take", lock, 33
        yield "compute", chance.randrange(100, 900) * 1_000
        yield "sleep", 6 * MS, 34
        yield "give", lock
        if number == 7:
            yield "stall", 300 * MS, 38, "handler"
        if number == 9:
            yield "fail", "ValueError: no such row 9"
        yield "take", queue, 41
        yield "io", chance.randrange(1, 20) * MS, 44

    def consumer() -> Script:
        while True:
            yield "get", queue, 52
            yield "compute", 500_000
            yield "sleep", 18 * MS, 54

    def report() -> Script:
        yield "thread", 120 * MS, 61, "build_report"
        yield "compute", 2 * MS
        yield "pause", 4 * MS
        yield "yield", 63
        yield "compute", 1 * MS

    def forgotten() -> Script:
        yield "compute", 80_000
        yield "forever", "event", 71

    def slow() -> Script:
        yield "io", 900 * MS, 75

    def server() -> Script:
        tasks = []
        for number in range(requests):
            tasks += [(yield "spawn", handler(number), f"req-{number}", "handler", 30)]
            yield "io", chance.randrange(4, 30) * MS, 84
        yield "wait", tasks, 86

    def main() -> Script:
        worker = yield "spawn", consumer(), "consumer", "consumer", 51
        yield "spawn", forgotten(), "Task-3", "forgotten", 70
        late = yield "spawn", slow(), "upstream", "slow", 74
        front = yield "spawn", server(), "server", "server", 80
        pages = yield "spawn", report(), "report", "report", 60
        yield "mark", "breaker payments: closed → open", "maypole.patterns.breaker"
        yield "wait", [front, pages], 92
        yield "cancel", late
        yield "cancel", worker
        yield "compute", 300_000

    loop.spawn(main(), "Task-1", "main", 90)
    loop.run()
    return loop.recording.document(loop.now + 100_000)


def slow_consumer() -> Document:
    """Three producers that wait for room in a queue, because its consumer is slower than they are."""
    loop = SimulatedLoop("/srv/app/pipeline.py")
    queue = Gate("queue", free=1)

    def producer() -> Script:
        for _ in range(10):
            yield "compute", 20_000
            yield "take", queue, 14

    def consumer() -> Script:
        for _ in range(30):
            yield "get", queue, 22
            yield "sleep", 20 * MS, 24

    for name in ("first", "second", "third"):
        loop.spawn(producer(), name, "producer", 10)
    loop.spawn(consumer(), "consumer", "consumer", 20)
    loop.run()
    return loop.recording.document(loop.now)


def crowd(tasks: int = 3_000, rounds: int = 10, seed: int = 3) -> Document:
    """Very many tasks in three generations, and more than a hundred thousand events."""
    chance = random.Random(seed)
    loop = SimulatedLoop("/srv/app/crowd.py")

    def worker(turns: int) -> Script:
        for _ in range(turns):
            yield "compute", chance.randrange(2, 30) * 1_000
            yield "sleep", chance.randrange(1, 400) * MS, 12

    def group(size: int) -> Script:
        children = []
        for number in range(size):
            children += [(yield "spawn", worker(rounds), f"worker-{number}", "worker", 10)]
        yield "wait", children, 22

    def main() -> Script:
        groups = []
        for number in range(tasks // 100):
            groups += [(yield "spawn", group(100), f"group-{number}", "group", 20)]
        yield "wait", groups, 32

    loop.spawn(main(), "Task-1", "main", 30)
    loop.run()
    return loop.recording.document(loop.now + 100_000)


def events_in(document: Document) -> int:
    """How many rows the groups of events hold."""
    return sum(
        len(next(iter(document[group].values()))) for group in COLUMNS if group not in ("sites", "tasks")
    )


def hostile() -> Document:
    """Names that would run as a script, end the element, or break the layout, were they markup."""
    document = service(4)
    names = [
        "<img src=x onerror=\"globalThis.harmed='img'\">",
        "</script><script>globalThis.harmed='script'</script>",
        "<!--<script>",
        "\u202egnp.exe\u0000\ud83d\ude80",
        "x" * 5_000,
    ]
    for index, text in enumerate(document["strings"]):
        document["strings"][index] = f"{names[index % len(names)]} {text}"
    document["program"]["argv"] = ["<svg onload=\"globalThis.harmed='svg'\">"]
    return document


def inconsistent() -> Document:
    """Unequal columns, unknown words, circles of parents, indexes of nothing, times that run backwards."""
    document = service(4)
    document["steps"]["end_ns"].pop()
    document["waits"]["kind"][0] = "a kind of tomorrow"
    document["tasks"]["parent"][:3] = [2, 3, 1]
    document["tasks"]["name"][1] = 99_999
    document["tasks"]["function"][2] = 5_000
    document["polls"]["begin_ns"].reverse()
    document["turns"]["ready"][0] = None
    document["stalls"] = {
        "begin_ns": [5 * MS],
        "end_ns": [2 * MS],
        "task": ["x"],
        "kind": [{}],
        "stack": [[7, "y"]],
    }
    return document
