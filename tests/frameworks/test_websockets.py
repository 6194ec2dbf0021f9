"""The websockets library: server and client on the same loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

server_module: Any = pytest.importorskip("websockets.asyncio.server", reason="websockets is not installed")
client_module: Any = pytest.importorskip("websockets.asyncio.client", reason="websockets is not installed")


async def reverse(socket: Any) -> None:
    """Send every message back the other way round."""
    async for message in socket:
        await socket.send(message[::-1])


def test_many_clients_talk_at_once(run: Any) -> None:
    async def main() -> None:
        async with server_module.serve(reverse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]

            async def talk(number: int) -> None:
                async with client_module.connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
                    for text in (f"message {number}", "x" * 200_000 + str(number)):
                        await client.send(text)
                        assert await client.recv() == text[::-1]
                    await client.send([b"in ", b"three ", b"pieces"])
                    assert await client.recv() == b"seceip eerht ni"
                    await (await client.ping())

            await asyncio.gather(*(talk(number) for number in range(50)))

    run(main())


def test_closing_tells_code_and_reason(run: Any) -> None:
    async def hang_up(socket: Any) -> None:
        await socket.close(4000, "enough")

    async def main() -> None:
        async with server_module.serve(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with client_module.connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
                await client.wait_closed()
                assert (client.close_code, client.close_reason) == (4000, "enough")

    run(main())
