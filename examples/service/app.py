"""An order service: FastAPI, a limit that all workers share, a breaker, the driver's pool, PostgreSQL.

    uvicorn app:app --workers 4 --loop maypole:new_event_loop

Settings come from the environment: DATABASE_URL, REDIS_URL, ORDERS_RATE (``200/s``), ORDERS_EVENTS (a file).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from maypole.patterns import (
    Bulkhead,
    CircuitBreaker,
    PatternEvent,
    Policy,
    RateLimited,
    RedisRateLimit,
    Rejected,
    subscribe,
)
from redis.asyncio import Redis

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://localhost/postgres")
REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
RATE = os.environ.get("ORDERS_RATE", "200/s")
BURST = 20
LEASE = 5
CONNECTIONS = 5
DOOR_TIMEOUT_S = 0.25

breaker = CircuitBreaker(
    "database", consecutive=3, open_for=0.3, open_max=2.0, probes=2, half_open_timeout=5.0
)
places = Bulkhead(CONNECTIONS, max_waiting=50, name="connections")
database = Policy(deadline=3.0, breaker=breaker, bulkhead=places, attempt_timeout=1.0, name="database")


def write_events(path: str) -> Callable[[], None]:
    """Append what the patterns decide to a file, a line each; the workers share it."""
    file = open(path, "a", buffering=1)  # noqa: SIM115

    def write(event: PatternEvent) -> None:
        if event.what not in ("wait", "grant"):
            line = {"pid": os.getpid(), "at": event.at, "name": event.name, "what": event.what}
            file.write(json.dumps(line | dict(event.detail), default=str) + "\n")

    end = subscribe(write)

    def stop() -> None:
        end()
        file.close()

    return stop


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Open what the requests use, and close it in the opposite order."""
    path = os.environ.get("ORDERS_EVENTS")
    stop = write_events(path) if path else None
    # Connections are made when they are needed: the service starts without its database.
    pool = asyncpg.create_pool(
        DATABASE_URL, min_size=0, max_size=CONNECTIONS, server_settings={"application_name": "orders"}
    )
    async with Redis.from_url(REDIS_URL) as redis, pool:
        limit = RedisRateLimit(
            redis,
            "orders:requests",
            RATE,
            burst=BURST,
            lease=LEASE,
            max_waiting=100,
            instances=4,
            name="door",
        )
        yield {"pool": pool, "limit": limit}
    if stop is not None:
        stop()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def door(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let requests in at the rate that all workers together may have."""
    headers = {"x-worker": str(os.getpid())}
    if request.url.path.startswith("/orders/"):
        try:
            await request.state.limit.acquire(timeout=DOOR_TIMEOUT_S)
        except RateLimited as error:
            return refusal(429, "too many requests", error, headers)
        headers["x-admitted-at"] = repr(time.monotonic())
    response = await call_next(request)
    response.headers.update(headers)
    return response


@app.exception_handler(Rejected)
async def refused(request: Request, error: Rejected) -> Response:
    """A pattern said no, and the database was not asked."""
    return refusal(503, "not now", error, {})


@app.exception_handler(OSError)
@app.exception_handler(TimeoutError)
@app.exception_handler(asyncpg.PostgresError)
@app.exception_handler(asyncpg.InterfaceError)
@app.exception_handler(asyncpg.InternalClientError)
async def failed(request: Request, error: Exception) -> Response:
    """The database was asked, and did not answer."""
    return JSONResponse({"error": "database", "detail": type(error).__name__}, 503)


def refusal(status: int, text: str, error: Rejected, headers: dict[str, str]) -> Response:
    """An answer that says why, and when to come back."""
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return JSONResponse({"error": text, "detail": type(error).__name__}, status, headers)


@app.get("/orders/{number}")
async def order(number: int, request: Request) -> dict[str, Any]:
    """One order."""
    row = await database.call(
        request.state.pool.fetchrow, "SELECT id, item FROM orders WHERE id = $1", number
    )
    if row is None:
        raise HTTPException(404, f"there is no order {number}")
    return dict(row)


@app.get("/state")
async def state(request: Request) -> dict[str, Any]:
    """What the patterns of this worker know, and how many of its connections are in use."""
    pool, limit = request.state.pool, request.state.limit
    connections = {"open": pool.get_size(), "in_use": pool.get_size() - pool.get_idle_size()}
    return {"limit": limit.describe(), "database": database.describe(), "connections": connections}
