"""Accepted connections: who they say they are, who owns their descriptor, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import socket
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.kinds import Loop


class Kept(asyncio.Protocol):
    """Keeps its transport, and what it was told."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.events: list[str] = []
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(data.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(f"lost {exc!r}")
        self.lost.set()


class Serving:
    """A server that keeps the protocols it made, and a connected client socket."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.made: list[Kept] = []

    def factory(self) -> Kept:
        self.made.append(Kept())
        return self.made[-1]

    async def begin(self, host: str = "127.0.0.1") -> tuple[Any, socket.socket]:
        server: Any = await self.loop.create_server(self.factory, host, 0)
        return server, await self.connect(server)

    async def connect(self, server: Any) -> socket.socket:
        known = len(self.made)
        listener = server.sockets[0]
        client = socket.create_connection(listener.getsockname()[:2])
        while len(self.made) == known or self.made[-1].transport is None:
            await asyncio.sleep(0.001)
        return client


def run(loop: Loop, main: Callable[[Serving], Any]) -> None:
    loop.run_until_complete(main(Serving(loop)))


@pytest.mark.debug
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_ends_are_named_during_and_after_the_connection(loop: Loop, host: str) -> None:
    async def main(serving: Serving) -> None:
        server, client = await serving.begin(host)
        (kept,) = serving.made
        names = {"peername": client.getsockname(), "sockname": client.getpeername()}
        for name, address in names.items():
            assert kept.transport.get_extra_info(name) == address
            assert kept.transport.get_extra_info(name=name, default=1) == address
        assert kept.transport.get_extra_info("nothing", "default") == "default"
        assert kept.transport.get_extra_info("nothing", default="default") == "default"
        assert kept.transport.get_extra_info("nothing") is None
        client.close()
        await kept.lost.wait()
        for name, address in names.items():
            assert kept.transport.get_extra_info(name) == address
        server.close()
        await server.wait_closed()

    run(loop, main)


def test_the_peer_is_known_when_it_has_gone_already(loop: Loop) -> None:
    async def main(serving: Serving) -> None:
        server = await loop.create_server(serving.factory, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        address = client.getsockname()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        while not serving.made:
            await asyncio.sleep(0.001)
        await serving.made[0].lost.wait()
        assert serving.made[0].transport.get_extra_info("peername") == address
        server.close()
        await server.wait_closed()

    run(loop, main)


def test_a_unix_connection_names_the_path_of_its_listener(loop: Loop) -> None:
    async def main(serving: Serving) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "socket")
            server = await loop.create_unix_server(serving.factory, path)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                while not serving.made or serving.made[0].transport is None:
                    await asyncio.sleep(0.001)
                transport = serving.made[0].transport
                assert transport.get_extra_info("sockname") == path
                assert transport.get_extra_info("peername") == ""
                assert transport.get_extra_info("socket").family == socket.AF_UNIX
            await serving.made[0].lost.wait()
            server.close()
            await server.wait_closed()

    run(loop, main)


@pytest.mark.debug
def test_the_socket_is_one_object_and_that_of_the_connection(loop: Loop) -> None:
    async def main(serving: Serving) -> None:
        server, client = await serving.begin()
        (kept,) = serving.made
        shared = kept.transport.get_extra_info("socket")
        assert shared is kept.transport.get_extra_info("socket")
        assert kept.transport._sock is kept.transport._sock
        assert shared.fileno() == kept.transport._sock.fileno()
        assert shared.getpeername() == client.getsockname()
        assert shared.gettimeout() == 0.0
        assert shared.type == socket.SOCK_STREAM
        assert shared.proto == server.sockets[0].proto
        assert shared.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert not os.get_inheritable(shared.fileno())
        sock = kept.transport._sock
        client.close()
        await kept.lost.wait()
        await asyncio.sleep(0)
        assert (sock.fileno(), shared.fileno(), kept.transport._sock) == (-1, -1, None)
        server.close()
        await server.wait_closed()

    run(loop, main)


@pytest.mark.parametrize("looked", [False, True], ids=["unseen", "seen"])
@pytest.mark.leaks("fds")
def test_a_dropped_transport_warns_and_closes_its_connection(loop: Loop, looked: bool) -> None:
    async def main(serving: Serving) -> None:
        server, client = await serving.begin()
        (kept,) = serving.made
        await asyncio.sleep(0.01)
        kept.transport.pause_reading()  # the loop no longer holds it
        if looked:
            assert kept.transport._sock is not None
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            kept.transport = None
            gc.collect()
        assert {record.category for record in seen} == {ResourceWarning}
        assert any("unclosed transport" in str(record.message) for record in seen)
        client.settimeout(5)
        assert client.recv(1) == b"", "the descriptor was closed"
        client.close()
        server.close()
        if sys.version_info >= (3, 13):  # before, asyncio's server is not told
            await asyncio.wait_for(server.wait_closed(), 5)

    run(loop, main)


def test_the_table_of_transports_keeps_none_alive(loop: Loop) -> None:
    async def main(serving: Serving) -> None:
        server, client = await serving.begin()
        (kept,) = serving.made
        transports: Any = loop._transports  # type: ignore[attr-defined]
        fd = kept.transport._sock_fd
        assert transports[fd] is kept.transport
        assert transports.get(fd) is kept.transport
        assert fd in transports
        assert list(transports.values()).count(kept.transport) == 1
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop.add_reader(fd, print)
        del transports[fd]
        assert fd not in transports
        transports[fd] = kept.transport
        assert dict(transports)[fd] is kept.transport
        client.close()
        await kept.lost.wait()
        kept.transport = None
        gc.collect()
        assert transports.get(fd) is None
        with pytest.raises(KeyError):
            transports[fd]
        server.close()
        await server.wait_closed()

    run(loop, main)


def test_a_transport_takes_attributes_and_weak_references(loop: Loop) -> None:
    async def main(serving: Serving) -> None:
        server, client = await serving.begin()
        (kept,) = serving.made
        reference: weakref.ref[Any] = weakref.ref(kept.transport)
        kept.transport.mark = "mine"
        assert vars(kept.transport)["mark"] == "mine"
        client.close()
        await kept.lost.wait()
        assert getattr(reference(), "mark", None) == "mine"
        kept.transport = None
        gc.collect()
        assert reference() is None
        server.close()
        await server.wait_closed()

    run(loop, main)


class Broken(Exception):
    """What a factory or a protocol of these tests raises."""


def test_a_connection_whose_factory_raises_is_closed(loop: Loop) -> None:
    def raising() -> asyncio.Protocol:
        raise Broken

    # In debug mode the connection is logged, and pytest keeps the record and with it the connection.
    loop.set_debug(False)

    async def main() -> None:
        server = await loop.create_server(raising, "127.0.0.1", 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.setblocking(False)
                assert await loop.sock_recv(client, 1) == b""
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


@pytest.mark.leaks("fds")
# asyncio's transports of a closed server end with an error in their destructors.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_factory_may_close_the_server_and_open_another(loop: Loop) -> None:
    async def main(serving: Serving) -> None:
        listeners: list[socket.socket] = []

        def replacing() -> asyncio.Protocol:
            if not listeners:
                first.close()
                # Very likely it gets the number of the descriptor that was just closed.
                listeners.append(socket.create_server(("127.0.0.1", 0)))
                listeners[0].setblocking(False)
                strangers.append(socket.create_connection(listeners[0].getsockname()))
            return serving.factory()

        strangers: list[socket.socket] = []
        first: Any = await loop.create_server(replacing, "127.0.0.1", 0)
        address = first.sockets[0].getsockname()
        clients = [socket.create_connection(address) for _ in range(3)]
        while not strangers:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        stranger, _ = listeners[0].accept()
        assert stranger.getpeername() == strangers[0].getsockname(), "nobody else has accepted it"
        for sock in [*clients, *strangers, *listeners, stranger]:
            sock.close()
        for kept in serving.made:
            if kept.transport is not None:
                kept.transport.abort()
                await kept.lost.wait()

    # asyncio goes on accepting at the closed socket, and says that this failed.
    loop.set_exception_handler(lambda loop, context: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        run(loop, main)
        gc.collect()


@pytest.mark.parametrize("method", ["connection_made", "data_received", "connection_lost"])
def test_what_a_protocol_raises_is_reported_and_closes_the_descriptor(loop: Loop, method: str) -> None:
    reports: list[Any] = []

    def raising(*args: object) -> None:
        raise Broken

    async def main(serving: Serving) -> None:
        def factory() -> Kept:
            kept = serving.factory()
            setattr(kept, method, raising)
            return kept

        server = await loop.create_server(factory, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        client.setblocking(False)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(loop.sock_recv(client, 1), 5) == b""
        client.close()
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)

    loop.set_exception_handler(lambda loop, context: reports.append(context["exception"]))
    run(loop, main)
    assert [type(report) for report in reports] == [Broken]


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[], None]]:
    """A function that leaves the process room for no further descriptor."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def exhaust() -> None:
        probe = os.dup(0)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, before[1]))

    yield exhaust
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_out_of_descriptors_the_server_tells_and_tries_again(
    loop: Loop, few_descriptors: Callable[[], None]
) -> None:
    reports: list[dict[str, Any]] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main(serving: Serving) -> None:
        server = await loop.create_server(serving.factory, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        few_descriptors()
        while not reports:
            await asyncio.sleep(0.001)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert not serving.made
        while not serving.made or serving.made[0].transport is None:
            await asyncio.sleep(0.01)
        client.close()
        await serving.made[0].lost.wait()
        server.close()
        await server.wait_closed()

    loop.set_exception_handler(lambda loop, context: reports.append(context))
    run(loop, main)
    (report, *_) = reports
    assert report["message"] == "socket.accept() out of system resource"
    assert report["exception"].errno == errno.EMFILE
    assert report["socket"].fileno() == -1, "the server is closed by now"
