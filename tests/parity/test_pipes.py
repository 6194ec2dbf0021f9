"""``connect_read_pipe`` and ``connect_write_pipe``."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio


class Recorder(asyncio.Protocol):
    """Keeps what comes out of a pipe."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.mark.debug
def test_what_goes_in_comes_out(loop: Loop) -> None:
    payload = bytes(range(256)) * 4096

    async def main() -> None:
        read_end, write_end = os.pipe()
        reader, received = await loop.connect_read_pipe(Recorder, os.fdopen(read_end, "rb", 0))
        writer, sent = await loop.connect_write_pipe(Recorder, os.fdopen(write_end, "wb", 0))
        assert isinstance(reader, asyncio.ReadTransport)
        assert isinstance(writer, asyncio.WriteTransport)
        writer.write(payload)
        writer.close()
        assert await received.lost is None
        assert await sent.lost is None
        assert received.data == payload

    loop.run_until_complete(main())


def test_a_reader_that_goes_away_ends_the_writer(loop: Loop) -> None:
    async def main() -> None:
        read_end, write_end = os.pipe()
        _, protocol = await loop.connect_write_pipe(Recorder, os.fdopen(write_end, "wb", 0))
        os.close(read_end)
        assert await protocol.lost is None or isinstance(await protocol.lost, BrokenPipeError)

    loop.run_until_complete(main())


def test_a_terminal_is_read_to_its_end(loop: Loop) -> None:
    async def main() -> None:
        ours, theirs = os.openpty()
        _, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(ours, "rb", 0))
        os.write(theirs, b"typed\n")
        while b"typed" not in protocol.data:
            await asyncio.sleep(0)
        os.close(theirs)
        await protocol.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
def test_a_regular_file_is_refused_as_in_asyncio(same_as_asyncio: SameAsAsyncio, method: str) -> None:
    def scenario(loop: Loop) -> Any:
        with tempfile.TemporaryFile() as file:
            return loop.run_until_complete(getattr(loop, method)(asyncio.Protocol, file))

    assert same_as_asyncio(scenario).error is ValueError


@pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
def test_a_failing_factory_closes_the_pipe_once_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, method: str
) -> None:
    def factory() -> asyncio.Protocol:
        raise LookupError("no protocol")

    def scenario(loop: Loop) -> Any:
        read_end, write_end = os.pipe()
        with os.fdopen(read_end, "rb", 0) as reader, os.fdopen(write_end, "wb", 0) as writer:
            pipe = reader if method == "connect_read_pipe" else writer
            try:
                return loop.run_until_complete(getattr(loop, method)(factory, pipe))
            finally:
                assert not pipe.closed

    assert same_as_asyncio(scenario).error is LookupError
