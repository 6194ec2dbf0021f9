"""``open_connection`` and ``start_server``: connections from end to end, flow control, endings, failures."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import maypole
import pytest
from harness.kinds import Loop
from harness.tls import client_context, server_context

Handler = Callable[[Any, Any], Awaitable[None] | None]
BIG = 4 * 1024 * 1024


class Served:
    """A server for a test, and connections to it."""

    def __init__(self, api: Any, handler: Handler, **keywords: Any) -> None:
        self.api, self.handler, self.keywords = api, handler, keywords
        self.writers: list[Any] = []
        self.handlers: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Served:
        self.server = await self.api.start_server(self.handle, "127.0.0.1", 0, **self.keywords)
        return self

    def handle(self, reader: Any, writer: Any) -> Awaitable[None] | None:
        handling = self.handler(reader, writer)
        return self.note_end(handling) if handling is not None else None

    async def note_end(self, handling: Awaitable[None]) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.handlers.append(ended)
        try:
            await handling
        finally:
            ended.set_result(None)

    async def connect(self, **keywords: Any) -> tuple[Any, Any]:
        address = self.server.sockets[0].getsockname()
        reader, writer = await self.api.open_connection(*address, **keywords)
        self.writers.append(writer)
        return reader, writer

    async def __aexit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.close()
        for writer in self.writers:
            try:
                await writer.wait_closed()
            except OSError:
                pass
        await asyncio.gather(*self.handlers)
        self.server.close()
        await self.server.wait_closed()
        for _turn in range(3):
            await asyncio.sleep(0)


async def echo(reader: Any, writer: Any) -> None:
    """Send back what comes."""
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_what_is_written_comes_back(api: Any, run: Any) -> None:
    async def main() -> bytes:
        async with Served(api, echo) as served:
            reader, writer = await served.connect()
            writer.write(b"hello ")
            writer.writelines([b"wor", b"ld"])
            await writer.drain()
            writer.write_eof()
            return bytes(await reader.read())

    assert run(main()) == b"hello world"


def test_a_unix_socket_serves_too(api: Any, run: Any, tmp_path: Path) -> None:
    async def main() -> bytes:
        path = str(tmp_path / "socket")
        server = await api.start_unix_server(echo, path)
        reader, writer = await api.open_unix_connection(path)
        writer.write(b"hello")
        writer.write_eof()
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return bytes(data)

    assert run(main()) == b"hello"


def test_much_data_passes_unchanged(api: Any, run: Any) -> None:
    sent = bytes(range(256)) * (BIG // 256)

    async def main() -> bool:
        async with Served(api, echo) as served:
            reader, writer = await served.connect()

            async def send() -> None:
                for start in range(0, BIG, 100_000):
                    writer.write(sent[start : start + 100_000])
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.ensure_future(send())
            received = await reader.readexactly(BIG)
            await sending
            return bool(received == sent and await reader.read() == b"")

    assert run(main())


def test_connections_do_not_mix(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        async with Served(api, echo) as served:

            async def talk(number: int) -> bytes:
                reader, writer = await served.connect()
                heard = b""
                for part in range(5):
                    writer.write(f"{number}.{part}\n".encode())
                    heard += await reader.readline()
                return heard

            return await asyncio.gather(*(talk(number) for number in range(20)))

    assert run(main()) == [b"".join(f"{n}.{part}\n".encode() for part in range(5)) for n in range(20)]


def test_drain_waits_for_a_slow_reader(api: Any, run: Any) -> None:
    async def main() -> tuple[bool, int]:
        go = asyncio.Event()

        async def slow(reader: Any, writer: Any) -> None:
            await go.wait()
            total = 0
            while data := await reader.read(64 * 1024):
                total += len(data)
            writer.write(str(total).encode())
            writer.close()

        async with Served(api, slow) as served:
            reader, writer = await served.connect()
            writer.write(bytes(BIG * 4))
            drains = [asyncio.ensure_future(writer.drain()) for _ in range(3)]
            drains[1].cancel()
            await asyncio.sleep(0.02)
            waited = not drains[0].done()
            go.set()
            await asyncio.gather(*drains, return_exceptions=True)
            writer.write_eof()
            return waited and drains[1].cancelled(), int(await reader.read())

    assert run(main()) == (True, BIG * 4)


def test_drain_raises_when_the_connection_is_lost(api: Any, run: Any) -> None:
    async def main() -> None:
        async def hang_up(_: Any, writer: Any) -> None:
            writer.transport.abort()

        async with Served(api, hang_up) as served:
            reader, writer = await served.connect()
            with pytest.raises(ConnectionError):
                for _ in range(10_000):
                    writer.write(bytes(64 * 1024))
                    await writer.drain()
            assert reader.at_eof() or reader.exception() is not None

    run(main())


def test_drain_after_closing_raises_in_the_end(api: Any, run: Any) -> None:
    async def main() -> None:
        async with Served(api, echo) as served:
            _, writer = await served.connect()
            writer.close()
            assert writer.is_closing()
            with pytest.raises(ConnectionResetError, match="Connection lost"):
                for _ in range(10):
                    await writer.drain()

    run(main())


def test_drain_raises_what_reading_failed_with(api: Any, run: Any) -> None:
    async def main() -> None:
        async with Served(api, echo) as served:
            reader, writer = await served.connect()
            reader.set_exception(LookupError("failed"))
            with pytest.raises(LookupError, match="failed"):
                await writer.drain()

    run(main())


def test_drain_makes_nothing_below_the_mark(run: Any) -> None:
    async def main() -> int:
        async with Served(maypole, echo) as served:
            _, writer = await served.connect()

            async def drain(times: int) -> None:
                for _ in range(times):
                    await writer.drain()

            await drain(10)
            gc.collect()
            before = sys.getallocatedblocks()
            await drain(1000)
            return sys.getallocatedblocks() - before

    assert run(main()) < 100


def test_a_callback_may_be_a_plain_function(api: Any, run: Any) -> None:
    kept: list[Any] = []

    async def main() -> bytes:
        def greet(reader: Any, writer: Any) -> None:
            kept.append(writer)
            writer.write(b"hello")
            writer.close()

        async with Served(api, greet) as served:
            reader, _ = await served.connect()
            return bytes(await reader.read())

    assert run(main()) == b"hello"


@pytest.mark.leaks("logs")
def test_a_failure_of_the_handler_is_reported_and_ends_the_connection(
    api: Any, run: Any, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> bytes:
        async def fail(_: Any, writer: Any) -> None:
            raise LookupError("handler")

        async with Served(api, fail) as served:
            reader, _ = await served.connect()
            return bytes(await reader.read())

    with caplog.at_level(logging.ERROR, "asyncio"):
        assert run(main()) == b""
    assert [record.getMessage().splitlines()[0] for record in caplog.records] == [
        "Unhandled exception in client_connected_cb"
    ]


def test_reader_and_writer_are_those_of_asyncio_too(api: Any, run: Any) -> None:
    async def main() -> None:
        async with Served(api, echo) as served:
            reader, writer = await served.connect()
            assert type(reader) is api.StreamReader
            assert type(writer) is api.StreamWriter
            assert isinstance(writer._protocol, asyncio.StreamReaderProtocol)
            assert writer.transport is writer._transport
            assert writer.get_extra_info("peername") == served.server.sockets[0].getsockname()
            assert writer.can_write_eof()
            assert repr(writer).startswith("<StreamWriter transport=")
            assert isinstance(reader, asyncio.StreamReader)
            assert isinstance(writer, asyncio.StreamWriter)

    run(main())


def test_nothing_but_bytes_is_written(api: Any, run: Any) -> None:
    async def main() -> None:
        async with Served(api, echo) as served:
            _, writer = await served.connect()
            with pytest.raises(TypeError):
                writer.write("text")

    run(main())


def test_a_limit_holds_for_the_connection(api: Any, run: Any) -> None:
    async def main() -> None:
        async with Served(api, echo, limit=10) as served:
            reader, writer = await served.connect(limit=5)
            writer.write(b"123456789\n")
            with pytest.raises(asyncio.LimitOverrunError):
                await reader.readuntil()
            assert await reader.readexactly(10) == b"123456789\n"

    run(main())


def test_a_connection_becomes_secret(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        async def upgrade(reader: Any, writer: Any) -> None:
            writer.write(await reader.readline())
            await writer.drain()
            await writer.start_tls(server_context())
            writer.write(b"secret " + await reader.readline())
            await writer.drain()
            writer.close()

        async with Served(api, upgrade) as served:
            reader, writer = await served.connect()
            writer.write(b"plain\n")
            heard = [await reader.readline()]
            await writer.start_tls(client_context(), server_hostname="localhost")
            writer.write(b"hello\n")
            heard.append(await reader.readline())
            return heard

    assert run(main()) == [b"plain\n", b"secret hello\n"]


def test_tls_from_the_beginning(api: Any, run: Any) -> None:
    async def main() -> bytes:
        async with Served(api, echo, ssl=server_context()) as served:
            reader, writer = await served.connect(ssl=client_context(), server_hostname="localhost")
            writer.write(bytes(300_000))
            await writer.drain()
            return bytes(await reader.readexactly(300_000))

    assert run(main()) == bytes(300_000)


def test_a_writer_that_nobody_closes_is_warned_about(api: Any, run: Any) -> None:
    async def main() -> None:
        async with Served(api, echo) as served:
            reader, writer = await api.open_connection(*served.server.sockets[0].getsockname())
            with pytest.warns(ResourceWarning, match="unclosed <StreamWriter"):
                del reader, writer
                gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)

    run(main())


def test_a_connection_that_is_over_is_freed(api: Any, run: Any) -> None:
    async def main() -> list[object]:
        async with Served(api, echo) as served:
            reader, writer = await served.connect()
            writer.write(b"hello")
            await reader.readexactly(5)
            writer.close()
            await writer.wait_closed()
            gone = [weakref.ref(reader), weakref.ref(writer), weakref.ref(writer._protocol)]
            served.writers.clear()
            del reader, writer
            await asyncio.sleep(0)
            gc.collect()
            return [reference() for reference in gone]

    assert run(main()) == [None, None, None]


def test_streams_of_a_child_process(run: Any) -> None:
    async def main() -> bytes:
        program = (sys.executable, "-c", "print(input().upper())")
        child = await asyncio.create_subprocess_exec(*program, stdin=-1, stdout=-1)
        assert child.stdin is not None
        assert child.stdout is not None
        assert type(child.stdout) is maypole.StreamReader
        child.stdin.write(b"hello\n")
        await child.stdin.drain()
        line = await child.stdout.readline()
        child.stdin.close()
        await child.wait()
        return line

    maypole.install()
    try:
        assert run(main()) == b"HELLO\n"
    finally:
        maypole.uninstall()


def test_a_plain_callback_that_raises_is_reported_and_its_connection_closed() -> None:
    reported: list[dict[str, Any]] = []

    def fail(reader: Any, writer: Any) -> None:
        raise LookupError("no handler")

    async def main() -> bytes:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with await maypole.start_server(fail, "127.0.0.1", 0) as server:
            reader, writer = await maypole.open_connection(*server.sockets[0].getsockname())
            data = await reader.read()
            writer.close()
            await writer.wait_closed()
        return data

    assert maypole.run(main()) == b""
    assert [context["message"] for context in reported] == ["Unhandled exception in client_connected_cb"]
    assert isinstance(reported[0]["exception"], LookupError)
