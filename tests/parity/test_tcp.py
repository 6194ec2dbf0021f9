"""TCP: connections, servers, flow control, half-closing, streams."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio

Main = Callable[[Loop], Coroutine[Any, Any, Any]]


class Recorder(asyncio.Protocol):
    """Keeps what happens to a connection, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.events[-1] != "data":
            self.events.append("data")
        self.data += data

    def eof_received(self) -> bool | None:
        self.events.append("eof")
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(f"lost {exc!r}")
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


class Echo(Recorder):
    """Sends back what it gets."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


async def serve(loop: Loop, factory: Callable[[], asyncio.BaseProtocol]) -> tuple[Any, tuple[str, int]]:
    """A server on a free loopback port, and its address."""
    server: Any = await loop.create_server(factory, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()


@pytest.mark.debug
def test_an_echo_comes_back(loop: Loop) -> None:
    payload = bytes(range(256)) * 4096

    async def main() -> None:
        server, address = await serve(loop, Echo)
        transport, client = await loop.create_connection(Recorder, *address)
        transport.write(payload)
        while len(client.data) < len(payload):
            await asyncio.sleep(0.001)
        transport.close()
        await client.lost
        assert bytes(client.data) == payload
        assert client.events[0] == "made"
        assert client.events[-1] == "lost None"
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.005)

    loop.run_until_complete(main())


def test_streams_read_lines_and_eof(loop: Loop) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.writelines([b"one\n", b"two\n", b"three"])
            writer.write_eof()
            assert await reader.readline() == b"ONE\n"
            assert await reader.readuntil(b"\n") == b"TWO\n"
            assert await reader.read() == b"THREE"
            assert reader.at_eof()
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.005)

    loop.run_until_complete(main())


def test_half_closing_leaves_the_other_direction_open(loop: Loop) -> None:
    class Late(Recorder):
        def eof_received(self) -> bool:
            super().eof_received()
            self.transport.write(b"after eof")
            self.transport.close()
            return True

    async def main() -> None:
        server, address = await serve(loop, Late)
        transport, client = await loop.create_connection(Recorder, *address)
        transport.write(b"question")
        assert transport.can_write_eof()
        transport.write_eof()
        await client.lost
        assert bytes(client.data) == b"after eof"
        assert client.events == ["made", "data", "eof", "lost None"]
        server.close()

    loop.run_until_complete(main())


def test_a_full_buffer_pauses_and_an_empty_one_resumes_the_writer(loop: Loop) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        transport.set_write_buffer_limits(high=1000, low=100)
        assert transport.get_write_buffer_limits() == (100, 1000)
        transport.write(b"x" * 4_000_000)
        assert protocol.events == ["made", "pause"]
        assert transport.get_write_buffer_size() > 1000
        received = 0
        while received < 4_000_000:
            received += len(await loop.sock_recv(theirs, 1 << 20))
        while protocol.events[-1] != "resume":
            await asyncio.sleep(0)
        assert protocol.events == ["made", "pause", "resume"]
        assert transport.get_write_buffer_size() == 0
        transport.close()
        await protocol.lost
        theirs.close()

    loop.run_until_complete(main())


def test_reading_can_be_paused(loop: Loop) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        theirs.send(b"early")
        await asyncio.sleep(0.005)
        assert protocol.data == b""
        transport.resume_reading()
        while not protocol.data:
            await asyncio.sleep(0)
        assert protocol.data == b"early"
        transport.close()
        await protocol.lost
        theirs.close()

    loop.run_until_complete(main())


def test_a_buffer_changed_after_write_is_sent_as_it_was(loop: Loop) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        buffer = bytearray(1000)
        for number in range(20):
            buffer[:] = bytes([number]) * len(buffer)
            transport.write(buffer)
        buffer[:] = b"\xff" * len(buffer)
        received = bytearray()
        while len(received) < 20_000:
            received += await loop.sock_recv(theirs, 1 << 20)
        assert received == b"".join(bytes([number]) * 1000 for number in range(20))
        transport.close()
        await protocol.lost
        theirs.close()

    loop.run_until_complete(main())


def test_write_after_close_is_silent(loop: Loop) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        transport.close()
        transport.write(b"ignored")
        assert transport.is_closing()
        await protocol.lost
        transport.write(b"ignored")
        transport.close()
        transport.abort()
        theirs.close()
        assert protocol.events == ["made", "lost None"]

    loop.run_until_complete(main())


@pytest.mark.parametrize("delay", [0, 0.01])
@pytest.mark.parametrize("pieces", [1, 32, 500])
def test_close_sends_everything_first(loop: Loop, pieces: int, delay: float) -> None:
    size = 4_000_000 // pieces

    async def main() -> None:
        server = socket.create_server(("127.0.0.1", 0))
        transport, protocol = await loop.create_connection(Recorder, *server.getsockname())
        peer, _ = server.accept()
        peer.setblocking(False)
        for number in range(pieces):
            transport.write(bytes([number % 256]) * size)
            if number == pieces // 2:
                await asyncio.sleep(delay)
        transport.close()
        await asyncio.sleep(delay)
        received = bytearray()
        while data := await loop.sock_recv(peer, 100_000):
            received += data
        assert received == b"".join(bytes([number % 256]) * size for number in range(pieces))
        await protocol.lost
        assert protocol.events[-1] == "lost None"
        peer.close()
        server.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("when", ["at once", "when writing is resumed"])
def test_a_write_after_close_is_still_sent_while_the_buffer_is_not_empty(loop: Loop, when: str) -> None:
    """asyncio's TLS relies on it: its last record may be written when the transport is closing already."""

    class LastWord(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            if when != "at once":
                self.transport.write(b" and the last word")

    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, protocol = await loop.create_connection(LastWord, sock=ours)
        transport.write(b"x" * 4_000_000)
        transport.close()
        if when == "at once":
            transport.write(b" and the last word")
        received = bytearray()
        while data := await loop.sock_recv(theirs, 100_000):
            received += data
        assert received == b"x" * 4_000_000 + b" and the last word"
        await protocol.lost
        assert protocol.events == ["made", "pause", "resume", "lost None"]
        theirs.close()

    loop.run_until_complete(main())


def test_a_paused_writer_is_resumed_before_it_is_told_that_the_connection_is_lost(loop: Loop) -> None:
    """Also when the socket takes the whole rest at the moment of close."""

    class LastWord(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            self.transport.write(b" and the last word")

    def drain(sock: socket.socket) -> bytes:
        received = bytearray()
        try:
            while data := sock.recv(1 << 20):
                received += data
        except BlockingIOError:
            pass
        return bytes(received)

    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, protocol = await loop.create_connection(LastWord, sock=ours)
        capacity = 0
        while not capacity:  # fill the socket, find out how much it takes
            transport.write(b"x" * 4_000_000)
            capacity = 4_000_000 - transport.get_write_buffer_size()
        received = bytearray()
        while transport.get_write_buffer_size() > capacity // 2:
            received += drain(theirs)
            await asyncio.sleep(0)
        assert protocol.events == ["made", "pause"]
        received += drain(theirs)
        transport.close()  # the socket has room for all that is left
        while data := await loop.sock_recv(theirs, 1 << 20):
            received += data
        await protocol.lost
        assert protocol.events == ["made", "pause", "resume", "lost None"]
        assert received == b"x" * 4_000_000 + b" and the last word"
        theirs.close()

    loop.run_until_complete(main())


def test_abort_drops_what_was_not_sent(loop: Loop) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        transport.write(b"x" * 4_000_000)
        transport.abort()
        await protocol.lost
        assert protocol.events[-1] == "lost None"
        theirs.close()

    loop.run_until_complete(main())


def test_a_reset_peer_ends_the_connection_with_its_error(loop: Loop) -> None:
    async def main() -> None:
        server, address = await serve(loop, Recorder)
        transport, protocol = await loop.create_connection(Recorder, *address)
        await asyncio.sleep(0.005)
        peer = socket.socket()
        peer.setblocking(False)
        transport.close()
        await protocol.lost
        accepted: list[Recorder] = []

        def accept() -> Recorder:
            accepted.append(Recorder())
            return accepted[-1]

        other, _ = await serve(loop, accept)
        await loop.sock_connect(peer, other.sockets[0].getsockname())
        while not accepted or not accepted[0].transport:
            await asyncio.sleep(0)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        peer.close()
        await accepted[0].lost
        assert accepted[0].events[-1].startswith("lost ConnectionResetError")
        server.close()
        other.close()

    loop.run_until_complete(main())


def test_extra_info_names_socket_and_addresses(loop: Loop) -> None:
    async def main() -> None:
        server, address = await serve(loop, Echo)
        transport, protocol = await loop.create_connection(Recorder, *address)
        assert isinstance(transport, asyncio.Transport)
        assert transport.get_extra_info("peername") == address
        sock = transport.get_extra_info("socket")
        assert sock.getsockname() == transport.get_extra_info("sockname")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert transport.get_extra_info("nothing", "default") == "default"
        assert transport.get_protocol() is protocol
        transport.close()
        await protocol.lost
        server.close()
        await asyncio.sleep(0.005)

    loop.run_until_complete(main())


@pytest.mark.debug
@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)  # asyncio does not close what it accepted
def test_a_factory_that_raises_does_not_end_the_server(loop: Loop) -> None:
    reported: list[str] = []
    loop.set_exception_handler(lambda _, context: reported.append(repr(context.get("exception"))))
    calls = [0]

    def factory() -> asyncio.Protocol:
        calls[0] += 1
        if calls[0] == 1:
            raise ZeroDivisionError("in the factory")
        return Echo()

    async def main() -> None:
        server, address = await serve(loop, factory)
        socket.create_connection(address).close()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"alive")
        assert await reader.readexactly(5) == b"alive"
        writer.close()
        await writer.wait_closed()
        server.close()
        await asyncio.sleep(0.005)

    loop.run_until_complete(main())
    # asyncio reports it in debug mode only.
    assert reported == ["ZeroDivisionError('in the factory')"] * loop.get_debug()
    gc.collect()


