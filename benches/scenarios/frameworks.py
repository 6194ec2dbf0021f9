"""Whole applications: how much of a loop's gain is left under a framework."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING, Any

from measuring.scenario import Load, Tier, scenario

from scenarios.echo import BACKLOG, host_and_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measuring.bench import Bench

#: Commands in one Redis pipeline.
PIPELINE = 100
#: Connections of the Postgres pool.
POOL = 10


@scenario(
    "framework.fastapi.100c",
    count=3_000,
    unit="request",
    tier=Tier.QUICK,
    packages=("fastapi", "uvicorn"),
    load=Load("http", "tcp", connections=100, path="/items/7"),
)
async def fastapi(bench: Bench) -> object:
    """FastAPI under uvicorn (httptools): a path parameter, a JSON reply."""
    app = importlib.import_module("fastapi").FastAPI()

    async def item(number: int) -> dict[str, Any]:
        return {"number": number, "name": "ribbon", "tags": ["red", "white"]}

    app.get("/items/{number}")(item)
    return await serve_asgi(bench, app)


@scenario(
    "framework.asgi.100c",
    count=6_000,
    unit="request",
    packages=("uvicorn",),
    load=Load("http", "tcp", connections=100),
)
async def asgi(bench: Bench) -> object:
    """A bare ASGI application under uvicorn: the server without the framework."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"ok"})

    return await serve_asgi(bench, app)


async def serve_asgi(bench: Bench, app: Any) -> object:
    """Uvicorn in this loop; it must not take the signals that end this process."""
    uvicorn = importlib.import_module("uvicorn")

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    host, port = host_and_port(bench.address)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        backlog=BACKLOG,
        http="httptools",
        lifespan="off",
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.01)
    return server, serving


@scenario(
    "framework.aiohttp.100c",
    count=6_000,
    unit="request",
    packages=("aiohttp",),
    load=Load("http", "tcp", connections=100),
)
async def aiohttp(bench: Bench) -> object:
    """aiohttp's server: one handler, a short text."""
    web = importlib.import_module("aiohttp.web")

    async def hello(request: Any) -> Any:
        return web.Response(text="hello, dancers")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, port = host_and_port(bench.address)
    await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    return runner


@scenario("framework.redis_pipeline", count=20_000, unit="command", service="redis", packages=("redis",))
async def redis_pipeline(bench: Bench) -> None:
    """redis-py: pipelines of a hundred commands against a real server; the client is measured."""
    client = importlib.import_module("redis.asyncio").Redis.from_url(bench.service)
    group = min(PIPELINE, bench.count)
    rounds = bench.count // group
    try:
        await client.ping()
        with bench.measure(rounds * group):
            for turn in range(rounds):
                pipeline = client.pipeline(transaction=False)
                for number in range(group):
                    pipeline.set(f"key:{number}", turn)
                replies = await pipeline.execute()
        bench.expect(replies, [True] * group, "replies")
        bench.expect(await client.get("key:0"), str(rounds - 1).encode(), "the last value set")
    finally:
        await client.aclose()


@scenario("framework.asyncpg.1c", count=3_000, unit="query", service="postgres", packages=("asyncpg",))
async def asyncpg_one(bench: Bench) -> None:
    """asyncpg: one connection, one query after another against a real server; the client is measured."""
    connection = await importlib.import_module("asyncpg").connect(bench.service)
    total = 0
    try:
        with bench.measure(bench.count):
            for number in range(bench.count):
                total += await connection.fetchval("select $1::int + 1", number)
    finally:
        await connection.close()
    bench.expect(total, bench.count * (bench.count + 1) // 2, "sum of the replies")


@scenario("framework.asyncpg.pool", count=3_000, unit="query", service="postgres", packages=("asyncpg",))
async def asyncpg_pool(bench: Bench) -> None:
    """asyncpg: a pool of ten connections, a hundred tasks."""
    asyncpg = importlib.import_module("asyncpg")
    tasks = min(100, bench.count)
    turns = bench.count // tasks
    total = 0
    async with asyncpg.create_pool(bench.service, min_size=POOL, max_size=POOL) as pool:

        async def ask() -> None:
            nonlocal total
            for number in range(turns):
                async with pool.acquire() as connection:
                    reply = await connection.fetchval("select $1::int", number)
                # After the await: another task may have added meanwhile.
                total += reply

        with bench.measure(turns * tasks):
            for task in [asyncio.create_task(ask()) for _ in range(tasks)]:
                await task
    bench.expect(total, tasks * turns * (turns - 1) // 2, "sum of the replies")
