"""Servers of every kind, each with its clients on the same loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from pathlib import Path

import protocols

CERTIFICATES = Path(__file__).resolve().parents[2] / "benches" / "scenarios" / "certificates"
HOST = "127.0.0.1"
CLIENTS, REQUESTS = 10, 30
SMALL, LARGE = b"a request of one line\n", b"x" * 20_000 + b"\n"


async def run() -> None:
    """Talk to all of them once."""
    loop = asyncio.get_running_loop()
    await converse(await asyncio.start_server(echo_lines, HOST, 0))
    await converse(await loop.create_server(protocols.Echo, HOST, 0))
    await converse(await loop.create_server(protocols.BufferedEcho, HOST, 0))
    to_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    to_server.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    to_client = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    to_client.check_hostname = False
    await converse(await loop.create_server(protocols.Echo, HOST, 0, ssl=to_server), to_client)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        async with await asyncio.start_unix_server(echo_lines, path):
            await requests(*await asyncio.open_unix_connection(path))
    await datagrams()
    await plain_sockets()


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection of a stream server."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def converse(server: asyncio.Server, tls: ssl.SSLContext | None = None) -> None:
    """Some clients at once, each with some requests; then the server is closed."""

    async def client() -> None:
        await requests(*await asyncio.open_connection(HOST, port, ssl=tls))

    async with server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())


async def requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client: small requests, and a large one now and then, read in several ways."""
    for number in range(REQUESTS):
        request = LARGE if number % 10 == 9 else SMALL
        writer.write(request)
        await writer.drain()
        if number % 3 == 0:
            assert await reader.readline() == request
        elif number % 3 == 1:
            assert await reader.readexactly(len(request)) == request
        else:
            left = len(request)
            while left:
                left -= len(await reader.read(left))
    writer.close()
    await writer.wait_closed()


async def datagrams() -> None:
    """A server of datagrams, and one client."""
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(protocols.DatagramEcho, (HOST, 0))
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    client, _ = await loop.create_datagram_endpoint(
        lambda: protocols.Collect(answers), remote_addr=server.get_extra_info("sockname")
    )
    for _ in range(CLIENTS * REQUESTS):
        client.sendto(SMALL)
        assert await answers.get() == SMALL
    client.close()
    server.close()


async def plain_sockets() -> None:
    """`sock_recv` and `sock_sendall`, both ends."""
    loop = asyncio.get_running_loop()
    with socket.create_server((HOST, 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        connecting = asyncio.create_task(loop.sock_connect(client, listener.getsockname()))
        server, _ = await loop.sock_accept(listener)
        await connecting
        with server:
            for _ in range(CLIENTS * REQUESTS):
                await loop.sock_sendall(client, SMALL)
                await loop.sock_sendall(server, await loop.sock_recv(server, 1024))
                assert await loop.sock_recv(client, 1024) == SMALL
