"""Processes that end: each has a time limit, and is gone when we are."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How long a process may take to end after it was asked to.
GRACE_S = 2.0
#: How much of standard error is kept.
STDERR_CHARACTERS = 2000


class ProcessFailed(Exception):
    """A process that ended wrongly, too late, or without an answer; the message says which."""


class Started:
    """A running process with its output.

    Args:
        words: program and arguments.
        cpus: the CPUs it may run on, or None for all.
    """

    def __init__(self, words: Sequence[str], cpus: set[int] | None = None) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the process
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
        )
        if cpus is not None:
            os.sched_setaffinity(self.process.pid, cpus)

    def line(self, limit_s: float) -> dict[str, Any]:
        """The next line of standard output, which must be a JSON object.

        Raises:
            ProcessFailed: no such line came in time.
        """
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], limit_s)[0]:
            raise ProcessFailed(f"was not ready within {limit_s:.0f} s")
        return self._decoded(self.process.stdout.readline())

    def finish(self, limit_s: float) -> dict[str, Any]:
        """Waits for the end; the last line of standard output must be a JSON object.

        Raises:
            ProcessFailed: it ended with an error, too late, or without an answer.
        """
        try:
            output, _ = self.process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(f"did not end within {limit_s:.0f} s") from error
        if self.process.returncode:
            raise ProcessFailed(self.failure())
        lines = output.splitlines()
        return self._decoded(lines[-1] if lines else b"")

    def _decoded(self, line: bytes) -> dict[str, Any]:
        try:
            decoded: dict[str, Any] = json.loads(line)
        except ValueError as error:
            self.stop()
            raise ProcessFailed(self.failure()) from error
        return decoded

    def failure(self) -> str:
        """How the process ended, in one line."""
        code = self.process.returncode
        how = f"ended by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        said = [line for line in self.errors().splitlines() if line.strip()]
        return f"{said[-1].strip()} ({how})" if said else f"said nothing ({how})"

    def errors(self) -> str:
        """The end of what it wrote to standard error."""
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")[-STDERR_CHARACTERS:]

    def stop(self) -> None:
        """Ends the process if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._stderr.close()


def whole_life(words: Sequence[str], limit_s: float) -> dict[str, float]:
    """Runs a program from start to end, and measures all of it.

    Returns:
        `cpu_ns`: user and system time of the process; `wall_ns`: from start to end.

    Raises:
        ProcessFailed: it ended with an error or too late.
    """
    began = time.perf_counter_ns()
    with Started(words) as started:
        descriptor = os.pidfd_open(started.process.pid)
        try:
            ended = select.select([descriptor], [], [], limit_s)[0]
        finally:
            os.close(descriptor)
        if not ended:
            raise ProcessFailed(f"did not end within {limit_s:.0f} s")
        wall_ns = time.perf_counter_ns() - began
        # The kernel tells a child's own times only to the one who waits for it, so this cannot be Popen.wait.
        _, status, usage = os.wait4(started.process.pid, 0)
        started.process.returncode = os.waitstatus_to_exitcode(status)
        if started.process.returncode:
            raise ProcessFailed(started.failure())
    return {"cpu_ns": (usage.ru_utime + usage.ru_stime) * 1e9, "wall_ns": wall_ns}
