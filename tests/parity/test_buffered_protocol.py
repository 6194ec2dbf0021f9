"""Protocols with a buffer of their own, also where one event brings more than the buffer holds."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from harness.kinds import Loop

SIZE = 8
DATA = bytes(range(10 * SIZE))


class Buffered(asyncio.BufferedProtocol):
    """Keeps what it receives, `SIZE` bytes at a time."""

    def __init__(self, loop: Loop) -> None:
        self.buffer = bytearray(SIZE)
        self.data = bytearray()
        self.events: list[str] = []
        self.lost: asyncio.Future[Exception | None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.events.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def connect(loop: Loop, protocol: Buffered) -> socket.socket:
    """The protocol's peer, which has already sent `DATA`."""
    ours, theirs = socket.socketpair()
    theirs.sendall(DATA)
    await loop.create_connection(lambda: protocol, sock=ours)
    return theirs


async def some_turns() -> None:
    """Long enough for all that has arrived to be read."""
    for _ in range(10):
        await asyncio.sleep(0.001)


def test_data_arrives_in_the_protocols_own_buffer(loop: Loop) -> None:
    async def main() -> None:
        protocol = Buffered(loop)
        theirs = await connect(loop, protocol)
        theirs.close()
        assert await protocol.lost is None
        assert protocol.data == DATA
        assert protocol.events == ["eof"]

    loop.run_until_complete(main())


def test_nothing_is_told_after_a_pause(loop: Loop) -> None:
    class Pausing(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.pause_reading()

    async def main() -> None:
        protocol = Pausing(loop)
        theirs = await connect(loop, protocol)
        for received in range(1, 4):
            await some_turns()
            assert protocol.data == DATA[: received * SIZE]
            protocol.transport.resume_reading()
        protocol.transport.abort()
        assert await protocol.lost is None
        theirs.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("method", ["close", "abort"])
def test_nothing_is_told_after_the_end(loop: Loop, method: str) -> None:
    class Closing(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            getattr(self.transport, method)()

    async def main() -> None:
        protocol = Closing(loop)
        theirs = await connect(loop, protocol)
        assert await protocol.lost is None
        assert protocol.data == DATA[:SIZE]
        assert protocol.events == []
        theirs.close()

    loop.run_until_complete(main())


def test_another_protocol_gets_the_rest(loop: Loop) -> None:
    class Rest(asyncio.Protocol):
        def __init__(self) -> None:
            self.data = bytearray()
            self.lost: asyncio.Future[Exception | None] = loop.create_future()

        def data_received(self, data: bytes) -> None:
            self.data += data

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    rest: list[Rest] = []

    class Handing(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            rest.append(Rest())
            self.transport.set_protocol(rest[0])

    async def main() -> None:
        protocol = Handing(loop)
        theirs = await connect(loop, protocol)
        theirs.close()
        while not rest:
            await asyncio.sleep(0)
        assert await rest[0].lost is None
        assert protocol.data + rest[0].data == DATA
        assert len(protocol.data) == SIZE

    loop.run_until_complete(main())


@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated"])
def test_an_error_in_the_second_call_ends_the_connection_once(loop: Loop, method: str) -> None:
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))

    class Failing(Buffered):
        calls = 0

        def count(self, name: str) -> None:
            if name == method:
                self.calls += 1
                if self.calls == 2:
                    raise ValueError(name)

        def get_buffer(self, sizehint: int) -> bytearray:
            self.count("get_buffer")
            return super().get_buffer(sizehint)

        def buffer_updated(self, nbytes: int) -> None:
            self.count("buffer_updated")
            super().buffer_updated(nbytes)

    async def main() -> None:
        protocol = Failing(loop)
        theirs = await connect(loop, protocol)
        assert isinstance(await protocol.lost, ValueError)
        assert protocol.data == DATA[:SIZE]
        assert protocol.calls == 2
        theirs.close()

    loop.run_until_complete(main())
    assert [context["message"] for context in contexts] == [f"Fatal error: protocol.{method}() call failed."]


def test_a_sender_without_end_lets_others_run(loop: Loop) -> None:
    class Asking(Buffered):
        received_before_others: int | None = None

        def buffer_updated(self, nbytes: int) -> None:
            if not self.data:
                loop.call_soon(self.others)
            super().buffer_updated(nbytes)

        def others(self) -> None:
            self.received_before_others = len(self.data)

    async def main() -> None:
        protocol = Asking(loop)
        theirs = await connect(loop, protocol)
        theirs.sendall(DATA * 20)
        theirs.close()
        assert await protocol.lost is None
        assert protocol.data == DATA * 21
        assert protocol.received_before_others is not None
        assert protocol.received_before_others < len(DATA) * 10

    loop.run_until_complete(main())
