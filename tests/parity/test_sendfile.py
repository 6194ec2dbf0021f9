"""``loop.sendfile``: a file through a transport, by the kernel or by hand."""

from __future__ import annotations

import asyncio
import io
import socket
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio
from harness.tls import client_context, server_context

PAYLOAD = bytes(range(256)) * 4096


async def receive(
    loop: Loop, send: Callable[[asyncio.WriteTransport], Coroutine[Any, Any, int]], tls: bool = False
) -> tuple[bytes, int]:
    """Let a server send to one client; what arrived, and what the server says it has sent."""
    sent: asyncio.Future[int] = loop.create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            sent.set_result(await send(writer.transport))
        except Exception as error:
            sent.set_exception(error)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context() if tls else None)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address, ssl=client_context() if tls else None)
    data = await reader.read()
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.sleep(0.005)
    return data, await sent


@pytest.mark.parametrize("tls", [False, True])
def test_a_whole_file_arrives(loop: Loop, tls: bool) -> None:
    async def main() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(PAYLOAD)
            file.seek(0)
            data, sent = await receive(loop, lambda transport: loop.sendfile(transport, file), tls)
            assert (data, sent) == (PAYLOAD, len(PAYLOAD))
            assert file.tell() == len(PAYLOAD)

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_part_of_a_file_arrives_between_what_is_written(loop: Loop) -> None:
    async def main() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(PAYLOAD)
            file.flush()

            async def send(transport: asyncio.WriteTransport) -> int:
                transport.write(b"before ")
                count = await loop.sendfile(transport, file, 256, 100)
                transport.write(b" after")
                return count

            data, sent = await receive(loop, send)
            assert sent == 100
            assert data == b"before " + PAYLOAD[256:356] + b" after"

    loop.run_until_complete(main())


def test_what_is_no_file_is_sent_by_hand(loop: Loop) -> None:
    async def main() -> None:
        data, sent = await receive(loop, lambda transport: loop.sendfile(transport, io.BytesIO(PAYLOAD)))
        assert (data, sent) == (PAYLOAD, len(PAYLOAD))

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())


async def on_a_transport(loop: Any, file: Any, **arguments: Any) -> Any:
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    try:
        return await loop.sendfile(transport, file, **arguments)
    finally:
        transport.close()
        theirs.close()
        await asyncio.sleep(0)
        await loop.shutdown_default_executor()


async def on_a_closing_transport(loop: Any) -> Any:
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    transport.close()
    try:
        return await loop.sendfile(transport, io.BytesIO(b"x"))
    finally:
        theirs.close()
        await asyncio.sleep(0)


BAD_CALLS: dict[str, Callable[[Any], Coroutine[Any, Any, Any]]] = {
    "closing": on_a_closing_transport,
    "no fallback": lambda loop: on_a_transport(loop, io.BytesIO(b"x"), fallback=False),
    "text file": lambda loop: on_a_transport(loop, io.StringIO("x")),
    "negative count": lambda loop: on_a_transport(loop, io.BytesIO(b"x"), count=-1),
    "negative offset": lambda loop: on_a_transport(loop, io.BytesIO(b"x"), offset=-1),
    "text count": lambda loop: on_a_transport(loop, io.BytesIO(b"x"), count="1"),
    "no transport": lambda loop: loop.sendfile(None, io.BytesIO(b"x")),
}


@pytest.mark.parametrize("main", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_do_what_they_do_in_asyncio(
    same_as_asyncio: SameAsAsyncio, main: Callable[[Any], Coroutine[Any, Any, Any]]
) -> None:
    same_as_asyncio(lambda loop: loop.run_until_complete(main(loop)))
