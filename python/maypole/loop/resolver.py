"""`getaddrinfo` and `getnameinfo`: numbers are answered at once, names by native threads."""

from __future__ import annotations

import asyncio
from asyncio import base_events
from typing import TYPE_CHECKING, Any

from maypole import _maypole
from maypole.loop.inherited import MixedInto

if TYPE_CHECKING:
    from collections.abc import Callable

    from maypole.virtual.outstanding import Outstanding

_base: Any = (
    base_events  # typeshed does not say that it has `socket`, whose functions the inherited methods call
)
_c_socket: Any = _base.socket._socket
_GETADDRINFO = _base.socket.getaddrinfo
_GETNAMEINFO = _base.socket.getnameinfo
_C_GETADDRINFO = _c_socket.getaddrinfo


class ResolverMixin(MixedInto):
    """Looks names up as `socket` does, unless somebody replaced it there."""

    _resolver: _maypole.Resolver | None
    _outstanding: Outstanding | None

    def _init_resolver(self) -> None:
        self._resolver = None

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look up the addresses of a host and a service, as `socket.getaddrinfo`.

        A replaced `socket.getaddrinfo` is honoured. In debug mode slow look-ups are logged.

        Raises:
            socket.gaierror: if there is no such host or service.
            RuntimeError: if the loop is closed.

        Cancelling gives the look-up up; one that has begun is finished in the background.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.getaddrinfo
        """
        replaced = _base.socket.getaddrinfo is not _GETADDRINFO or _c_socket.getaddrinfo is not _C_GETADDRINFO
        if not (replaced or self._debug):
            self._check_closed()
            found: Any = _maypole._getaddrinfo_now(host, port, family, type, proto, flags)
            if found is None and self._outstanding is None:
                found = await self._look_up("getaddrinfo", host, port, family, type, proto, flags)
            if found is not None and found is not NotImplemented:
                return found  # type: ignore[no-any-return]
        # A virtual clock waits for jobs of executors; what is left is for `socket` to judge.
        return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Look up the names of a host and a service, as `socket.getnameinfo`.

        Raises:
            socket.gaierror: if a name is demanded and there is none.
            RuntimeError: if the loop is closed.

        Cancelling gives the look-up up; one that has begun is finished in the background.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.getnameinfo
        """
        if _base.socket.getnameinfo is _GETNAMEINFO and not self._debug:
            self._check_closed()
            found: Any = _maypole._getnameinfo_now(sockaddr, flags)
            if found is None and self._outstanding is None:
                found = await self._look_up("getnameinfo", sockaddr, flags)
            if found is not None and found is not NotImplemented:
                return found  # type: ignore[no-any-return]
        return await super().getnameinfo(sockaddr, flags)

    async def _look_up(self, what: str, *args: Any) -> Any:
        """Ask on a thread."""
        resolver = self._resolver
        if resolver is None:
            resolver = self._start_resolver()
        future = self.create_future()
        begin: Callable[..., int] = getattr(resolver, what)
        number = begin(future, *args)
        try:
            return await future
        except asyncio.CancelledError:
            resolver.forget(number)
            raise

    def _start_resolver(self) -> _maypole.Resolver:
        resolver = _maypole.Resolver()
        # The loop's own watch, whatever a program has put over the method.
        _maypole.Loop._add_reader(self, resolver.fileno(), resolver.collect)
        self._internal_fds += 1
        self._resolver = resolver
        return resolver

    def close(self) -> None:
        """Close the loop; look-ups under way end in the background, and nobody gets their answers."""
        resolver = self._resolver
        if resolver is not None and not self.is_running():
            self._resolver = None
            _maypole.Loop._remove_reader(self, resolver.fileno())
            self._internal_fds -= 1
            resolver.close()
        super().close()
