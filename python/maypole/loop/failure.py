"""Where the exception of a callback goes, and how debug mode runs one."""

from __future__ import annotations

from asyncio import base_events
from typing import TYPE_CHECKING, Any

from maypole import versions
from maypole.loop.inherited import MixedInto

if TYPE_CHECKING:
    import asyncio
    from asyncio import Handle


def _log(text: str, *details: object) -> None:
    """Write to asyncio's own log, wherever a program has sent it."""
    base_events.logger.warning(text, *details)  # type: ignore[attr-defined]


class FailureMixin(MixedInto):
    """The slow paths of running one callback."""

    def _report_callback_failure(self, handle: Handle, exception: BaseException) -> None:
        """Tell the exception handler what asyncio tells it."""
        fields: Any = handle  # typeshed does not know all of them
        try:
            callback = versions.format_callback(fields._callback, fields._args, self.get_debug())
        except Exception:
            # A callback that cannot even be shown must not end the loop.
            callback = object.__repr__(fields._callback)
        context: dict[str, Any] = {
            "message": f"Exception in callback {callback}",
            "exception": exception,
            "handle": handle,
        }
        if fields._source_traceback:
            context["source_traceback"] = fields._source_traceback
        self.call_exception_handler(context)

    def _run_handle_in_debug(self, handle: Handle) -> None:
        """Run one callback and log it if it took longer than `slow_callback_duration` seconds."""
        try:
            self._current_handle = handle
            started = self.time()
            handle._run()
            took = self.time() - started
            if took >= self.slow_callback_duration:
                _log("Executing %s took %.3f seconds", versions.format_handle(handle), took)
        except Exception as exc:
            # `Handle._run` lets only what it fails to show come this far.
            self._report_callback_failure(handle, exc)
        finally:
            self._current_handle = None
            # A traceback may keep this frame alive; it must not keep the handle and its task with it.
            del handle

    def _log_slow_task(self, task: asyncio.Task[Any], took: float) -> None:
        """Log a task's step that took `took` seconds, if that is slow."""
        if took >= self.slow_callback_duration:
            _log("Executing %r took %.3f seconds", task, took)
