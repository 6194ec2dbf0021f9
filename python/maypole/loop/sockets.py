"""`sock_recv` and its kin: tried at once, and again when the poller says that there is something.

asyncio receives in the callback of the poller, and stops watching in a callback of the future. Here the
poller reports one event, which wakes the task, and the task receives by itself: no callback and one system
call less for each wait, and what has come is not lost when the task is cancelled meanwhile.

Source: CPython, `asyncio.selector_events.BaseSelectorEventLoop.sock_recv`.
"""

from __future__ import annotations

import socket
from asyncio import base_events
from typing import Any

from maypole.loop.inherited import MixedInto

_NOT_NOW = (BlockingIOError, InterruptedError)
_RECV = socket.socket.recv


class SocketsMixin(MixedInto):
    """Receives from sockets that the program keeps itself."""

    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
        """Receive up to `n` bytes; cancelling it loses none.

        Raises:
            ValueError: in debug mode for a blocking socket.
            OSError: what the socket answers.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.sock_recv
        """
        ours = type(sock) is socket.socket and socket.socket.recv is _RECV
        if ours and not self._debug:
            while (received := self._receive_now(sock, n)) is None:
                await self._until_readable(self._free_fd(sock))
            return received
        self._check_sock(sock)
        while True:
            try:
                return sock.recv(n)
            except _NOT_NOW:
                pass
            await self._until_readable(self._free_fd(sock))

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        """Receive into a buffer, and return the number of bytes; as `sock_recv`."""
        if self._debug or type(sock) is not socket.socket:
            self._check_sock(sock)
        while True:
            try:
                return sock.recv_into(buf)
            except _NOT_NOW:
                pass
            await self._until_readable(self._free_fd(sock))

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive a datagram and the address of its sender; as `sock_recv`."""
        if self._debug or type(sock) is not socket.socket:
            self._check_sock(sock)
        while True:
            try:
                return sock.recvfrom(bufsize)
            except _NOT_NOW:
                pass
            await self._until_readable(self._free_fd(sock))

    async def sock_recvfrom_into(self, sock: socket.socket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
        """Receive a datagram into a buffer, and return its size and sender; as `sock_recv`."""
        if self._debug or type(sock) is not socket.socket:
            self._check_sock(sock)
        nbytes = nbytes or len(buf)
        while True:
            try:
                return sock.recvfrom_into(buf, nbytes)
            except _NOT_NOW:
                pass
            await self._until_readable(self._free_fd(sock))

    def _check_sock(self, sock: socket.socket) -> None:
        base_events._check_ssl_socket(sock)  # type: ignore[attr-defined]
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    def _free_fd(self, sock: socket.socket) -> int:
        """Return the number of a socket that no transport uses."""
        fd = sock.fileno()
        self._ensure_fd_no_transport(fd)
        return fd
