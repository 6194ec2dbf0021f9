"""Hooks into a loop: trio's nine, paid only by those in use.

Source: https://trio.readthedocs.io/en/stable/reference-lowlevel.html#instrument-api
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, cast

from maypole import _maypole
from maypole.trace.switching import switching

if TYPE_CHECKING:
    from collections.abc import Callable

    Hook = Callable[..., object]

HOOKS = (
    "before_run",
    "after_run",
    "task_spawned",
    "task_scheduled",
    "before_task_step",
    "after_task_step",
    "task_exited",
    "before_io_wait",
    "after_io_wait",
)
"""The names of all hooks."""


class Instrument:
    """What a loop calls while it works; a subclass overrides the hooks that it wants, the others cost
    nothing.

    Hooks run in the loop's thread, between everything else, and must be short. They may not await. A hook
    that raises is reported once through the loop's exception handler, and its instrument is taken out.

    Source: https://trio.readthedocs.io/en/stable/reference-lowlevel.html#trio.abc.Instrument

    Example:
        >>> import asyncio, maypole
        >>> class Exited(maypole.trace.Instrument):
        ...     def __init__(self):
        ...         self.names = []
        ...     def task_exited(self, task):
        ...         self.names.append(task.get_name())
        >>> async def main():
        ...     exited = Exited()
        ...     maypole.trace.add_instrument(exited)
        ...     await asyncio.create_task(asyncio.sleep(0), name="child")
        ...     return list(exited.names)
        >>> maypole.run(main())
        ['child']
    """

    def before_run(self) -> None:
        """The loop begins to run."""

    def after_run(self) -> None:
        """The loop has ended its run."""

    def task_spawned(self, task: asyncio.Task[Any], /) -> None:
        """A task was made, by `asyncio.current_task()`. Up to Python 3.12 its name comes later."""

    def task_scheduled(self, task: asyncio.Task[Any], /) -> None:
        """A task is ready: it stands in the queue and will run in a turn to come."""

    def before_task_step(self, task: asyncio.Task[Any], /) -> None:
        """A task is about to run."""

    def after_task_step(self, task: asyncio.Task[Any], /) -> None:
        """A task has run: it waits, or it has ended."""

    def task_exited(self, task: asyncio.Task[Any], /) -> None:
        """A task has ended; its result, exception or cancellation is there."""

    def before_io_wait(self, timeout: float | None, /) -> None:
        """The poller is about to be asked, and may wait `timeout` seconds; None is without end."""

    def after_io_wait(self, timeout: float | None, /) -> None:
        """The poller has answered; `timeout` is what it was given, not how long it took."""


def add_instrument(instrument: object, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Let a loop call an instrument's hooks, until it is removed or the loop is closed.

    Several instruments are called in the order in which they were added. An instrument may be added from a
    hook, or from another thread; it is called from the next event on.

    Args:
        instrument: an `Instrument`, or any object that has some of its methods. Those of `Instrument` that it
            does not override are not called.
        loop: a loop of maypole; None is the one that runs in this thread.

    Raises:
        TypeError: for another kind of loop, or an object without a hook.
        ValueError: if the loop has this instrument already.
        RuntimeError: if the loop is closed, or none was given and none runs in this thread.
    """
    hooks = _hooks_of(instrument)
    with switching:
        _instruments_of(_open_loop(loop)).add(instrument, hooks)


def remove_instrument(instrument: object, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Take an instrument out of a loop; none of its hooks is called again.

    Args:
        instrument: what was added.
        loop: the loop that has it; None is the one that runs in this thread.

    Raises:
        KeyError: if the loop does not have this instrument, as when one of its hooks has raised.
        TypeError: for a loop that is not maypole's.
        RuntimeError: if the loop is closed, or none was given and none runs in this thread.
    """
    with switching:
        _instruments_of(_open_loop(loop)).remove(instrument)


def _open_loop(loop: asyncio.AbstractEventLoop | None) -> _maypole.Loop:
    if loop is None:
        loop = asyncio._get_running_loop()
        if loop is None:
            raise RuntimeError("no loop runs in this thread: name one with loop=")
    if not isinstance(loop, _maypole.Loop):
        raise TypeError(f"an instrument needs a loop of maypole, not {type(loop).__name__}")
    if loop.is_closed():
        raise RuntimeError("Event loop is closed")
    return loop


_by_loop: weakref.WeakKeyDictionary[_maypole.Loop, _Instruments] = weakref.WeakKeyDictionary()


def _instruments_of(loop: _maypole.Loop) -> _Instruments:
    found = _by_loop.get(loop)
    if found is None:
        found = _by_loop[loop] = _Instruments(loop)
    return found


class _Instruments:
    """The instruments of one loop, and what it calls for each hook."""

    def __init__(self, loop: _maypole.Loop) -> None:
        self._loop = weakref.ref(loop)  # the loop holds the hooks, and they hold this
        self._all: list[tuple[object, dict[str, Hook]]] = []

    def add(self, instrument: object, hooks: dict[str, Hook]) -> None:
        if any(one is instrument for one, _ in self._all):
            raise ValueError(f"{_named(instrument)} is on this loop already")
        self._all.append((instrument, hooks))
        self._set(hooks)

    def remove(self, instrument: object) -> None:
        for one, hooks in self._all:
            if one is instrument:
                self._all = [(other, its) for other, its in self._all if other is not instrument]
                self._set(hooks)
                return
        raise KeyError(instrument)

    def _set(self, names: dict[str, Hook]) -> None:
        """Tell the loop what to call for these hooks."""
        loop = self._loop()
        if loop is None or loop.is_closed():
            return
        for name in names:
            calls = tuple((hooks[name], one) for one, hooks in self._all if name in hooks)
            loop._set_instrument(name, self._caller(name, calls) if calls else None)

    def _caller(self, name: str, calls: tuple[tuple[Hook, object], ...]) -> Hook:
        def call_each(*args: object) -> None:
            for hook, instrument in calls:
                try:
                    hook(*args)
                except Exception as error:
                    self._drop(name, instrument, error)

        if len(calls) > 1:
            return call_each
        [(only, instrument)] = calls

        def call(*args: object) -> None:
            try:
                only(*args)
            except Exception as error:
                self._drop(name, instrument, error)

        return call

    def _drop(self, name: str, instrument: object, error: Exception) -> None:
        """Take out an instrument whose hook has raised, and say so once."""
        try:
            with switching:
                self.remove(instrument)
        except KeyError:
            return  # taken out meanwhile: by itself, or for another error
        loop = self._loop()
        if loop is not None:
            message = f"the hook {name} of {_named(instrument)} raised; the instrument was removed"
            cast("asyncio.AbstractEventLoop", loop).call_exception_handler(
                {"message": message, "exception": error, "instrument": instrument}
            )


def _hooks_of(instrument: object) -> dict[str, Hook]:
    """The hooks that an object has itself, not those which `Instrument` gives it."""
    found = {}
    for name in HOOKS:
        hook = getattr(instrument, name, None)
        if hook is not None and getattr(hook, "__func__", hook) is not getattr(Instrument, name):
            if not callable(hook):
                raise TypeError(f"the hook {name} of {_named(instrument)} is not callable")
            found[name] = hook
    if not found:
        raise TypeError(f"{_named(instrument)} has none of the hooks {', '.join(HOOKS)}")
    return found


def _named(instrument: object) -> str:
    return f"{type(instrument).__module__}.{type(instrument).__qualname__}"
