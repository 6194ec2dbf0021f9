"""The example service while its database is stopped and started under load: four workers, real servers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from frameworks import servers

asyncpg: Any = pytest.importorskip("asyncpg", reason="asyncpg is not installed for this Python")
for package in ("aiohttp", "fastapi", "redis", "uvicorn"):
    pytest.importorskip(package, reason=f"{package} is not installed for this Python")

SERVICE = Path(__file__).resolve().parents[2] / "examples" / "service"
WORKERS = 4
RATE = 200
PATIENCE_S = 30
"""How long to wait for something that must happen; a limit for failures, not a promise."""


def load_module(name: str) -> ModuleType:
    """A module of the example, which is no package."""
    spec = importlib.util.spec_from_file_location(f"service_{name}", SERVICE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class Servers:
    """PostgreSQL and Redis, for all tests of this file.

    Attributes:
        postgres: the database; stopped at first.
        redis_port: of the Redis.
    """

    def __init__(self, stack: ExitStack) -> None:
        programs = {
            name: servers.find(*name.split("|"))
            for name in ("postgres", "initdb", "redis-server|valkey-server")
        }
        if missing := [name for name, path in programs.items() if path is None]:
            pytest.skip(
                f"not here: {', '.join(missing)} (on Debian: apt-get install postgresql redis-server)"
            )
        postgres, initdb, redis = map(str, programs.values())
        self.redis_port = stack.enter_context(servers.redis_server(redis))
        self.postgres = servers.Postgres(postgres, initdb, stack.enter_context(tempfile.TemporaryDirectory()))


@pytest.fixture(scope="module")
def the_servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


class Service:
    """The service, its database and its load.

    Attributes:
        postgres: the database; stopped at first.
        url: of the service.
    """

    def __init__(self, stack: ExitStack, folder: Path, its_servers: Servers) -> None:
        self._stack = stack
        self._events = folder / "events"
        self._log = folder / "log"
        self._redis_port = its_servers.redis_port
        self.postgres = its_servers.postgres
        self._database = ExitStack()
        stack.callback(self._database.close)
        self.url = ""

    def start_database(self) -> None:
        self._database.enter_context(self.postgres.up())

    def stop_database(self) -> None:
        self._database.close()

    def start_all(self, *uvicorn: str, workers: int) -> subprocess.Popen[bytes]:
        """Start the workers on maypole's loop, at one port, and meanwhile the database, with its orders."""
        # They take seconds to import what they need, and need no database to start.
        with ThreadPoolExecutor(1) as beside:
            starting = beside.submit(self._start, [*uvicorn, "--workers", str(workers)])
            self.start_database()
            asyncio.run(fill(self.postgres.url, load_module("load").ORDERS))
            return starting.result()

    def _start(self, uvicorn: list[str]) -> subprocess.Popen[bytes]:
        port = servers.free_port()
        command = [sys.executable, *uvicorn, "app:app", "--app-dir", str(SERVICE), "--port", str(port)]
        command += ["--loop", "maypole:new_event_loop", "--log-level", "warning"]
        settings = {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}",
            "ORDERS_RATE": f"{RATE}/s",
            "ORDERS_EVENTS": str(self._events),
        }
        process = servers.running(command, port, self._log, env={**os.environ, **settings})
        self.url = f"http://127.0.0.1:{port}"
        return self._stack.enter_context(process)

    def transitions(self) -> dict[int, list[str]]:
        """The states that the breaker of each worker went to, in order."""
        found: dict[int, list[str]] = {}
        text = self._events.read_text() if self._events.exists() else ""
        # Behind the last line's end may stand one that is being written.
        for line in text.rpartition("\n")[0].splitlines():
            event = json.loads(line)
            if event["what"] == "transition":
                found.setdefault(event["pid"], []).append(event["to"])
        return found

    def states(self) -> list[str]:
        """The state of the breaker of each worker that ever left the first one."""
        return [states[-1] for states in self.transitions().values()]


@pytest.fixture
def service(tmp_path: Path, the_servers: Servers) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(stack, tmp_path, the_servers)


