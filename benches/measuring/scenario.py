"""What can be measured: the register of scenarios."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeVar

Body = TypeVar("Body", bound=Callable[..., Any])


class Tier(enum.IntEnum):
    """How early a scenario is chosen: a tier includes those before it."""

    QUICK = 0
    STANDARD = 1
    COMPLETE = 2


@dataclass(frozen=True)
class Load:
    """What the load generator does to a server.

    Args:
        mode: `echo`, `lines`, `churn`, `http` or `udp`.
        over: `tcp`, `unix` or `tls` (TLS over TCP); `udp` goes with `tcp`.
        size: bytes of one request.
        connections: connections with one request in flight each.
        idle: further connections that are answered once and then stay silent.
        path: what an HTTP client asks for.
    """

    mode: str = "echo"
    over: str = "tcp"
    size: int = 1024
    connections: int = 1
    idle: int = 0
    path: str = "/"


@dataclass(frozen=True)
class Scenario:
    """One row of the report.

    Args:
        name: dotted, group first: `tcp.protocol.1KiB.100c`.
        body: what the measured process runs. A coroutine function of one `Bench`, or a plain function of it
            for scenarios that make their own loops. A served scenario's body returns what keeps its
            server alive.
        count: operations in one sample, before `--scale`.
        unit: what one operation is.
        tier: when the scenario is chosen.
        samples: how often the body is run in one process; the process's value is their median.
        warm: whether the body is run once before, with a tenth of the operations.
        primary: the metric that is compared; lower is better for each.
        compared: whether ratios make sense (a lateness may be zero or negative).
        params: what the body reads with `Bench.param`.
        uses: names of asyncio that `maypole` may offer a native version of, as `sleep`.
        load: set when a load generator drives the body as a server.
        floor: whether the floor servers can stand in for the body.
        program: a script that is measured as a whole process; it gets `module:factory` as its argument.
        service: `redis` or `postgres` when the body needs that server.
        packages: modules that must be importable.
        limit_s: seconds after which a process of this scenario is ended.
    """

    name: str
    body: Callable[..., Any]
    count: int
    unit: str
    tier: Tier = Tier.STANDARD
    samples: int = 3
    warm: bool = True
    primary: str = "cpu_ns"
    compared: bool = True
    params: dict[str, int] = field(default_factory=dict)
    uses: frozenset[str] = frozenset()
    load: Load | None = None
    floor: bool = False
    program: str | None = None
    service: str | None = None
    packages: tuple[str, ...] = ()
    limit_s: float = 45.0

    @property
    def group(self) -> str:
        """The part of the name before the first dot."""
        return self.name.partition(".")[0]


REGISTER: dict[str, Scenario] = {}


def scenario(name: str, **settings: Any) -> Callable[[Body], Body]:
    """Registers the decorated function as the body of a scenario; may be stacked for several sizes.

    Args:
        name: the scenario's name.
        **settings: fields of `Scenario`.

    Raises:
        ValueError: two scenarios share the name.
    """

    def register(body: Body) -> Body:
        if name in REGISTER:
            raise ValueError(f"two scenarios are named {name!r}")
        REGISTER[name] = Scenario(name=name, body=body, **settings)
        return body

    return register


def select(patterns: list[str], tier: Tier) -> list[Scenario]:
    """The scenarios that a run measures, in the order of their files.

    Args:
        patterns: names or globs; empty for all of the tier.
        tier: the last tier included when no pattern is given. A pattern reaches every tier.

    Raises:
        ValueError: a pattern matches nothing.

    >>> select(["no.such"], Tier.QUICK)
    Traceback (most recent call last):
    ValueError: no scenario matches 'no.such'
    """
    if not patterns:
        return [one for one in REGISTER.values() if one.tier <= tier]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in REGISTER):
            raise ValueError(f"no scenario matches {pattern!r}")
    return [one for name, one in REGISTER.items() if any(fnmatchcase(name, pattern) for pattern in patterns)]
