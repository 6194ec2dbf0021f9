"""TLS: certificates good and bad, SNI, ALPN, client certificates, start_tls, time limits."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio, outcome_of
from harness.tls import client_context, server_context

Main = Callable[[Loop], Coroutine[Any, Any, Any]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back, then close."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def tls_server(context: ssl.SSLContext, **arguments: Any) -> tuple[asyncio.Server, int]:
    """An echo server with TLS on a free port."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context, **arguments)
    return server, server.sockets[0].getsockname()[1]


async def close(writer: asyncio.StreamWriter, server: asyncio.Server) -> None:
    """Close both sides and let the closing be seen."""
    writer.close()
    try:
        await writer.wait_closed()
    except (ssl.SSLError, ConnectionError):
        pass
    server.close()
    await asyncio.sleep(0.01)


@pytest.mark.debug
def test_an_echo_comes_back_encrypted(loop: Loop) -> None:
    payload = bytes(range(256)) * 4096

    async def main() -> None:
        server, port = await tls_server(server_context())
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        writer.write(payload)
        assert await reader.readexactly(len(payload)) == payload
        ssl_object = writer.get_extra_info("ssl_object")
        assert isinstance(ssl_object, ssl.SSLObject)
        assert writer.get_extra_info("cipher") == ssl_object.cipher()
        assert dict(part[0] for part in writer.get_extra_info("peercert")["subject"]) == {
            "commonName": "server"
        }
        assert writer.get_extra_info("sslcontext").verify_mode == ssl.CERT_REQUIRED
        await close(writer, server)

    loop.run_until_complete(main())


def test_both_sides_agree_on_a_protocol(loop: Loop) -> None:
    async def main() -> None:
        server, port = await tls_server(server_context(alpn="h2 http/1.1"))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(alpn="http/1.1"))
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        await close(writer, server)

    loop.run_until_complete(main())


def test_the_server_sees_the_name_that_the_client_wants(loop: Loop) -> None:
    names: list[str] = []

    async def main() -> None:
        context = server_context()
        context.sni_callback = lambda ssl_object, name, ctx: names.append(name or "")
        server, port = await tls_server(context)
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(), server_hostname="localhost"
        )
        await close(writer, server)

    loop.run_until_complete(main())
    assert names == ["localhost"]


def test_client_certificates_are_asked_for_and_seen(loop: Loop) -> None:
    seen: list[Any] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert")["subject"])
        await echo(reader, writer)

    async def main() -> None:
        server = await asyncio.start_server(note, "127.0.0.1", 0, ssl=server_context(client_certificate=True))
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(certificate=True)
        )
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        await close(writer, server)

    loop.run_until_complete(main())
    assert seen == [((("commonName", "client"),),)]


def test_an_encrypted_key_is_used(loop: Loop) -> None:
    async def main() -> None:
        server, port = await tls_server(server_context("encrypted"))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        await close(writer, server)

    loop.run_until_complete(main())


async def connect_to(name: str, **arguments: Any) -> None:
    server, port = await tls_server(server_context(name))
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, **arguments)
        writer.close()
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def without_a_certificate(loop: Loop) -> None:
    server, port = await tls_server(server_context(client_certificate=True))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        try:
            await reader.read()
        finally:
            writer.close()
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def to_a_server_that_speaks_no_tls(loop: Loop) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1], ssl=client_context())
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def to_a_server_that_says_nothing(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        await asyncio.open_connection(
            "127.0.0.1", silent.getsockname()[1], ssl=client_context(), ssl_handshake_timeout=0.05
        )


async def to_a_server_that_hangs_up(loop: Loop) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    try:
        await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1], ssl=client_context())
    finally:
        server.close()
        await asyncio.sleep(0.01)


