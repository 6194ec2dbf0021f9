"""`sock_recv` and its kin: tried at once, and again when the poller says that there is something.

asyncio receives in the callback of the poller, and stops watching in a callback of the future. Here the
callback stops watching and wakes the task, which receives by itself: one callback less for each wait, and
what has come is not lost when the task is cancelled meanwhile.

Source: CPython, `asyncio.selector_events.BaseSelectorEventLoop.sock_recv`.
"""

from __future__ import annotations

import socket
from asyncio import base_events
from typing import TYPE_CHECKING, Any

from maypole.loop.inherited import MixedInto

if TYPE_CHECKING:
    import asyncio

_NOT_NOW = (BlockingIOError, InterruptedError)


class SocketsMixin(MixedInto):
    """Receives from sockets that the program keeps itself."""

    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
        """Receive up to `n` bytes; cancelling it loses none.

        Raises:
            ValueError: in debug mode for a blocking socket.
            OSError: what the socket answers.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.sock_recv
        """
        if self._debug or type(sock) is not socket.socket:
            self._check_sock(sock)
        while True:
            try:
                return sock.recv(n)
            except _NOT_NOW:
                pass
            await self._until_readable(sock)

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        """Receive into a buffer, and return the number of bytes; as `sock_recv`."""
        if self._debug or type(sock) is not socket.socket:
            self._check_sock(sock)
        while True:
            try:
                return sock.recv_into(buf)
            except _NOT_NOW:
                pass
            await self._until_readable(sock)

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive a datagram and the address of its sender; as `sock_recv`."""
        if self._debug or type(sock) is not socket.socket:
            self._check_sock(sock)
        while True:
            try:
                return sock.recvfrom(bufsize)
            except _NOT_NOW:
                pass
            await self._until_readable(sock)

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
            await self._until_readable(sock)

    def _check_sock(self, sock: socket.socket) -> None:
        base_events._check_ssl_socket(sock)  # type: ignore[attr-defined]
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def _until_readable(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        self._ensure_fd_no_transport(fd)
        woken = self.create_future()
        handle = self._add_reader(fd, self._sock_is_readable, fd, woken)
        try:
            await woken
        except BaseException:
            # Another reader of the same descriptor has taken this one's place, and stays.
            if not handle.cancelled():
                self._remove_reader(fd)
            raise

    def _sock_is_readable(self, fd: int, woken: asyncio.Future[None]) -> None:
        self._remove_reader(fd)
        if not woken.done():
            woken.set_result(None)
