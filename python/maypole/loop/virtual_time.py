"""The virtual clock's parts that need Python: what is still out there, and errors that name lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maypole.loop.inherited import MixedInto

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Executor

    from maypole.virtual.outstanding import Outstanding
    from maypole.virtual.stops import Deadlock, Spin


class VirtualTimeMixin(MixedInto):
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
        """Run `func(*args)` in an executor; on the virtual clock time does not jump ahead of the job."""
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
