"""Whole applications, whose cost under observation is measured: servers under load, and what services do.

The load generator is a process of its own, so that the CPU time of this one is the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

CONNECTIONS = 32
"""So many connections of the load generator work at once."""


async def load(port: int, path: str, count: int) -> dict[str, Any]:
    """Have the load generator send so many requests, and return its report."""
    program = Path(os.environ["MAYPOLE_LOAD"]) / "maypole-load"
    connections = min(CONNECTIONS, count)
    words = ["http", f"tcp:127.0.0.1:{port}", "--path", path, "--connections", str(connections)]
    words += ["--requests", str(count), "--warmup", str(connections), "--timeout-s", "120"]
    process = await asyncio.create_subprocess_exec(program, *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    report: dict[str, Any] = json.loads(out)
    return report


async def fastapi(count: int) -> None:
    """FastAPI under uvicorn: a path parameter, a short wait, a JSON reply."""
    async with serving_fastapi() as port:
        await load(port, "/items/7", count)


@contextlib.asynccontextmanager
async def serving_fastapi() -> Any:
    """A FastAPI application under uvicorn in this loop; its port."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()
    lock = asyncio.Semaphore(16)

    async def item(number: int) -> dict[str, Any]:
        async with lock:
            await asyncio.sleep(0.001)
        return {"number": number, "name": "ribbon", "tags": ["red", "white"]}

    app.get("/items/{number}")(item)

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    started = asyncio.Event()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="warning", access_log=False, lifespan="off"
    )
    server = Server(config)
    running = asyncio.create_task(server.serve())
    await started.wait()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


async def aiohttp(count: int) -> None:
    """An aiohttp server: a path parameter, a task for a part of the work, a JSON reply."""
    from aiohttp import web

    async def price(number: int) -> int:
        await asyncio.sleep(0)
        return number * 3

    async def item(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        async with asyncio.timeout(5):
            cost = await asyncio.create_task(price(number))
        return web.json_response({"number": number, "price": cost, "tags": ["red", "white"]})

    app = web.Application()
    app.router.add_get("/items/{number}", item)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        await load(runner.addresses[0][1], "/items/7", count)
    finally:
        await runner.cleanup()


def record(number: int) -> bytes:
    """Something to parse: a small document."""
    return json.dumps({"id": number, "user": f"user-{number % 97}", "tags": ["a", "b"], "size": 17}).encode()


async def pipeline(count: int) -> None:
    """A producer, four workers, a writer, two bounded queues between them; JSON is parsed and written."""
    todo: asyncio.Queue[bytes | None] = asyncio.Queue(16)
    done: asyncio.Queue[bytes | None] = asyncio.Queue(16)

    async def produce() -> None:
        for number in range(count):
            await todo.put(record(number))
        for _ in range(4):
            await todo.put(None)

    async def work() -> None:
        while (text := await todo.get()) is not None:
            fields = json.loads(text)
            fields["size"] *= 2
            await done.put(json.dumps(fields).encode())

    async def write() -> None:
        for _ in range(count):
            await done.get()

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        for _ in range(4):
            group.create_task(work())
        group.create_task(write())


async def fan_out(count: int) -> None:
    """What a gateway does: ask ten, each with a timeout, take the answers together and parse them."""

    async def ask(number: int) -> dict[str, Any]:
        await asyncio.sleep(0.0005)
        answer: dict[str, Any] = json.loads(record(number))
        return answer

    for first in range(0, count, 10):
        answers = await asyncio.gather(
            *(asyncio.wait_for(ask(number), 5) for number in range(first, first + 10))
        )
        json.dumps(answers)


APPLICATIONS: dict[str, tuple[Callable[[int], Awaitable[None]], int]] = {
    "fastapi": (fastapi, 6_000),
    "aiohttp": (aiohttp, 12_000),
    "pipeline": (pipeline, 60_000),
    "fan_out": (fan_out, 30_000),
}
"""Name: the application, and how many requests or items it does at full scale."""
