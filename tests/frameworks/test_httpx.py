"""httpx: its asynchronous client against a small server on the same loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

httpx: Any = pytest.importorskip("httpx", reason="httpx is not installed for this Python")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection: the path is the body; ``/slow`` has none."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            if path == b"/slow":
                await reader.read()  # until the client gives up
                return
            body = path * 100
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def test_a_hundred_requests_at_once(run: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = await asyncio.gather(
                *(client.get(f"http://127.0.0.1:{port}/page{number}") for number in range(100))
            )
        assert [reply.text for reply in answers] == [f"/page{number}" * 100 for number in range(100)]
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)  # before Python 3.12, wait_closed waits for no connection

    run(main())


def test_a_timeout_is_httpxs_own(run: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with httpx.AsyncClient(trust_env=False, timeout=0.05) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"http://127.0.0.1:{port}/slow")
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.get("http://127.0.0.1:9/")
        server.close()

    run(main())
