"""What the mixins of `EventLoop` are mixed into, for the type checker.

typeshed describes what asyncio documents. The mixins also use these private parts of CPython's loop, the ones
that its own subclasses use; this is the whole list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import AsyncGenerator, Callable, MutableMapping
    from typing import Any

    from maypole import _maypole

    class MixedInto(_maypole.Loop, asyncio.SelectorEventLoop):
        """The native loop, then CPython's."""

        _current_handle: asyncio.Handle | None
        _csock: socket.socket
        _internal_fds: int
        _signal_handlers: dict[int, asyncio.Handle]
        _transports: MutableMapping[int, asyncio.BaseTransport]

        def _check_closed(self) -> None: ...
        def _check_running(self) -> None: ...
        async def _accept_connection2(self, *args: Any) -> None: ...
        def _server_tls_factory(self, *args: Any) -> Callable[[], asyncio.BaseProtocol]: ...
        def _start_serving(self, *args: Any) -> None: ...
        def _make_datagram_transport(self, *args: Any) -> asyncio.BaseTransport: ...
        def _ensure_fd_no_transport(self, fd: int | socket.socket) -> None: ...
        def _set_coroutine_origin_tracking(self, enabled: bool) -> None: ...
        def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None: ...
        def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None: ...
else:
    MixedInto = object