FAILURES: dict[str, Main] = {
    "expired": lambda loop: connect_to("expired", ssl=client_context()),
    "other host": lambda loop: connect_to("other-host", ssl=client_context()),
    "other name": lambda loop: connect_to(
        "server", ssl=client_context(), server_hostname="elsewhere.example"
    ),
    "unknown authority": lambda loop: connect_to("server", ssl=client_context(trusting=False)),
    "no client certificate": without_a_certificate,
    "no tls": to_a_server_that_speaks_no_tls,
    "silence": to_a_server_that_says_nothing,
    "hang-up": to_a_server_that_hangs_up,
}


@pytest.mark.parametrize("main", FAILURES.values(), ids=FAILURES.keys())
def test_failures_are_those_of_asyncio(same_as_asyncio: SameAsAsyncio, main: Main) -> None:
    def scenario(loop: Loop) -> tuple[type[BaseException] | None, str]:
        loop.set_exception_handler(
            lambda _, context: None
        )  # the server's side of the story comes at any time
        outcome = outcome_of(lambda: loop.run_until_complete(main(loop)))
        # Which record was being written when the peer went away is chance.
        text = "" if isinstance(outcome.error, type) and issubclass(outcome.error, OSError) else outcome.text
        return outcome.error, text

    same_as_asyncio(scenario)


@pytest.mark.debug
def test_a_plain_connection_becomes_a_tls_one_on_both_sides(loop: Loop) -> None:
    class Upgrade(asyncio.Protocol):
        def __init__(self, server_side: bool) -> None:
            self.server_side = server_side
            self.upgraded: asyncio.Future[Any] = loop.create_future()
            self.data = bytearray()
            self.lost = loop.create_future()
            self.transport: Any = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.data += data
            if self.server_side and bytes(self.data) == b"STARTTLS":
                self.data.clear()
                self.transport.write(b"OK")
                self.task = asyncio.ensure_future(self.upgrade())

        async def upgrade(self) -> None:
            context = server_context() if self.server_side else client_context()
            name = None if self.server_side else "localhost"
            transport = await loop.start_tls(
                self.transport, self, context, server_side=self.server_side, server_hostname=name
            )
            self.transport = transport
            self.upgraded.set_result(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            if not self.lost.done():
                self.lost.set_result(exc)

    async def main() -> None:
        accepted: list[Upgrade] = []

        def accept() -> Upgrade:
            accepted.append(Upgrade(True))
            return accepted[-1]

        server: Any = await loop.create_server(accept, "127.0.0.1", 0)
        plain, client = await loop.create_connection(lambda: Upgrade(False), *server.sockets[0].getsockname())
        plain.write(b"STARTTLS")
        while client.data != b"OK":
            await asyncio.sleep(0)
        client.data.clear()
        await client.upgrade()
        theirs = await accepted[0].upgraded
        client.transport.write(b"secret question")
        while accepted[0].data != b"secret question":
            await asyncio.sleep(0)
        theirs.write(b"secret answer")
        while client.data != b"secret answer":
            await asyncio.sleep(0)
        client.transport.close()
        await client.lost
        await accepted[0].lost
        server.close()

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="StreamWriter.start_tls is new in Python 3.11")
def test_streams_can_start_tls(loop: Loop) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"OK\n")
        await writer.drain()
        await writer.start_tls(server_context())
        await echo(reader, writer)

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"OK\n"
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"over TLS\n")
        assert await reader.readline() == b"over TLS\n"
        await close(writer, server)

    loop.run_until_complete(main())


BAD_CALLS: dict[str, Callable[[Any], Coroutine[Any, Any, Any]]] = {
    "no context": lambda loop: loop.start_tls(None, asyncio.Protocol(), None),
    "context of a wrong type": lambda loop: loop.start_tls(None, asyncio.Protocol(), True),
    "wrong transport": lambda loop: loop.start_tls(object(), asyncio.Protocol(), client_context()),
}


@pytest.mark.parametrize("main", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, main: Main) -> None:
    assert same_as_asyncio(lambda loop: loop.run_until_complete(main(loop))).error is not None
