"""The client process: ``python -m many.client KIND PORT CONNECTIONS ROUNDS SOURCE``.

Opens connections from the loopback address SOURCE, and prints one JSON object when all are open and have been
answered once; then it exchanges ROUNDS messages on every connection at once, checks every byte, prints a
second object, and ends. Each message is unlike any other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field

MESSAGE_BYTES = 1024
#: Connections that are opened together: fewer than a server's backlog.
OPENING = 128
PATIENCE_S = 60.0
KEY = base64.b64encode(b"ten thousand ten").decode()
ACCEPT = base64.b64encode(
    hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
).decode()
MASK = b"mayp"


def message_of(number: int, turn: int) -> bytes:
    """What one connection sends in one round: text that no other sends."""
    seed = f"<{number}:{turn}>"
    return (seed * (MESSAGE_BYTES // len(seed) + 1))[:MESSAGE_BYTES].encode()


def masked_frame(payload: bytes) -> bytes:
    """A text frame of a client (RFC 6455, section 5.2)."""
    key = int.from_bytes((MASK * (len(payload) // 4 + 1))[: len(payload)])
    masked = (int.from_bytes(payload) ^ key).to_bytes(len(payload))
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(payload)) + MASK + masked


def plain_frame(payload: bytes) -> bytes:
    """The same of a server."""
    return struct.pack("!BBH", 0x81, 126, len(payload)) + payload


@dataclass
class Talk:
    """One connection, and what it still awaits."""

    number: int
    sock: socket.socket
    awaited: bytes = b""
    received: bytearray = field(default_factory=bytearray)


class Clients:
    """All connections of one run.

    Args:
        kind: `websocket`, or anything else for a plain echo.
        port: where the server listens on loopback.
        source: the loopback address that the connections come from.
    """

    def __init__(self, kind: str, port: int, source: str) -> None:
        self.websocket = kind == "websocket"
        self.address = ("127.0.0.1", port)
        self.source = source
        self.poller = select.epoll()
        self.talks: dict[int, Talk] = {}
        self.bytes_back = 0
        self.errors: list[str] = []

    def open(self, count: int) -> None:
        """Open so many connections, each answered once."""
        for first in range(0, count, OPENING):
            new = [self.connect(number) for number in range(first, min(first + OPENING, count))]
            if self.websocket:
                self.exchange(new, self.upgrade)
            self.exchange(new, lambda talk: self.ask(talk, 0))

    def connect(self, number: int) -> Talk:
        """Open one connection."""
        sock = socket.create_connection(self.address, timeout=PATIENCE_S, source_address=(self.source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        talk = self.talks[sock.fileno()] = Talk(number, sock)
        self.poller.register(sock.fileno(), select.EPOLLIN)
        return talk

    def upgrade(self, talk: Talk) -> None:
        """Ask for a WebSocket; the server's answer ends with an empty line."""
        head = (
            f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{self.address[1]}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        talk.sock.send(head.encode())
        talk.awaited = b""

    def ask(self, talk: Talk, turn: int) -> None:
        """Send one message and await it."""
        message = message_of(talk.number, turn)
        talk.sock.send(masked_frame(message) if self.websocket else message)
        talk.awaited = plain_frame(message) if self.websocket else message

    def exchange(self, talks: list[Talk], ask: object) -> None:
        """Ask on all of these at once, and wait for every answer."""
        assert callable(ask)
        for talk in talks:
            talk.received.clear()
            ask(talk)
        waiting = {talk.sock.fileno() for talk in talks}
        until = time.monotonic() + PATIENCE_S
        while waiting:
            if time.monotonic() > until:
                self.errors.append(f"{len(waiting)} connections were not answered")
                return
            for fd, _ in self.poller.poll(1.0, 1024):
                if self.receive(self.talks[fd]):
                    waiting.discard(fd)

    def receive(self, talk: Talk) -> bool:
        """Take what has come; whether the answer is complete, or never will be."""
        try:
            data = talk.sock.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError as error:
            data = repr(error).encode()
            talk.awaited = b"\0"
        if not data:
            self.errors.append(f"connection {talk.number} was closed")
            self.poller.unregister(talk.sock.fileno())
            return True
        talk.received += data
        if not talk.awaited:
            return self.upgraded(talk)
        if len(talk.received) < len(talk.awaited):
            return False
        if talk.received == talk.awaited:
            self.bytes_back += MESSAGE_BYTES
        else:
            self.errors.append(f"connection {talk.number} got other bytes: {bytes(talk.received[:60])!r}")
        return True

    def upgraded(self, talk: Talk) -> bool:
        """Whether the answer to the upgrade is complete."""
        if not talk.received.endswith(b"\r\n\r\n"):
            return False
        if not talk.received.startswith(b"HTTP/1.1 101 ") or ACCEPT.encode() not in talk.received:
            self.errors.append(f"connection {talk.number} is no WebSocket: {bytes(talk.received[:60])!r}")
        return True


def say(**report: object) -> None:
    """Print one JSON object."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def main(kind: str, port: int, count: int, rounds: int, source: str) -> None:
    """Open, tell, exchange, tell."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = Clients(kind, port, source)
    clients.open(count)
    say(open=len(clients.talks), errors=clients.errors[:5])
    sys.stdin.readline()
    for turn in range(1, rounds + 1):
        clients.exchange(list(clients.talks.values()), lambda talk, turn=turn: clients.ask(talk, turn))
    say(bytes_back=clients.bytes_back, errors=clients.errors[:5])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
