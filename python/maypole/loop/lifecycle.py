"""`run_forever` and `close`: what happens once per run and once per loop."""

from __future__ import annotations

import sys
import threading

from maypole import versions
from maypole.attendants import attend
from maypole.loop.inherited import MixedInto
from maypole.loop.signals import SignalWakeup


class LifecycleMixin(MixedInto):
    """Start and end of a run, and the end of the loop."""

    def run_forever(self) -> None:
        """Run until `stop` is called.

        Raises:
            RuntimeError: if the loop is closed or running, or another loop runs in this thread.
            SystemExit: if a callback raises it; so does KeyboardInterrupt. What was queued stays queued.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_forever
        """
        self._check_closed()
        self._check_running()
        attend(self)
        self._set_coroutine_origin_tracking(self._debug)
        old_hooks = sys.get_asyncgen_hooks()
        try:
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook
            )
            versions.set_running_loop(self)
            with SignalWakeup(self):
                self._run_turns()
        finally:
            self._stopping = False
            self._thread_id = None
            versions.set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*old_hooks)

    def close(self) -> None:
        """Close the loop: queue, timers and poller are given up; a closed loop stays closed.

        Raises:
            RuntimeError: if the loop is running.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.close
        """
        super().close()
        self._close_native()
