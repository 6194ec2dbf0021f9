"""FastAPI under uvicorn in a process of its own, asked by real clients."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from frameworks.servers import uvicorn
from harness.kinds import ASYNCIO, LoopKind

aiohttp: Any = pytest.importorskip("aiohttp", reason="aiohttp is not installed for this Python")
pytest.importorskip("fastapi", reason="FastAPI is not installed for this Python")
pytest.importorskip("uvicorn", reason="uvicorn is not installed for this Python")

REQUESTS = 10_000
AT_ONCE = 50


@pytest.fixture
def server(loop_kind: LoopKind, tmp_path: Path) -> Iterator[str]:
    """The address of the application, served on the loop under test."""
    with uvicorn(loop_kind, "pages:app", tmp_path / "log") as (_, port):
        yield f"http://127.0.0.1:{port}"


def test_the_server_runs_on_the_loop_that_was_asked_for(server: str, loop_kind: LoopKind) -> None:
    async def main() -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{server}/loop") as answer:
            page: dict[str, Any] = await answer.json()
            return page

    page = asyncio.run(main())
    assert page["loop"].startswith("asyncio." if loop_kind == ASYNCIO else "maypole.")
    assert page["beats"] > 0


@pytest.mark.timeout(180)
def test_ten_thousand_requests_are_answered_without_an_error(server: str) -> None:
    async def main() -> int:
        numbers = iter(range(REQUESTS))
        answered = 0

        async def client(session: Any) -> None:
            nonlocal answered
            for number in numbers:
                async with session.get(f"{server}/items/{number}") as answer:
                    assert answer.status == 200
                    assert await answer.json() == {"number": number, "square": number * number}
                    answered += 1

        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(client(session) for _ in range(AT_ONCE)))
        return answered

    assert asyncio.run(main()) == REQUESTS


def test_two_hundred_pages_are_downloaded_at_once(server: str, run: Any) -> None:
    async def main() -> None:
        async def page(session: Any, number: int) -> str:
            async with session.get(f"{server}/stream/{number}") as answer:
                text: str = await answer.text()
                return text

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            pages = await asyncio.gather(*(page(session, number) for number in range(200)))
        assert [len(text) for text in pages] == [7 * number for number in range(200)]

    run(main())


def test_every_way_of_answering_works(server: str, run: Any) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{server}/threads/41") as answer:
                assert await answer.json() == 42
            async with session.post(f"{server}/length", data=io.BytesIO(b"x" * 3_000_000)) as answer:
                assert await answer.json() == 3_000_000
            async with session.get(f"{server}/broken") as answer:
                assert answer.status == 500
            async with session.get(f"{server}/items/none") as answer:
                assert answer.status == 422
            done = 0
            while done < 3:
                async with session.get(f"{server}/later") as answer:
                    done = await answer.json()

    run(main())


def test_websockets_echo(server: str, run: Any) -> None:
    async def main() -> None:
        async def talk(session: Any, number: int) -> None:
            async with session.ws_connect(f"{server}/echo") as socket:
                for word in ("one", "two", "x" * 100_000):
                    await socket.send_str(f"{word}{number}")
                    assert await socket.receive_str(timeout=10) == f"{word}{number}".upper()

        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(talk(session, number) for number in range(20)))

    run(main())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_shuts_the_server_down_in_order(
    loop_kind: LoopKind, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    with uvicorn(loop_kind, "pages:app", log) as (process, _):
        process.send_signal(number)
        # uvicorn raises the signal again when all is done.
        assert process.wait(20) in (0, -number, 128 + number)
    assert "lifespan ended" in log.read_text()
    assert "Traceback" not in log.read_text() or "KeyboardInterrupt" in log.read_text()
