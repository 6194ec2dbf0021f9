"""The context in which a protocol is called: what factory and methods see of each other's variables."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

from harness.kinds import Loop
from harness.outcome import SameAsAsyncio

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Recorder(asyncio.Protocol):
    """Notes what each call sees, and says who was called last."""

    def __init__(self, name: str, lost: asyncio.Future[None]) -> None:
        self.name, self.lost = name, lost
        self.seen: list[tuple[str, str]] = []
        self.note("factory")

    def note(self, method: str) -> None:
        self.seen.append((method, variable.get()))
        variable.set(f"{method} of {self.name}")

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("connection_made")

    def data_received(self, data: bytes) -> None:
        self.note("data_received")
        if data == b"ping":
            self.transport.write(b"pong")
        else:
            self.transport.write_eof()

    def eof_received(self) -> None:
        self.note("eof_received")

    def connection_lost(self, exc: Exception | None) -> None:
        self.note("connection_lost")
        self.lost.set_result(None)


def test_methods_see_the_variables_that_they_see_on_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> Any:
        servers: list[Recorder] = []
        lost: list[asyncio.Future[None]] = []

        def new(name: str) -> Recorder:
            lost.append(loop.create_future())
            return Recorder(name, lost[-1])

        def new_server() -> Recorder:
            servers.append(new("server"))
            return servers[-1]

        async def main() -> Any:
            variable.set("set by main")
            server = await loop.create_server(new_server, "127.0.0.1", 0)
            variable.set("set later")
            clients = []
            for number in range(2):
                variable.set(f"client {number}")
                transport, client = await loop.create_connection(
                    lambda: new("client"), *server.sockets[0].getsockname()
                )
                clients.append(client)
                variable.set("set after the connection")
                transport.write(b"ping")
                await asyncio.wait(lost)
            server.close()
            await server.wait_closed()
            return variable.get(), [client.seen for client in clients], [server.seen for server in servers]

        return loop.run_until_complete(main())

    same_as_asyncio(scenario)
