"""Peers in threads: servers that remember which bytes came on which connection."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import tempfile
import threading
from pathlib import Path

MESSAGE = re.compile(rb"<round \d+>")
"""What a client of one round sends."""


class RememberingServer:
    """Accepts connections and echoes; `complaints` tells of bytes that no single client can have sent.

    Args:
        family: `AF_INET` for a free port on loopback, `AF_UNIX` for a path in a folder of its own.
        context: the certificate to speak TLS with.
    """

    def __init__(self, family: socket.AddressFamily, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.connections: list[bytearray] = []
        self._folder = tempfile.TemporaryDirectory()
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        path = str(Path(self._folder.name) / "socket")
        self._listener.bind(path if family == socket.AF_UNIX else ("127.0.0.1", 0))
        self._listener.listen(128)
        self.address = self._listener.getsockname()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def port(self) -> int:
        """The port of a TCP server."""
        return int(self.address[1])

    def close(self) -> None:
        """Accept no more, and wait for the connections to end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        self._folder.cleanup()

    @property
    def complaints(self) -> list[str]:
        """Connections on which came something else than (the beginning of) one client's message."""
        wrong = []
        for received in self.connections:
            whole = MESSAGE.sub(b"", bytes(received), count=1)
            if whole and not b"<round ".startswith(whole[:7]):
                wrong.append(f"bytes of somebody else: {bytes(received[:200])!r}")
        return wrong

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._echo, args=(peer,), daemon=True))
            self._threads[-1].start()

    def _echo(self, peer: socket.socket) -> None:
        received = bytearray()
        self.connections.append(received)
        peer.settimeout(10)
        # A client that was cancelled resets, or goes away in the middle of the handshake.
        with contextlib.suppress(OSError), peer:
            stream = self.context.wrap_socket(peer, server_side=True) if self.context else peer
            with stream:
                while data := stream.recv(4096):
                    received += data
                    stream.sendall(data)
