"""What a scenario's body gets: its size, asyncio's names, and the meter."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator


class WrongResult(Exception):
    """A loop that did not do what the scenario counts."""


class Bench:
    """One run of a scenario's body.

    Args:
        count: operations to do.
        api: asyncio, or maypole's native helpers before asyncio's.
        params: the scenario's parameters.
        address: where a server has to listen: `tcp:HOST:PORT` or `unix:PATH`; empty for other scenarios.
        service: the address of a Redis or Postgres server; empty for other scenarios.
        new_loop: makes a loop of the kind that is measured.
    """

    def __init__(
        self,
        count: int,
        api: Any,
        params: dict[str, int],
        address: str,
        service: str,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
    ) -> None:
        self.count = count
        self.api = api
        self.address = address
        self.service = service
        self.new_loop = new_loop
        self.metrics: dict[str, float] = {}
        self._params = params

    def param(self, name: str) -> int:
        """A parameter of the scenario."""
        return self._params[name]

    @contextlib.contextmanager
    def measure(self, operations: int) -> Iterator[None]:
        """Measures the block: CPU time of this whole process, all threads, and wall time, per operation.

        Args:
            operations: how many operations the block does.
        """
        wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        yield
        cpu_ns = time.process_time_ns() - cpu_ns
        wall_ns = time.perf_counter_ns() - wall_ns
        self.metrics["cpu_ns"] = cpu_ns / operations
        self.metrics["wall_ns"] = wall_ns / operations

    def record(self, metric: str, value: float) -> None:
        """Notes another figure; lower must be better."""
        self.metrics[metric] = value

    def expect(self, seen: object, wanted: object, what: str) -> None:
        """Checks that the work was really done.

        Raises:
            WrongResult: `seen` differs from `wanted`.
        """
        if seen != wanted:
            raise WrongResult(f"{what}: {seen!r} instead of {wanted!r}")
