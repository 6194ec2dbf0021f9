"""Where maypole runs: Linux, CPython 3.11 or newer, with the interpreter lock."""

from __future__ import annotations

import sys


def check() -> None:
    """Refuse a Python or a system that maypole cannot run on.

    Raises:
        ImportError: with one sentence that names what is missing.
    """
    version = sys.version.partition(" ")[0]
    if sys.implementation.name != "cpython" or sys.version_info < (3, 11):
        kind = {"cpython": "CPython", "pypy": "PyPy"}.get(sys.implementation.name, sys.implementation.name)
        raise ImportError(f"maypole needs CPython 3.11 or newer, this is {kind} {version}")
    if "t" in getattr(sys, "abiflags", ""):
        raise ImportError(
            f"maypole needs the interpreter lock, this is a free-threaded build of Python {version}"
        )
    if not sys.platform.startswith("linux"):
        raise ImportError(f"maypole runs on Linux (it waits with epoll), this is {sys.platform}")
