"""Each framework test runs its program on asyncio and on maypole; servers live as long as the session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from frameworks import servers
from harness.kinds import NewLoop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run(loop_factory: NewLoop) -> Run:
    """Run a coroutine as ``asyncio.run`` does, on the loop under test."""

    def run_on_loop(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main)

    return run_on_loop


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    """The port of a Redis; without one the tests are skipped, and say so."""
    program = servers.find("redis-server", "valkey-server")
    if program is None:
        pytest.skip("no redis-server here (on Debian: apt-get install redis-server)")
    with servers.redis_server(program) as port:
        yield port


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL; without one the tests are skipped, and say so."""
    postgres, initdb = servers.find("postgres"), servers.find("initdb")
    if postgres is None or initdb is None:
        pytest.skip("no PostgreSQL server here (on Debian: apt-get install postgresql)")
    with servers.postgres_server(postgres, initdb) as url:
        yield url
