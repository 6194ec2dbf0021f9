"""Which servers, frameworks and clients are installed, and the line that switches each to maypole.

The lines are those of the guide, where the tests run them.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import NamedTuple


class Package(NamedTuple):
    """A distribution, the line that switches it, and the first version in which that works."""

    name: str
    switch: str
    since: str = "0"


RUN = "maypole.run(main())"

PACKAGES = (
    Package("uvicorn", "uvicorn app:app --loop maypole:new_event_loop", "0.36"),
    Package("gunicorn", 'CONFIG_KWARGS = {"loop": "maypole:new_event_loop"} in a class on UvicornWorker'),
    Package("hypercorn", "maypole run -m hypercorn --workers 0 app:app"),
    Package(
        "granian", 'asyncio.new_event_loop = maypole.new_event_loop, then Granian(…, loop="asyncio").serve()'
    ),
    Package("fastapi", "uvicorn app:app --loop maypole:new_event_loop"),
    Package("aiohttp", "web.run_app(app, loop=maypole.new_event_loop()); a client: " + RUN),
    Package("anyio", 'anyio.run(main, backend_options={"loop_factory": maypole.new_event_loop})'),
    Package("asyncpg", RUN),
    Package("redis", RUN, "4.2"),
    Package("httpx", RUN),
    Package("websockets", RUN),
    Package(
        "pytest-asyncio",
        'def pytest_asyncio_loop_factories(config, item): return {"maypole": maypole.new_event_loop}',
        "1.4",
    ),
    Package("uvloop", RUN + " instead of uvloop.run(main())"),
)


def look() -> tuple[list[tuple[Package, str]], list[Package]]:
    """Find the packages.

    Returns:
        Those that are installed with their versions, and those that are not. Nothing is imported.
    """
    found: list[tuple[Package, str]] = []
    absent: list[Package] = []
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package.name)))
        except metadata.PackageNotFoundError:
            absent.append(package)
    return found, absent


def too_old(version: str, since: str) -> bool:
    """Whether a version is before another one, by their numbers.

    >>> too_old("0.9.1", "0.36"), too_old("0.36.0rc1", "0.36"), too_old("1.4", "1.4")
    (True, False, False)
    """
    return _numbers(version) < _numbers(since)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
