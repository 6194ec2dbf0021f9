"""The parts of the virtual clock that need Python: who is still out there, and the errors that name tasks and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from asyncio import SelectorEventLoop as _Base
    from collections.abc import Callable
    from concurrent.futures import Executor

    from maypole import _maypole
    from maypole.virtual.outstanding import Outstanding
    from maypole.virtual.stops import Deadlock, Spin

    class _Native(_maypole.Loop, _Base):
        """What the mixin is mixed into, for the type checker."""
else:
    _Native = object


class VirtualTimeMixin(_Native):
    """Does nothing on a monotonic clock."""

    _outstanding: Outstanding | None

    def _init_virtual_time(self) -> None:
        self._outstanding = None
        if self._clock == "virtual":
            from maypole.virtual.outstanding import Outstanding

            self._outstanding = Outstanding()

    def run_forever(self) -> None:
        """Run until `stop` is called; on the virtual clock under a watch for code that hangs."""
        if self._outstanding is None:
            super().run_forever()
            return
        from maypole.virtual.hang_watch import HangWatch

        with HangWatch(self, lambda: self._turns):
            super().run_forever()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., Any], *args: object
    ) -> asyncio.Future[Any]:
        """Run `func(*args)` in an executor; on the virtual clock the job keeps time from jumping ahead of it."""
        future = super().run_in_executor(executor, func, *args)
        if self._outstanding is not None:
            from maypole.virtual.outstanding import counted_executor

            self._outstanding.track(future, counted_executor(self, executor))
        return future

    def _virtual_outstanding(self) -> bool:
        return self._outstanding is not None and self._outstanding.any()

    def _virtual_watched(self) -> bool:
        return self._watched > self._internal_fds

    def _virtual_deadlock(self) -> Deadlock:
        from maypole.virtual.stops import deadlock

        return deadlock(self)

    def _virtual_spin(self) -> Spin:
        from maypole.virtual.stops import spin

        return spin(self)