async def until(what: str, holds: Callable[[], bool], seen: Callable[[], object] = str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"not in {PATIENCE_S} s: {what}; {seen()}"
        await asyncio.sleep(0.02)


async def connections(url: str) -> int:
    """How many connections of the service the database has."""
    connection = await asyncpg.connect(url)
    try:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders'"
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def fill(url: str, orders: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("DROP TABLE IF EXISTS orders")
    await connection.execute("CREATE TABLE orders (id integer PRIMARY KEY, item text)")
    rows = [(number, f"item {number}") for number in range(1, orders + 1)]
    await connection.copy_records_to_table("orders", records=rows)
    await connection.close()


async def outage(service: Service, load: Any, workers: int, orders: int) -> list[Any]:
    """Stop and start the database under load; returns the answers to what was asked while it was down."""
    answers = load.answers

    def served(since: int, count: int) -> bool:
        """Whether all workers have answered, and so many orders were given."""
        new = answers[since:]
        serving = {one.worker for one in new if one.status == 200}
        return len(serving) == workers and sum(one.status == 200 for one in new) >= count

    def seen() -> object:
        return Counter((one.worker, one.status, one.detail) for one in answers), asking, service.transitions()

    asking = asyncio.create_task(load.run())
    await until("orders from all workers", lambda: served(0, orders), seen)
    await asyncio.to_thread(service.stop_database)
    opened = ("open", "half_open")
    await until(
        "all breakers open", lambda: [s in opened for s in service.states()] == [True] * workers, seen
    )
    opened_at = time.monotonic()

    def asked_while_down() -> list[Any]:
        return [one for one in answers if one.admitted_at is not None and one.admitted_at > opened_at]

    await until("answers while it is down", lambda: len(asked_while_down()) >= orders // 2, seen)

    def probed() -> bool:
        return [states.count("open") > 1 for states in service.transitions().values()] == [True] * workers

    await until("a probe of each breaker that fails", probed, seen)
    down = asked_while_down()
    await asyncio.to_thread(service.start_database)
    await until("all breakers closed", lambda: service.states() == ["closed"] * workers, seen)
    up_from = len(answers)
    await until("orders from all workers again", lambda: served(up_from, orders), seen)
    load.running = False
    await asking
    return down


@pytest.mark.timeout(120)
def test_the_service_survives_its_database(service: Service) -> None:
    process = service.start_all("-m", "uvicorn", workers=WORKERS)
    load = load_module("load").Load(service.url, clients=40)
    down = asyncio.run(outage(service, load, WORKERS, 200))

    transitions = service.transitions()
    while_down = Counter(one.detail for one in down)
    probes = sum(states.count("half_open") for states in transitions.values()) * 2
    asked = len(down) - while_down["CircuitOpen"] - while_down["BulkheadFull"]
    assert not any(one.status == 200 for one in down)
    assert asked <= probes, f"more than the probes asked a database that is down: {while_down}"

    follows = {"open": {"half_open"}, "half_open": {"open", "closed"}, "closed": {"open"}}
    for states in transitions.values():
        assert states[:2] == ["open", "half_open"]
        assert "closed" in states
        assert all(after in follows[before] for before, after in pairwise(states))

    assert 0 < asyncio.run(connections(service.postgres.url)) <= WORKERS * 5
    check_limit(load.answers)

    process.terminate()
    process.wait(20)
    assert asyncio.run(connections(service.postgres.url)) == 0


def check_limit(answers: list[Any]) -> None:
    """All workers together let in no more than the burst and the rate, and a lease for each of them.

    What was asked for and let in within a span of time was granted in it, however long messages took.
    """
    admitted = sorted(
        (one for one in answers if one.admitted_at is not None), key=lambda one: one.admitted_at
    )
    assert len(admitted) > 600
    for begin in sorted(one.asked_at for one in admitted):
        inside = (one.admitted_at for one in admitted if one.asked_at >= begin)
        for count, end in enumerate(inside, 1):
            assert count <= 20 + RATE * (end - begin) + 5 * WORKERS


@pytest.mark.not_in_debug_mode("a recording does not see the tasks of debug mode")
@pytest.mark.not_in_mode("c", "a recording does not see asyncio's own tasks")
@pytest.mark.timeout(120)
def test_the_outage_stands_on_the_timeline(service: Service, tmp_path: Path) -> None:
    page, document = tmp_path / "outage.html", tmp_path / "outage.json"
    tracing = ("-m", "maypole", "trace", "-o", str(page), "--json", str(document))
    process = service.start_all(*tracing, "-m", "uvicorn", workers=1)
    load = load_module("load").Load(service.url, clients=10)
    asyncio.run(outage(service, load, 1, 50))
    process.terminate()
    process.wait(20)

    found = json.loads(document.read_text())
    rows = zip(found["marks"]["at_ns"], found["marks"]["task"], found["marks"]["text"], strict=True)
    marks = [(at_ns, task, found["strings"][text]) for at_ns, task, text in rows]
    of_breaker = [mark for mark in marks if mark[2].startswith("breaker database: ")]
    texts = [text.removeprefix("breaker database: ") for _, _, text in of_breaker]

    assert texts[0] == "closed → open (consecutive)"
    assert texts[-1] == "half-open → closed (probes work)"
    assert texts.count("reject (open)") >= 10  # fast failures
    assert "half-open → open (probes fail)" in texts
    for before, after in pairwise(text for text in texts if not text.startswith("reject")):
        assert after in FOLLOWS[before], (before, after)

    steps = found["steps"]
    ran: dict[int, list[tuple[int, int]]] = {}
    for task, begin, end in zip(steps["task"], steps["begin_ns"], steps["end_ns"], strict=True):
        ran.setdefault(task, []).append((begin, end))
    for at_ns, task, text in of_breaker:
        assert any(begin <= at_ns <= end for begin, end in ran[task]), f"{text}: its task did not run then"
    assert page.stat().st_size > document.stat().st_size
    assert Counter(one.status for one in load.answers)[200] >= 100


FOLLOWS = {
    "closed → open (consecutive)": {"open → half-open (open time over)"},
    "half-open → open (probes fail)": {"open → half-open (open time over)"},
    "open → half-open (open time over)": {"probe"},
    "probe": {"probe", "half-open → open (probes fail)", "half-open → closed (probes work)"},
    "half-open → closed (probes work)": {"closed → open (consecutive)"},
}
"""What may come next of a breaker, fast failures apart."""
