"""What is measured: one file per group, each scenario a small function."""

from __future__ import annotations

from importlib import import_module

from measuring.scenario import REGISTER, Scenario

#: In the order of the report.
GROUPS = (
    "callbacks",
    "timers",
    "tasks",
    "waiting",
    "seed",
    "outside",
    "echo",
    "datagrams",
    "memory",
    "startup",
    "frameworks",
)


def load() -> dict[str, Scenario]:
    """All scenarios, in the order of the report."""
    for group in GROUPS:
        import_module(f"scenarios.{group}")
    return REGISTER
