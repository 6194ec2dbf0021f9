"""``install`` and ``uninstall``: what they replace, and that nothing happens without them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import maypole
import pytest
from maypole.natives.install import REPLACED

NAMES = [(module, name) for module, names in REPLACED.items() for name in names]


@pytest.fixture
def installed() -> Iterator[None]:
    """maypole's helpers stand in asyncio's place during the test."""
    maypole.install()
    yield
    maypole.uninstall()


def test_importing_replaces_nothing() -> None:
    code = """if True:
        import asyncio
        from maypole.natives.install import REPLACED
        import sys
        for module, names in REPLACED.items():
            for name in names:
                for place in (asyncio, sys.modules[module]):
                    assert getattr(place, name).__module__.startswith("asyncio"), (place, name)
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("module", "name"), NAMES)
def test_installing_replaces_each_name_in_both_places(module: str, name: str) -> None:
    native = getattr(maypole, name)
    assert getattr(asyncio, name) is native
    assert getattr(sys.modules[module], name) is native


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_uninstalling_puts_back_what_was_there(module: str, name: str) -> None:
    before = getattr(asyncio, name)
    maypole.install()
    maypole.install()
    maypole.uninstall()
    assert getattr(asyncio, name) is before
    assert getattr(sys.modules[module], name) is before
    maypole.uninstall()
    assert getattr(asyncio, name) is before


def test_uninstalling_leaves_what_others_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine() -> None: ...

    original = asyncio.sleep
    maypole.install()
    monkeypatch.setattr(asyncio, "sleep", mine)
    maypole.uninstall()
    assert vars(asyncio)["sleep"] is mine
    monkeypatch.undo()
    asyncio.sleep = original


@pytest.mark.usefixtures("installed")
def test_a_program_runs_on_the_installed_helpers(loop_factory: Any) -> None:
    async def main() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)
                await asyncio.sleep(0)

        _, *items = await asyncio.gather(produce(), *(queue.get() for _ in range(3)))
        async with asyncio.Condition() as nothing, asyncio.Lock():
            return [*items, nothing]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == [0, 1, 2, None]


@pytest.mark.usefixtures("installed")
def test_asyncios_own_code_uses_them() -> None:
    condition: Any = asyncio.Condition()
    barrier: Any = asyncio.Barrier(2)
    assert type(condition._lock) is maypole.Lock
    assert type(barrier._cond._lock) is maypole.Lock


def test_objects_made_meanwhile_go_on_working() -> None:
    maypole.install()
    queue: asyncio.Queue[str] = asyncio.Queue()
    maypole.uninstall()
    queue.put_nowait("kept")

    async def main() -> str:
        return await queue.get()

    assert asyncio.run(main()) == "kept"
