"""aiohttp: server and client on the same loop."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

aiohttp: Any = pytest.importorskip("aiohttp", reason="aiohttp is not installed for this Python")
web: Any = pytest.importorskip("aiohttp.web", reason="aiohttp is not installed for this Python")


async def start(app: Any) -> tuple[Any, str]:
    """Serve an application on a free port; the runner, and the address."""
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


async def page(request: Any) -> Any:
    await asyncio.sleep(0.001)
    return web.Response(text=f"page {request.match_info['number']} " * 200)


async def length(request: Any) -> Any:
    return web.json_response({"length": sum([len(piece) async for piece in request.content.iter_any()])})


async def stream(request: Any) -> Any:
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(1000):
        await response.write(b"%08d" % number)
    await response.write_eof()
    return response


async def echo(request: Any) -> Any:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data[::-1])
    return socket


def application() -> Any:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_get("/pages/{number}", page)
    app.router.add_post("/length", length)
    app.router.add_get("/stream", stream)
    app.router.add_get("/echo", echo)
    return app


def test_two_hundred_pages_at_once(run: Any) -> None:
    async def main() -> None:
        runner, address = await start(application())

        async def get(session: Any, number: int) -> str:
            async with session.get(f"{address}/pages/{number}") as answer:
                assert answer.status == 200
                text: str = await answer.text()
                return text

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            pages = await asyncio.gather(*(get(session, number) for number in range(200)))
        assert pages == [f"page {number} " * 200 for number in range(200)]
        await runner.cleanup()

    run(main())


def test_bodies_streams_and_websockets(run: Any) -> None:
    async def main() -> None:
        runner, address = await start(application())
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{address}/length", data=io.BytesIO(b"x" * 5_000_000)) as answer:
                assert (await answer.json()) == {"length": 5_000_000}
            async with session.get(f"{address}/stream") as answer:
                assert len(await answer.read()) == 8000
            async with session.get(f"{address}/nothing") as answer:
                assert answer.status == 404
            async with session.ws_connect(f"{address}/echo") as socket:
                await socket.send_str("maypole")
                assert await socket.receive_str(timeout=10) == "elopyam"
        await runner.cleanup()

    run(main())


def test_a_timeout_and_a_cancelled_request_leave_the_session_usable(run: Any) -> None:
    async def main() -> None:
        app = application()
        ended = asyncio.Event()

        async def slow(request: Any) -> Any:
            await ended.wait()
            return web.Response()

        app.router.add_get("/slow", slow)
        runner, address = await start(app)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(asyncio.TimeoutError):
                await session.get(f"{address}/slow", timeout=aiohttp.ClientTimeout(total=0.05))
            request = asyncio.ensure_future(session.get(f"{address}/slow"))
            await asyncio.sleep(0.02)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            async with session.get(f"{address}/pages/1") as answer:
                assert answer.status == 200
        ended.set()
        await runner.cleanup()

    run(main())
