"""`EventLoop`: the native loop under CPython's own event loop class."""

from __future__ import annotations

from asyncio.unix_events import SelectorEventLoop as InheritedLoop
from typing import Any, Literal, cast

from maypole import _maypole
from maypole.loop.children import ChildrenMixin
from maypole.loop.connections import ConnectionsMixin
from maypole.loop.datagrams import DatagramsMixin
from maypole.loop.failure import FailureMixin
from maypole.loop.lifecycle import LifecycleMixin
from maypole.loop.resolver import ResolverMixin
from maypole.loop.selector import NativeSelector
from maypole.loop.sockets import SocketsMixin
from maypole.loop.task_registry import show_native_tasks
from maypole.loop.tls import TLSMixin
from maypole.loop.virtual_time import VirtualTimeMixin
from maypole.loop.watching import WatchingMixin

Clock = Literal["monotonic", "virtual"]
TaskImpl = Literal["native", "c"]


class EventLoop(
    VirtualTimeMixin,
    ChildrenMixin,
    ConnectionsMixin,
    TLSMixin,
    DatagramsMixin,
    WatchingMixin,
    SocketsMixin,
    ResolverMixin,
    LifecycleMixin,
    FailureMixin,
    _maypole.Loop,
    InheritedLoop,
):
    """An asyncio event loop whose queue, timers and poller are native.

    Everything that asyncio documents for its loop on Unix works: what is not replaced natively is inherited
    from ``asyncio.SelectorEventLoop``.

    Args:
        clock: "monotonic", or "virtual" for time that jumps to the next timer when nothing is ready.
        task_impl: "native", or "c" for tasks and futures of CPython's own types.

    Raises:
        ValueError: for another clock or implementation.
        OSError: when descriptors have run out.
    """

    def __init__(self, clock: Clock = "monotonic", task_impl: TaskImpl = "native") -> None:
        try:
            InheritedLoop.__init__(self, cast("Any", NativeSelector(self)))
        except BaseException:
            # Without descriptors for its wake-up it is no loop: its destructor has nothing to close.
            self._closed = True
            self._close_native()
            raise
        self._init_children()
        self._init_watching()
        self._init_virtual_time()
        if type(self).call_soon is not EventLoop.call_soon:
            # A subclass that looks at every callback sees the steps of asyncio's own tasks among them.
            self._plain_tasks = True
        if not self._plain_tasks:
            show_native_tasks()
        if type(self).time is not EventLoop.time:
            self._follow_time()
