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

    # What CPython's classes and ours keep in a loop. With places for it the instance needs no dictionary, and
    # while it has none the interpreter finds `loop.call_soon` without looking for an attribute of that name.
    __slots__ = (
        "_asyncgens",
        "_asyncgens_shutdown_called",
        "_clock_resolution",
        "_coroutine_origin_tracking_enabled",
        "_coroutine_origin_tracking_saved_depth",
        "_csock",
        "_current_handle",
        "_default_executor",
        "_exception_handler",
        "_executor_shutdown_called",
        "_internal_fds",
        "_old_agen_hooks",
        "_other_transports",
        "_outstanding",
        "_pidfds",
        "_resolver",
        "_selector",
        "_signal_handlers",
        "_ssock",
        "_timer_cancelled_count",
        "_unix_server_sockets",
        "_watched_by",
        "slow_callback_duration",
    )

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
        self._init_resolver()
        self._init_virtual_time()
        if type(self).call_soon is not EventLoop.call_soon:
            # A subclass that looks at every callback sees the steps of asyncio's own tasks among them.
            self._plain_tasks = True
        if not self._plain_tasks:
            show_native_tasks()
        if type(self).time is not EventLoop.time:
            self._follow_time()
