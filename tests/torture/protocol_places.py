"""The methods of protocols, and their factories, as places of misconduct."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from typing import Any

from torture.misconduct import Case
from torture.places import PLACES, place, settle

__all__ = ["PLACES"]

PIECE = b"x" * 100_000


class Watched(asyncio.Protocol):
    """Calls `Case.misbehave` in one of its methods, and notes the end."""

    def __init__(self, case: Case, method: str) -> None:
        self.case = case
        self.method = method

    def visit(self, method: str) -> None:
        if method == self.method:
            self.case.misbehave(method)

    def connection_made(self, transport: Any) -> None:
        self.case.transport = transport
        self.visit("connection_made")

    def data_received(self, data: bytes) -> None:
        self.visit("data_received")

    def eof_received(self) -> bool:
        self.visit("eof_received")
        return False

    def pause_writing(self) -> None:
        self.visit("pause_writing")

    def resume_writing(self) -> None:
        self.visit("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.case.seen.append(f"lost: {exc!r}")
        self.visit("connection_lost")


class WatchedBuffer(Watched, asyncio.BufferedProtocol):
    """The same with a buffer of its own."""

    def get_buffer(self, sizehint: int) -> bytearray:
        self.buffer = bytearray(1000)
        self.visit("get_buffer")
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.visit("buffer_updated")


async def converse(case: Case, protocol: Any) -> None:
    """Send to the protocol, let it write more than fits, read that, and end."""
    here, there = socket.socketpair()
    there.setblocking(False)
    with there:
        await case.loop.create_connection(lambda: protocol, sock=here)
        try:
            await settle()
            there.send(b"hello")
            await settle()
            for _ in range(8):
                case.transport.write(PIECE)
            await settle()
            await take(case, there, 8 * len(PIECE))
            with contextlib.suppress(OSError):
                there.shutdown(socket.SHUT_WR)
            await settle()
        finally:
            if case.transport is not None:
                case.transport.abort()
        await settle()


async def take(case: Case, peer: socket.socket, size: int) -> None:
    """Receive so many bytes, unless the connection ends before."""
    received = 0
    with contextlib.suppress(OSError):
        while received < size:
            data = await asyncio.wait_for(case.loop.sock_recv(peer, 1 << 20), 0.02)
            if not data:
                return
            received += len(data)


def add_stream_places() -> None:
    """One scenario for each method of stream protocols."""
    plain = ("connection_made", "data_received", "eof_received", "pause_writing", "resume_writing")
    for method in (*plain, "connection_lost"):

        async def stream(case: Case, method: str = method) -> None:
            await converse(case, Watched(case, method))

        stream.__name__ = f"protocol_{method}"
        place(stream)
    for method in ("get_buffer", "buffer_updated"):

        async def buffered(case: Case, method: str = method) -> None:
            await converse(case, WatchedBuffer(case, method))

        buffered.__name__ = f"protocol_{method}"
        place(buffered)


add_stream_places()


@place
async def client_factory(case: Case) -> None:
    def factory() -> asyncio.Protocol:
        case.misbehave("factory")
        return Watched(case, "")

    here, there = socket.socketpair()
    with there:
        try:
            await case.loop.create_connection(factory, sock=here)
        except BaseException:
            here.close()
            raise
        await settle()
        case.transport.close()
        await settle()


@place
async def server_factory(case: Case) -> None:
    def factory() -> asyncio.Protocol:
        case.misbehave("factory")
        return Watched(case, "")

    server = await case.loop.create_server(factory, "127.0.0.1", 0)
    try:
        for _ in range(2):
            with socket.socket() as client:
                client.setblocking(False)
                await case.loop.sock_connect(client, server.sockets[0].getsockname())
                await asyncio.sleep(0.005)
        await settle()
    finally:
        server.close()


class WatchedDatagrams(asyncio.DatagramProtocol):
    """The same for datagrams."""

    def __init__(self, case: Case, method: str) -> None:
        self.case = case
        self.method = method

    def connection_made(self, transport: Any) -> None:
        self.case.transport = transport
        if self.method == "connection_made":
            self.case.misbehave(self.method)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self.method == "datagram_received":
            self.case.misbehave(self.method)

    def error_received(self, exc: Exception) -> None:
        if self.method == "error_received":
            self.case.misbehave(self.method)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.case.seen.append(f"lost: {exc!r}")
        if self.method == "connection_lost":
            self.case.misbehave(self.method)


def add_datagram_places() -> None:
    """One scenario for each method of datagram protocols."""
    for method in ("connection_made", "datagram_received", "error_received", "connection_lost"):

        async def datagram(case: Case, method: str = method) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(("127.0.0.1", 0))
                address = peer.getsockname()
                await case.loop.create_datagram_endpoint(
                    lambda: WatchedDatagrams(case, method), ("127.0.0.1", 0), remote_addr=address
                )
                await settle()
                if case.transport.get_extra_info("sockname"):
                    with contextlib.suppress(OSError):
                        peer.sendto(b"hello", case.transport.get_extra_info("sockname"))
                await settle()
            case.transport.sendto(b"to nobody")  # the kernel answers that the port is closed
            await settle()
            case.transport.sendto(b"to nobody")
            await settle()
            case.transport.close()
            await settle()

        datagram.__name__ = f"datagram_{method}"
        place(datagram)


add_datagram_places()


class WatchedChild(asyncio.SubprocessProtocol):
    """The same for child processes."""

    def __init__(self, case: Case, method: str) -> None:
        self.case = case
        self.method = method
        self.lost = asyncio.get_running_loop().create_future()

    def visit(self, method: str) -> None:
        if method == self.method:
            self.case.misbehave(method)

    def connection_made(self, transport: Any) -> None:
        self.visit("connection_made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.visit("pipe_data_received")

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.visit("pipe_connection_lost")

    def process_exited(self) -> None:
        self.visit("process_exited")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        self.visit("connection_lost")


async def until_it_has_ended(pid: int) -> None:
    """Wait for the end of a child by other means than the loop's: a loaded machine takes its time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        while not select.select([descriptor], [], [], 0)[0]:
            await asyncio.sleep(0.005)
    finally:
        os.close(descriptor)


def add_child_places() -> None:
    """One scenario for each method of subprocess protocols."""
    for method in (
        "connection_made",
        "pipe_data_received",
        "pipe_connection_lost",
        "process_exited",
        "connection_lost",
    ):

        async def child(case: Case, method: str = method) -> None:
            transport, protocol = await case.loop.subprocess_exec(
                lambda: WatchedChild(case, method), "echo", "hello", stdin=None, stderr=None
            )
            try:
                await until_it_has_ended(transport.get_pid())
                await asyncio.wait_for(protocol.lost, 0.15)
            except TimeoutError:
                case.seen.append("never lost")
            finally:
                transport.close()
            await settle()

        child.__name__ = f"child_{method}"
        place(child)


add_child_places()


@place
async def data_under_tls(case: Case) -> None:
    from harness.tls import client_context, server_context

    protocol = Watched(case, "data_received")
    server = await case.loop.create_server(lambda: protocol, "127.0.0.1", 0, ssl=server_context())
    try:
        host, port = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(
            host, port, ssl=client_context(), server_hostname="localhost"
        )
        try:
            writer.write(b"hello")
            await asyncio.sleep(0.02)
        finally:
            writer.transport.abort()
            if case.transport is not None:
                case.transport.abort()
        await settle()
    finally:
        server.close()
