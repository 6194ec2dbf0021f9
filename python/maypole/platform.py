"""Where maypole runs: Linux, CPython 3.11 or newer, with the interpreter lock."""

from __future__ import annotations

import platform
import sys


def check() -> None:
    """Refuse a Python or a system that maypole cannot run on.

    Raises:
        ImportError: with one sentence that names what is missing.
    """
    if sys.implementation.name != "cpython" or sys.version_info < (3, 11):
        raise ImportError(
            "maypole needs CPython 3.11 or newer, "
            f"this is {platform.python_implementation()} {platform.python_version()}"
        )
    if "t" in getattr(sys, "abiflags", ""):
        raise ImportError(
            "maypole needs the interpreter lock, "
            f"this is a free-threaded build of Python {platform.python_version()}"
        )
    if not sys.platform.startswith("linux"):
        raise ImportError(f"maypole runs on Linux (it waits with epoll), this is {platform.system()}")
