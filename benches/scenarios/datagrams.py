"""UDP echo, by datagram protocol and by sock_recvfrom."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from measuring.scenario import Load, Tier, scenario

from scenarios.echo import host_and_port

if TYPE_CHECKING:
    from measuring.bench import Bench


class DatagramEcho(asyncio.DatagramProtocol):
    """Sends every datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


def udp(mode: str, size_name: str, size: int, connections: int) -> dict[str, Any]:
    """The settings that the UDP scenarios share."""
    standard = connections == 100 or size_name == "1KiB"
    quick = (mode, size_name, connections) == ("protocol", "1KiB", 100)
    return {
        "count": 20_000 if connections > 1 else 5_000,
        "unit": "datagram",
        "tier": Tier.QUICK if quick else Tier.STANDARD if standard else Tier.COMPLETE,
        "load": Load("udp", "tcp", size, connections),
    }


@scenario("udp.protocol.10KiB.100c", **udp("protocol", "10KiB", 10 * 1024, 100))
@scenario("udp.protocol.1KiB.100c", **udp("protocol", "1KiB", 1024, 100))
@scenario("udp.protocol.1KiB.1c", **udp("protocol", "1KiB", 1024, 1))
async def protocol(bench: Bench) -> object:
    """Echo by `asyncio.DatagramProtocol`."""
    loop = asyncio.get_running_loop()
    endpoint = await loop.create_datagram_endpoint(DatagramEcho, local_addr=host_and_port(bench.address))
    make_room(endpoint[0].get_extra_info("socket"))
    return endpoint


@scenario("udp.sock.1KiB.100c", **udp("sock", "1KiB", 1024, 100))
@scenario("udp.sock.1KiB.1c", **udp("sock", "1KiB", 1024, 1))
async def sock(bench: Bench) -> object:
    """Echo by `sock_recvfrom` and `sock_sendto`."""
    loop = asyncio.get_running_loop()
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind(host_and_port(bench.address))
    endpoint.setblocking(False)
    make_room(endpoint)

    async def talk() -> None:
        while True:
            data, peer = await loop.sock_recvfrom(endpoint, 65_536)
            await loop.sock_sendto(endpoint, data, peer)

    talking = asyncio.create_task(talk())
    # A loop without sock_recvfrom says so now, and not by silence.
    await asyncio.sleep(0)
    if talking.done():
        talking.result()
    return talking, endpoint


def make_room(endpoint: Any) -> None:
    """Asks for a receive buffer that holds a datagram of every client, so that none is lost."""
    if hasattr(endpoint, "setsockopt"):
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
