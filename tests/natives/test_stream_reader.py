"""``StreamReader``: what each way of reading takes, waits for, refuses; random histories as with asyncio."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import maypole
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

takes_tuples = pytest.mark.skipif(sys.version_info < (3, 13), reason="tuples came with Python 3.13")


class Transport:
    """Notes what the reader asks of its transport."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")


async def later(*steps: Callable[[], object]) -> None:
    """Take one step a turn."""
    for step in steps:
        await asyncio.sleep(0)
        step()


def test_read_takes_what_is_there(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"abcdef")
        return [await reader.read(0), await reader.read(2), await reader.read(10)]

    assert run(main()) == [b"", b"ab", b"cdef"]


@pytest.mark.parametrize("data", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes")])
def test_any_buffer_of_bytes_is_taken_in(api: Any, run: Any, data: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"")
        reader.feed_data(data)
        reader.feed_data(data)
        return [await reader.readexactly(7), await reader.read(9)]

    assert run(main()) == [b"bytesby", b"tes"]


def test_a_chunk_that_is_read_whole_is_not_copied(run: Any) -> None:
    async def main() -> bool:
        reader, chunk = maypole.StreamReader(), bytes(100)
        reader.feed_data(chunk)
        return await reader.readexactly(100) is chunk

    assert run(main())


def test_what_was_taken_in_may_change_afterwards(api: Any, run: Any) -> None:
    async def main() -> bytes:
        reader, data = api.StreamReader(), bytearray(b"before")
        reader.feed_data(data)
        data[:] = b"after!"
        return bytes(await reader.read(6))

    assert run(main()) == b"before"


@pytest.mark.parametrize("data", ["text", 1.5, None])
def test_anything_else_is_a_type_error(api: Any, run: Any, data: Any) -> None:
    async def main() -> None:
        if data is not None:
            with pytest.raises(TypeError):
                api.StreamReader().feed_data(data)

    run(main())


def test_read_waits_for_data_or_the_end(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        feeding = asyncio.ensure_future(later(lambda: reader.feed_data(b"late"), reader.feed_eof))
        found = [await reader.read(10), await reader.read(10), await reader.read(10)]
        await feeding
        return found

    assert run(main()) == [b"late", b"", b""]


def test_read_without_a_number_reads_to_the_end(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader(limit=4)
        reader.feed_data(b"abcdef")
        feeding = asyncio.ensure_future(later(lambda: reader.feed_data(b"ghi"), reader.feed_eof))
        found = [await reader.read(), await reader.read(-1)]
        await feeding
        return found

    assert run(main()) == [b"abcdefghi", b""]


def test_readexactly_waits_for_all_of_it(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        steps = [lambda part=part: reader.feed_data(part) for part in (b"ab", b"cd", b"ef")]
        feeding = asyncio.ensure_future(later(*steps))
        found = [await reader.readexactly(0), await reader.readexactly(5), await reader.readexactly(1)]
        await feeding
        return found

    assert run(main()) == [b"", b"abcde", b"f"]


def test_readexactly_gives_the_rest_in_its_error(api: Any, run: Any) -> None:
    async def main() -> tuple[bytes, Any, str, bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"abc")
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readexactly(5)
        return caught.value.partial, caught.value.expected, str(caught.value), await reader.read()

    assert run(main()) == (b"abc", 5, "3 bytes read on a total of 5 expected bytes", b"")


def test_more_than_any_number_of_bytes_may_be_asked_for(api: Any, run: Any) -> None:
    async def main() -> tuple[bytes, bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"all")
        some = await reader.read(2**70)
        reader.feed_data(b"rest")
        reader.feed_eof()
        return some, await reader.read(-(2**70))

    assert run(main()) == (b"all", b"rest")


def test_readexactly_refuses_a_negative_number(api: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="readexactly size can not be less than zero"):
            await api.StreamReader().readexactly(-1)

    run(main())


def test_lines_keep_their_ends(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"one\ntwo\n\nthr")
        feeding = asyncio.ensure_future(later(lambda: reader.feed_data(b"ee\nlast"), reader.feed_eof))
        lines = [await reader.readline() for _ in range(6)]
        await feeding
        return lines

    assert run(main()) == [b"one\n", b"two\n", b"\n", b"three\n", b"last", b""]


def test_a_reader_iterates_over_lines(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"one\ntwo\nthree")
        reader.feed_eof()
        lines = [line async for line in reader]
        with pytest.raises(StopAsyncIteration):
            await anext(reader)
        return lines

    assert run(main()) == [b"one\n", b"two\n", b"three"]


def test_readuntil_finds_a_separator_in_parts(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        steps = [lambda part=part: reader.feed_data(part) for part in (b"ab\r", b"\nc", b"d\r\n\r\n")]
        feeding = asyncio.ensure_future(later(*steps))
        found = [await reader.readuntil(b"\r\n"), await reader.readuntil(b"\r\n\r\n")]
        await feeding
        return found

    assert run(main()) == [b"ab\r\n", b"cd\r\n\r\n"]


@takes_tuples
def test_of_several_separators_the_one_that_ends_first_counts(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"one; two, three;\n")
        return [await reader.readuntil((b",", b"; ")), await reader.readuntil((b";\n", b";", b","))]

    assert run(main()) == [b"one; ", b"two,"]


@pytest.mark.parametrize(
    ("separator", "text"),
    [(b"", "at least one-byte string"), pytest.param((), "at least one element", marks=takes_tuples)],
)
def test_an_empty_separator_is_refused(api: Any, run: Any, separator: Any, text: str) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match=text):
            await api.StreamReader().readuntil(separator)

    run(main())


def test_the_end_before_the_separator_is_an_error(api: Any, run: Any) -> None:
    async def main() -> tuple[bytes, Any]:
        reader = api.StreamReader()
        reader.feed_data(b"no end")
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readuntil()
        return caught.value.partial, caught.value.expected

    assert run(main()) == (b"no end", None)


@pytest.mark.parametrize(
    ("data", "text", "consumed"),
    [
        (b"123456\nrest", "Separator is found, but chunk is longer than limit", 6),
        (b"1234567", "Separator is not found, and chunk exceed the limit", 7),
    ],
)
def test_readuntil_leaves_what_is_too_long(api: Any, run: Any, data: bytes, text: str, consumed: int) -> None:
    async def main() -> None:
        reader = api.StreamReader(limit=4)
        reader.feed_data(data)
        with pytest.raises(asyncio.LimitOverrunError, match=text) as caught:
            await reader.readuntil()
        assert caught.value.consumed == consumed
        assert await reader.readexactly(len(data)) == data

    run(main())


def test_a_line_that_is_too_long_is_dropped(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader(limit=4)
        reader.feed_data(b"123456\nnext\n1234567")
        with pytest.raises(ValueError, match="Separator is found, but chunk is longer than limit"):
            await reader.readline()
        found = [await reader.readline()]
        with pytest.raises(ValueError, match="Separator is not found, and chunk exceed the limit"):
            await reader.readline()
        reader.feed_data(b"end\n")
        return [*found, await reader.readline()]

    assert run(main()) == [b"next\n", b"end\n"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(api: Any, run: Any, limit: int) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="Limit cannot be <= 0"):
            api.StreamReader(limit=limit)

    run(main())


def test_the_transport_pauses_at_twice_the_limit_and_resumes_at_the_limit(api: Any, run: Any) -> None:
    async def main() -> list[str]:
        reader, transport = api.StreamReader(limit=4), Transport()
        reader.set_transport(transport)
        reader.feed_data(b"12345678")
        assert transport.asked == []
        reader.feed_data(b"9")
        reader.feed_data(b"0")
        await reader.readexactly(5)
        assert transport.asked == ["pause"]
        await reader.readexactly(1)
        return transport.asked

    assert run(main()) == ["pause", "resume"]


def test_a_reader_that_waits_for_more_than_its_limit_resumes_the_transport(api: Any, run: Any) -> None:
    async def main() -> tuple[bytes, list[str]]:
        reader, transport = api.StreamReader(limit=2), Transport()
        reader.set_transport(transport)
        reader.feed_data(b"12345")
        feeding = asyncio.ensure_future(later(lambda: reader.feed_data(b"67890")))
        data = await reader.readexactly(10)
        await feeding
        return data, transport.asked

    assert run(main()) == (b"1234567890", ["pause", "resume", "pause", "resume"])


def test_a_transport_that_cannot_pause_is_asked_once(api: Any, run: Any) -> None:
    asked: list[str] = []

    class Stubborn:
        def pause_reading(self) -> None:
            asked.append("pause")
            raise NotImplementedError

    async def main() -> None:
        reader = api.StreamReader(limit=2)
        reader.set_transport(Stubborn())
        reader.feed_data(b"12345")
        reader.feed_data(b"67890")

    run(main())
    assert asked == ["pause"]


def test_a_transport_is_set_once(api: Any, run: Any) -> None:
    async def main() -> None:
        reader = api.StreamReader()
        reader.set_transport(Transport())
        with pytest.raises(AssertionError, match="Transport already set"):
            reader.set_transport(Transport())

    run(main())


def test_nothing_comes_after_the_end(api: Any, run: Any) -> None:
    async def main() -> None:
        reader = api.StreamReader()
        reader.feed_data(b"last")
        reader.feed_eof()
        assert not reader.at_eof()
        with pytest.raises(AssertionError, match="feed_data after feed_eof"):
            reader.feed_data(b"more")
        await reader.read(4)
        assert reader.at_eof()

    run(main())


READS = ["read", "readexactly", "readuntil", "readline", "__anext__"]


def reading(reader: Any, name: str) -> Coroutine[Any, Any, bytes]:
    """One read of each kind that has to wait in an empty reader."""
    arguments = {"read": (1,), "readexactly": (1,)}.get(name, ())
    made: Coroutine[Any, Any, bytes] = getattr(reader, name)(*arguments)
    return made


@pytest.mark.parametrize("name", READS)
def test_only_one_task_may_wait(api: Any, run: Any, name: str) -> None:
    async def main() -> None:
        reader = api.StreamReader()
        waiting = asyncio.ensure_future(reading(reader, name))
        await asyncio.sleep(0)
        text = "called while another coroutine is already waiting for incoming data"
        with pytest.raises(RuntimeError, match=text):
            await reading(reader, name)
        reader.feed_data(b"\n")
        assert await waiting == b"\n"

    run(main())


@pytest.mark.parametrize("name", READS)
def test_a_failure_comes_out_of_every_read(api: Any, run: Any, name: str) -> None:
    async def main() -> None:
        reader = api.StreamReader()
        assert reader.exception() is None
        waiting = asyncio.ensure_future(reading(reader, name))
        await asyncio.sleep(0)
        failure = LookupError("failed")
        reader.set_exception(failure)
        with pytest.raises(LookupError, match="failed"):
            await waiting
        with pytest.raises(LookupError, match="failed"):
            await reading(reader, name)
        assert reader.exception() is failure

    run(main())


@pytest.mark.parametrize("name", READS)
def test_a_cancelled_read_takes_nothing(api: Any, run: Any, name: str) -> None:
    async def main() -> bytes:
        reader = api.StreamReader()
        waiting = asyncio.ensure_future(reading(reader, name))
        await asyncio.sleep(0)
        waiting.cancel()
        reader.feed_data(b"kept\n")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return bytes(await reader.readline())

    assert run(main()) == b"kept\n"


def test_a_read_that_times_out_takes_nothing(api: Any, run: Any) -> None:
    async def main() -> bytes:
        reader = api.StreamReader()
        reader.feed_data(b"ab")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(3), 0.001)
        reader.feed_data(b"c")
        return bytes(await reader.readexactly(3))

    assert run(main()) == b"abc"


def test_it_shows_its_state(api: Any, run: Any) -> None:
    async def main() -> list[str]:
        reader = api.StreamReader(limit=7)
        texts = [repr(reader)]
        reader.feed_data(b"abc")
        reader.set_exception(ValueError("x"))
        reader.feed_eof()
        return [*texts, repr(reader)]

    assert run(main()) == [
        "<StreamReader limit=7>",
        "<StreamReader 3 bytes eof limit=7 exception=ValueError('x')>",
    ]


def test_it_is_asyncios_reader(api: Any, run: Any) -> None:
    async def main() -> None:
        reader = api.StreamReader()
        assert reader._loop is asyncio.get_running_loop()
        assert isinstance(reader, asyncio.StreamReader)
        assert re.fullmatch(r"<StreamReader>", repr(reader))

    run(main())


def test_what_is_done_to_the_buffer_counts(api: Any, run: Any) -> None:
    async def main() -> list[bytes]:
        reader = api.StreamReader()
        reader.feed_data(b"abcdef")
        await reader.readexactly(1)
        reader._buffer[:0] = b"X"
        reader.feed_data(b"gh")
        found = [await reader.readexactly(3)]
        del reader._buffer[:2]
        return [*found, await reader.read(10)]

    assert run(main()) == [b"Xbc", b"fgh"]


def test_a_subclass_is_asked(api: Any, run: Any) -> None:
    class Shouting(api.StreamReader):  # type: ignore[misc]
        async def readuntil(self, separator: bytes = b"\n") -> bytes:
            found: bytes = await super().readuntil(separator)
            return found.upper()

    class Counting(api.StreamReader):  # type: ignore[misc]
        waits = 0

        async def _wait_for_data(self, func_name: str) -> None:
            self.waits += 1
            await super()._wait_for_data(func_name)

    async def main() -> list[object]:
        shouting, counting = Shouting(), Counting()
        shouting.feed_data(b"one\ntwo\n")
        feeding = asyncio.ensure_future(
            later(lambda: counting.feed_data(b"a"), lambda: counting.feed_data(b"b\n"))
        )
        line = await counting.readline()
        await feeding
        return [await shouting.readline(), [line async for line in limited(shouting)], line, counting.waits]

    async def limited(reader: Any) -> Any:
        yield await anext(reader)

    assert run(main()) == [b"ONE\n", [b"TWO\n"], b"ab\n", 2]


CHUNKS = st.binary(max_size=12).map(
    lambda data: data.translate(bytes.maketrans(bytes(range(64, 256)), b"\n;a" * 64))
)
ACTIONS = st.one_of(
    st.tuples(st.just("feed"), CHUNKS),
    st.tuples(st.just("read"), st.integers(-1, 9)),
    st.tuples(st.just("readexactly"), st.integers(-1, 9)),
    st.tuples(st.just("readuntil"), st.sampled_from([b"\n", b";a", b"a\n;", b""])),
    st.tuples(st.just("readline"), st.none()),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("fail"), st.none()),
    st.tuples(st.just("eof"), st.none()),
    st.tuples(st.just("show"), st.none()),
)


async def play(api: Any, limit: int, actions: list[tuple[str, Any]]) -> list[object]:
    """Act on a reader, one read at a time, and note everything that can be seen."""
    reader, transport = api.StreamReader(limit=limit), Transport()
    reader.set_transport(transport)
    notes: list[object] = []
    waiting: asyncio.Task[Any] | None = None
    for action, value in [*actions, ("eof", None)]:
        if action == "feed" and not reader._eof:
            reader.feed_data(value)
        elif action == "eof":
            reader.feed_eof()
        elif action == "fail":
            reader.set_exception(LookupError("failed"))
        elif action == "show":
            notes.append(bytes(reader._buffer))
        elif action == "cancel" and waiting is not None:
            waiting.cancel()
        elif action.startswith("read") and waiting is None:
            arguments = () if value is None else (value,)
            waiting = asyncio.ensure_future(getattr(reader, action)(*arguments))
        for _ in range(3):
            await asyncio.sleep(0)
        if waiting is not None and waiting.done():
            notes.append(str(outcome(waiting)))
            waiting = None
        notes.append((tuple(transport.asked), reader.at_eof(), reader._paused))
    if waiting is not None:
        notes.append(str(outcome(waiting)))
    notes.append(bytes(reader._buffer))
    return notes


def outcome(task: asyncio.Task[Any]) -> object:
    """The result, or the exception with its fields."""
    if task.cancelled():
        return "cancelled"
    exception = task.exception()
    if exception is None:
        return task.result()
    fields = [getattr(exception, name, None) for name in ("partial", "expected", "consumed")]
    return type(exception).__name__, str(exception), fields


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 8), st.lists(ACTIONS, max_size=25))
def test_random_histories_are_those_of_asyncio(limit: int, actions: list[tuple[str, Any]]) -> None:
    expected = asyncio.run(play(asyncio, limit, actions))
    assert maypole.run(play(maypole, limit, actions)) == expected
