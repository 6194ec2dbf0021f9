"""Unix sockets: streams, datagrams, paths that are in use, abstract names."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio


@pytest.fixture
def path() -> Iterator[Path]:
    """A path for a socket, short enough for the kernel."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "socket"


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one line in capitals."""
    writer.write((await reader.readline()).upper())
    writer.close()
    await writer.wait_closed()


async def ask(where: str | Path) -> bytes:
    """Send one line and read the answer."""
    reader, writer = await asyncio.open_unix_connection(where)
    writer.write(b"hello\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.debug
def test_streams_talk_over_a_path(loop: Loop, path: Path) -> None:
    async def main() -> None:
        async with await asyncio.start_unix_server(upper, path):
            assert stat.S_ISSOCK(os.stat(path).st_mode)
            assert await asyncio.gather(*(ask(path) for _ in range(20))) == [b"HELLO\n"] * 20
        assert path.exists() == (sys.version_info < (3, 13))

    loop.run_until_complete(main())


def test_streams_talk_over_an_abstract_name(loop: Loop) -> None:
    name = f"\0maypole-test-{os.getpid()}"

    async def main() -> None:
        async with await asyncio.start_unix_server(upper, name):
            assert await ask(name) == b"HELLO\n"

    loop.run_until_complete(main())


def test_a_stale_socket_is_replaced(loop: Loop, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    async def main() -> None:
        async with await asyncio.start_unix_server(upper, path):
            assert await ask(path) == b"HELLO\n"

    loop.run_until_complete(main())


def test_datagrams_go_both_ways(loop: Loop, path: Path) -> None:
    class Inbox(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
            self.transport: Any = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.received.put_nowait((data, addr))

    async def main() -> None:
        other = f"{path}-other"
        server, inbox = await loop.create_datagram_endpoint(
            Inbox, local_addr=str(path), family=socket.AF_UNIX
        )
        client, answers = await loop.create_datagram_endpoint(
            Inbox,
            local_addr=other,
            remote_addr=str(path),
            family=socket.AF_UNIX,
        )
        client.sendto(b"question")
        assert await inbox.received.get() == (b"question", other)
        server.sendto(b"answer", other)
        assert await answers.received.get() == (b"answer", str(path))
        client.close()
        server.close()
        await asyncio.sleep(0.001)

    loop.run_until_complete(main())


Main = Callable[[Any, Path], Coroutine[Any, Any, Any]]


async def on_a_regular_file(loop: Any, path: Path) -> None:
    path.write_text("not a socket")
    await loop.create_unix_server(asyncio.Protocol, path)


async def in_use(loop: Any, path: Path) -> None:
    server = await loop.create_unix_server(asyncio.Protocol, path)
    path.unlink()
    path.mkdir()
    try:
        await loop.create_unix_server(asyncio.Protocol, path)
    finally:
        server.close()


async def with_a_tcp_socket(loop: Any, path: Path) -> None:
    with socket.socket() as sock:
        await loop.create_unix_connection(asyncio.Protocol, sock=sock)


BAD_CALLS: dict[str, Main] = {
    "nobody there": lambda loop, path: loop.create_unix_connection(asyncio.Protocol, path),
    "regular file": on_a_regular_file,
    "folder": in_use,
    "no folder": lambda loop, path: loop.create_unix_server(asyncio.Protocol, path / "deeper"),
    "too long": lambda loop, path: loop.create_unix_server(asyncio.Protocol, "x" * 200),
    "no path and no sock": lambda loop, path: loop.create_unix_server(asyncio.Protocol),
    "connect without path": lambda loop, path: loop.create_unix_connection(asyncio.Protocol),
    "path and sock": lambda loop, path: loop.create_unix_connection(asyncio.Protocol, path, sock=3),
    "tcp socket": with_a_tcp_socket,
    "hostname without ssl": lambda loop, path: loop.create_unix_connection(
        asyncio.Protocol, path, server_hostname="x"
    ),
    "ssl without hostname": lambda loop, path: loop.create_unix_connection(asyncio.Protocol, path, ssl=True),
}


@pytest.mark.parametrize("main", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, main: Main) -> None:
    def scenario(loop: Loop) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "socket"
            try:
                loop.run_until_complete(main(loop, path))
            except OSError as error:
                raise type(error)(error.errno, str(error).replace(folder, "FOLDER")) from None

    assert same_as_asyncio(scenario).error is not None
