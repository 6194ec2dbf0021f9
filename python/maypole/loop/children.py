"""Child processes: the loop watches each through a pidfd, in whatever thread it runs.

A pidfd becomes readable when its process ends, so no signal handler, thread or policy is involved. Where the
kernel or a sandbox has no pidfds, one thread per child waits for it.

Source: https://man7.org/linux/man-pages/man2/pidfd_open.2.html
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from asyncio.unix_events import _UnixSubprocessTransport  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from maypole.loop.inherited import MixedInto

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

logger = logging.getLogger("asyncio")

UNKNOWN_EXIT = 255
"""The return code of a child whose status somebody else has read, as asyncio reports it."""


class ChildrenMixin(MixedInto):
    """Makes subprocess transports and tells them when their process has ended."""

    _pidfds: dict[int, int]

    def _init_children(self) -> None:
        self._pidfds = {}

    async def _make_subprocess_transport(
        self,
        protocol: asyncio.SubprocessProtocol,
        args: str | bytes | Sequence[str | bytes],
        shell: bool,
        stdin: int | Any | None,
        stdout: int | Any | None,
        stderr: int | Any | None,
        bufsize: int,
        extra: Any = None,
        **kwargs: Any,
    ) -> asyncio.SubprocessTransport:
        waiter = self.create_future()
        transport = _UnixSubprocessTransport(
            self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=waiter, extra=extra, **kwargs
        )
        self._watch_child(transport)
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport  # type: ignore[no-any-return]

    def _watch_child(self, transport: Any) -> None:
        pid = transport.get_pid()
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            name = f"asyncio-waitpid-{pid}"
            waiter = threading.Thread(
                target=self._wait_in_thread, args=(transport, pid), name=name, daemon=True
            )
            waiter.start()
            return
        self._pidfds[pid] = pidfd
        self._add_reader(pidfd, self._child_ended, transport, pid, pidfd)

    def _child_ended(self, transport: Any, pid: int, pidfd: int) -> None:
        self._remove_reader(pidfd)
        self._pidfds.pop(pid, None)
        os.close(pidfd)
        transport._process_exited(_exit_code(pid))

    def _wait_in_thread(self, transport: Any, pid: int) -> None:
        # The loop's thread reaps, and tells the transport at once: until then no other process has the pid.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        try:
            self.call_soon_threadsafe(lambda: transport._process_exited(_exit_code(pid)))
        except RuntimeError:
            logger.warning("Loop %r that handles pid %r is closed", self, pid)
            _exit_code(pid)

    def close(self) -> None:
        """Close the loop, and with it the descriptors of the children that it still watched."""
        super().close()
        while self._pidfds:
            os.close(self._pidfds.popitem()[1])


def _exit_code(pid: int) -> int:
    """Reap a child that has ended and return its code: negative for the signal that killed it."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        logger.warning("child process pid %d exit status already read:  will report returncode 255", pid)
        return UNKNOWN_EXIT
    return os.waitstatus_to_exitcode(status)