async def connect_nowhere(loop: Loop) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    try:
        await loop.create_connection(asyncio.Protocol, *address)
    except OSError as error:
        raise type(error)(str(error).replace(str(address[1]), "PORT")) from None


async def bind_twice(loop: Loop) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            await loop.create_server(asyncio.Protocol, *server.getsockname())
        except OSError as error:
            raise type(error)(error.errno, str(error).replace(str(server.getsockname()[1]), "PORT")) from None


async def with_sock(loop: Loop, **arguments: Any) -> Any:
    ours, theirs = socket.socketpair()
    try:
        await loop.create_connection(asyncio.Protocol, sock=ours, **arguments)
    finally:
        ours.close()
        theirs.close()


async def udp_socket_for_tcp(loop: Loop) -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await loop.create_connection(asyncio.Protocol, sock=sock)


def untyped(loop: Loop) -> Any:
    """The loop, for calls that a type checker would refuse."""
    return loop


BAD_CALLS: dict[str, Main] = {
    "refused": connect_nowhere,
    "address in use": bind_twice,
    "no host and no sock": lambda loop: untyped(loop).create_connection(asyncio.Protocol),
    "host and sock": lambda loop: with_sock(loop, host="127.0.0.1", port=1),
    "server_hostname without ssl": lambda loop: untyped(loop).create_connection(
        asyncio.Protocol, "127.0.0.1", 1, server_hostname="x"
    ),
    "ssl timeout without ssl": lambda loop: untyped(loop).create_connection(
        asyncio.Protocol, "127.0.0.1", 1, ssl_handshake_timeout=1
    ),
    "ssl without a host": lambda loop: with_sock(loop, ssl=True),
    "datagram socket": udp_socket_for_tcp,
    "server without host and sock": lambda loop: untyped(loop).create_server(asyncio.Protocol),
    "server with a wrong ssl": lambda loop: untyped(loop).create_server(
        asyncio.Protocol, "127.0.0.1", 0, ssl=True
    ),
    "server with a text port": lambda loop: untyped(loop).create_server(asyncio.Protocol, "127.0.0.1", "x"),
    "unknown host": lambda loop: loop.create_connection(asyncio.Protocol, "name.invalid", 1),
}


@pytest.mark.parametrize("main", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, main: Main) -> None:
    def scenario(loop: Loop) -> None:
        async def run() -> None:
            try:
                await main(loop)
            finally:
                await loop.shutdown_default_executor()

        loop.run_until_complete(run())

    assert same_as_asyncio(scenario).error is not None


@pytest.mark.parametrize("method", ["write", "writelines"])
def test_writing_after_the_end_is_refused(loop: Loop, method: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=ours))
        transport.write_eof()
        # Before Python 3.12 writelines() is a write() of the lines joined.
        name = method if sys.version_info >= (3, 12) else "write"
        with pytest.raises(RuntimeError, match=rf"^Cannot call {name}\(\) after write_eof\(\)$"):
            getattr(transport, method)([b"x"] if method == "writelines" else b"x")
        transport.abort()
        run_once(loop)
