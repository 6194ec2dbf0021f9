"""All that differs between the supported versions of Python, in one place."""

from __future__ import annotations

import _asyncio
import asyncio
import gc
import sys
import weakref
from asyncio import base_events, format_helpers
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import contextvars
    import socket
    from collections.abc import Callable

    AwaitedBy = Callable[[asyncio.Future[Any], asyncio.Future[Any]], None]


def format_callback(
    callback: Callable[..., object] | None, args: tuple[object, ...] | None, debug: bool
) -> str:
    """Name a callback as asyncio's messages do; from 3.13 on arguments are shown in debug mode only."""
    if sys.version_info >= (3, 13):
        return format_helpers._format_callback_source(callback, args or (), debug=debug)
    return format_helpers._format_callback_source(callback, args or ())


def format_handle(handle: asyncio.Handle) -> str:
    """Name a handle as asyncio's slow-callback log does."""
    return base_events._format_handle(handle)  # type: ignore[attr-defined,no-any-return]


def default_policy_class() -> Any:
    """Return asyncio's own policy class without the warning that its public name gives from 3.14 on."""
    if sys.version_info >= (3, 14):
        return asyncio.events._BaseDefaultEventLoopPolicy
    return asyncio.DefaultEventLoopPolicy


def attach_to_server(server: Any, transport: object) -> None:
    """Let a server count a connection; from 3.13 on it knows the transport itself."""
    server._attach(transport) if sys.version_info >= (3, 13) else server._attach()


def detach_from_server(server: Any, transport: object) -> None:
    """Let a server forget a connection."""
    server._detach(transport) if sys.version_info >= (3, 13) else server._detach()


def context_argument(context: contextvars.Context | None) -> tuple[contextvars.Context | None, ...]:
    """Give the last argument of what makes a connection: the protocol's context, from Python 3.15 on."""
    return (context,) if sys.version_info >= (3, 15) else ()


def set_nodelay(sock: socket.socket) -> None:
    """Switch Nagle's algorithm off on a TCP socket, as asyncio does."""
    base_events._set_nodelay(sock)  # type: ignore[attr-defined]


def replace_awaited_by(add: AwaitedBy, discard: AwaitedBy) -> None:
    """Let asyncio's code name who awaits a future through these functions; before 3.14 it does not."""
    if sys.version_info >= (3, 14):
        for module in (asyncio.futures, asyncio):
            module.future_add_to_awaited_by = add  # type: ignore[attr-defined]
            module.future_discard_from_awaited_by = discard  # type: ignore[attr-defined]


def set_running_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Say which loop runs in this thread.

    From 3.14 on C code keeps the current task beside the running loop, so it has to know the loop even where
    somebody has replaced asyncio's function with one in Python.
    """
    asyncio._set_running_loop(loop)
    if sys.version_info >= (3, 14):
        _asyncio._set_running_loop(loop)


def scheduled_tasks() -> weakref.WeakSet[asyncio.Task[Any]]:
    """Return the set of tasks that `asyncio.all_tasks()` reads.

    From 3.14 on asyncio links its own tasks into lists, and the set has tasks of other types only. It has
    no name in Python then; it is what asyncio's C module refers to.

    Raises:
        RuntimeError: if there is no such set, in a later release of Python.
    """
    if sys.version_info < (3, 14):
        name = "_scheduled_tasks" if sys.version_info >= (3, 12) else "_all_tasks"
        found: list[weakref.WeakSet[asyncio.Task[Any]]] = [getattr(asyncio.tasks, name)]
    else:
        found = [held for held in gc.get_referents(_asyncio) if isinstance(held, weakref.WeakSet)]
    if len(found) != 1:
        raise RuntimeError(
            f"Python {sys.version.partition(' ')[0]} keeps asyncio's tasks where maypole does not find them;"
            " maypole.new_event_loop(task_impl='c') works without"
        )
    return found[0]


MAIN_FIELDS: dict[str, object] = {"__cached__": None} if sys.version_info < (3, 15) else {}
"""What the interpreter puts into ``__main__`` besides what every module has."""


DEFAULT_BY = "an event-loop policy" if sys.version_info < (3, 14) else "replacing asyncio.new_event_loop"
"""How `make_default` does it on this Python."""


def make_default(new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[], None]:
    """Let ``asyncio.run``, ``asyncio.Runner`` and ``asyncio.new_event_loop`` make their loops this way.

    Before 3.14 that is what the event-loop policy is for. From 3.14 on policies are deprecated, and the
    function that makes loops is replaced.

    Returns:
        A function that undoes it.
    """
    if sys.version_info >= (3, 14):
        return replace_new_event_loop(new_event_loop)
    return install_policy(new_event_loop)


def install_policy(new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[], None]:
    """Install a policy that differs from asyncio's own only in the loops it makes."""

    class Policy(default_policy_class()):  # type: ignore[misc]  # the base depends on the version
        _loop_factory = staticmethod(new_event_loop)

    previous = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Policy())
    return lambda: asyncio.set_event_loop_policy(previous)


def replace_new_event_loop(new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[], None]:
    """Replace the function that asyncio makes loops with; a policy that the program sets later still wins."""
    events: Any = asyncio.events
    original = events.new_event_loop
    # asyncio makes its own policy when first needed: made here, it is told from one that the program sets.
    current_policy = getattr(events, "_get_event_loop_policy", lambda: None)
    policy = current_policy()

    def replaced() -> asyncio.AbstractEventLoop:
        made: asyncio.AbstractEventLoop = new_event_loop() if current_policy() is policy else original()
        return made

    def put(function: Callable[[], asyncio.AbstractEventLoop]) -> None:
        events.new_event_loop = asyncio.new_event_loop = function

    put(replaced)
    return lambda: put(original)
