"""The servers that recipes of the guide talk to are those of the framework tests."""

from __future__ import annotations

import pytest
from frameworks.conftest import postgres_url, redis_port

__all__ = ["postgres_url", "redis_port"]


@pytest.fixture(autouse=True)
def not_in_debug_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pages show is not debug mode: there tasks are asyncio's own, and slow steps are logged."""
    monkeypatch.delenv("PYTHONASYNCIODEBUG", raising=False)


@pytest.fixture(scope="session")
def redis_url(redis_port: int) -> str:
    """The address of a Redis of our own."""
    return f"redis://127.0.0.1:{redis_port}"
