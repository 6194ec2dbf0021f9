"""What a loop finds on this machine: Python, kernel, limits. Each finding says what follows from it."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from maypole import _maypole

if TYPE_CHECKING:
    from collections.abc import Iterator

State = Literal["ok", "note"]

CONNECTIONS = 10_000
DESCRIPTORS = CONNECTIONS + 240
"""A descriptor for each connection, and some for the program itself."""


class Finding(NamedTuple):
    """One line: whether it is fine, what it is about, and what was found."""

    state: State
    name: str
    text: str


def findings() -> Iterator[Finding]:
    """Look at all of it."""
    yield python()
    yield build(_maypole.build_info()["profile"])
    yield kernel(_maypole._has_exact_timeouts())
    yield children()
    yield open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))
    yield backlog(Path("/proc/sys/net/core/somaxconn"))
    if os.environ.get("PYTHONASYNCIODEBUG") and not sys.flags.ignore_environment:
        yield Finding("note", "debug mode", "PYTHONASYNCIODEBUG is set: asyncio's own tasks, much slower")


def python() -> Finding:
    """The interpreter; one that is too old, free-threaded or no CPython has not come this far."""
    name = f"{platform.python_implementation()} {platform.python_version()}"
    return Finding("ok", "Python", f"{name}, with the interpreter lock")


def build(profile: str) -> Finding:
    """How the native module was compiled.

    >>> build("debug").state
    'note'
    """
    info = _maypole.build_info()
    text = f"{info['backend']}, {profile} build for Python {info['python']}, {info['target']}"
    if profile == "release":
        return Finding("ok", "back-end", text)
    return Finding("note", "back-end", f"{text}: not built for speed (`pip install .` builds for release)")


def kernel(exact_timeouts: bool) -> Finding:
    """The kernel, and how exactly it waits.

    >>> kernel(False).state
    'note'
    """
    release = f"{platform.system()} {platform.release()}"
    if exact_timeouts:
        return Finding("ok", "kernel", f"{release}, epoll_pwait2: timers to the nanosecond")
    return Finding(
        "note",
        "kernel",
        f"{release}, no epoll_pwait2 (before Linux 5.11, or filtered): timers may be a millisecond late",
    )


def children() -> Finding:
    """How the loop learns that a child process has ended."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Finding(
            "note", "child processes", f"no pidfd ({error.strerror}): a thread waits for each child"
        )
    return Finding("ok", "child processes", "pidfd")


def open_files(soft: int, hard: int) -> Finding:
    """The limit of descriptors, beside what many connections need.

    >>> open_files(1024, 524288).text
    'ulimit -n is 1024, too few for 10,000 connections: `ulimit -n 10240` before the start raises it'
    """
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= DESCRIPTORS:
        shown = "unlimited" if soft == unlimited else str(soft)
        return Finding("ok", "open files", f"ulimit -n is {shown}, enough for {CONNECTIONS:,} connections")
    if hard == unlimited or hard >= DESCRIPTORS:
        how = f"`ulimit -n {DESCRIPTORS}` before the start raises it"
    else:
        how = f"above {hard} root raises it (LimitNOFILE= of systemd, nofile in limits.conf)"
    return Finding(
        "note", "open files", f"ulimit -n is {soft}, too few for {CONNECTIONS:,} connections: {how}"
    )


def backlog(setting: Path) -> Finding:
    """How many connections may wait to be accepted; the kernel cuts a server's own number to this."""
    try:
        waiting = int(setting.read_text())
    except (OSError, ValueError):
        return Finding("note", "backlog", f"{setting} cannot be read")
    if waiting >= 1024:
        return Finding("ok", "backlog", f"{waiting} connections may wait to be accepted")
    return Finding(
        "note",
        "backlog",
        f"{waiting} connections may wait to be accepted; `sysctl net.core.somaxconn=4096` allows bursts",
    )
