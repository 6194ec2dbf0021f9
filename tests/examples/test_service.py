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


class Service:
    """The service with its servers.

    Attributes:
        postgres: the database; stopped at first.
        url: of the service.
    """

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._events = folder / "events"
        self._folder = folder
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
        self._database = ExitStack()
        stack.callback(self._database.close)
        self.url = ""

    def start_database(self) -> None:
        self._database.enter_context(self.postgres.up())

    def stop_database(self) -> None:
        self._database.close()

    def start(self) -> subprocess.Popen[bytes]:
        """Start four workers on maypole's loop, at one port."""
        port = servers.free_port()
        command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(SERVICE), "--port", str(port)]
        command += ["--workers", str(WORKERS), "--loop", "maypole:new_event_loop", "--log-level", "warning"]
        settings = {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}",
            "ORDERS_RATE": f"{RATE}/s",
            "ORDERS_EVENTS": str(self._events),
        }
        log = self._folder / "log"
        process = servers.running(command, port, log, env={**os.environ, **settings})
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
def service(tmp_path: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(stack, tmp_path)


async def until(what: str, holds: Callable[[], bool], seen: Callable[[], object] = str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"not in {PATIENCE_S} s: {what}; {seen()}"
        await asyncio.sleep(0.05)


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
    await connection.execute("CREATE TABLE orders (id integer PRIMARY KEY, item text)")
    rows = [(number, f"item {number}") for number in range(1, orders + 1)]
    await connection.copy_records_to_table("orders", records=rows)
    await connection.close()


async def outage(service: Service, load: Any) -> list[Any]:
    """Stop and start the database under load; returns the answers to what was asked while it was down."""
    answers = load.answers

    def served(since: int, count: int) -> bool:
        """Whether all workers have answered, and so many orders were given."""
        new = answers[since:]
        workers = {one.worker for one in new if one.status == 200}
        return len(workers) == WORKERS and sum(one.status == 200 for one in new) >= count

    def seen() -> object:
        return Counter((one.worker, one.status, one.detail) for one in answers), asking, service.transitions()

    asking = asyncio.create_task(load.run())
    await until("orders from all workers", lambda: served(0, 200), seen)
    await asyncio.to_thread(service.stop_database)
    opened = ("open", "half_open")
    await until(
        "all breakers open", lambda: [s in opened for s in service.states()] == [True] * WORKERS, seen
    )
    opened_at = time.monotonic()

    def asked_while_down() -> list[Any]:
        return [one for one in answers if one.admitted_at is not None and one.admitted_at > opened_at]

    await until("answers while it is down", lambda: len(asked_while_down()) >= 100, seen)
    down = asked_while_down()
    await asyncio.to_thread(service.start_database)
    await until("all breakers closed", lambda: service.states() == ["closed"] * WORKERS, seen)
    up_from = len(answers)
    await until("orders from all workers again", lambda: served(up_from, 200), seen)
    load.running = False
    await asking
    return down


@pytest.mark.timeout(120)
def test_the_service_survives_its_database(service: Service) -> None:
    load_program = load_module("load")
    service.start_database()
    asyncio.run(fill(service.postgres.url, load_program.ORDERS))
    began = time.monotonic()
    process = service.start()
    load = load_program.Load(service.url, clients=40)
    down = asyncio.run(outage(service, load))

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
    check_limit(load.answers, began)

    process.terminate()
    process.wait(20)
    assert asyncio.run(connections(service.postgres.url)) == 0


def check_limit(answers: list[Any], began: float) -> None:
    """All workers together let in no more than the burst and the rate, and a lease for each of them."""
    admitted = sorted(one.admitted_at for one in answers if one.admitted_at is not None)
    assert len(admitted) > 600
    for count, at in enumerate(admitted, 1):
        assert count <= 20 + RATE * (at - began) + 5 * WORKERS
