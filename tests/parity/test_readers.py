"""``add_reader`` and ``add_writer``: level-triggered, one callback per direction, bad descriptors refused."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import maypole
import pytest
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets that do not block."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def settle(loop: Loop) -> None:
    """Run until what is ready has been seen, more than once."""
    loop.call_later(0.005, loop.stop)
    loop.run_forever()


def test_a_run_of_one_turn_sees_what_is_ready(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[str] = []
    loop.add_reader(ours, seen.append, "ready")
    theirs.send(b"x")
    for _ in range(5):
        run_once(loop)
    loop.remove_reader(ours)
    assert seen == ["ready"] * 5


@pytest.mark.debug
def test_a_reader_is_called_as_long_as_there_is_something_to_read(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[bytes] = []

    def read_one() -> None:
        seen.append(ours.recv(1))
        if len(seen) == 10:
            loop.stop()

    loop.add_reader(ours, read_one)
    theirs.send(b"0123456789")
    loop.run_forever()
    assert b"".join(seen) == b"0123456789"
    assert loop.remove_reader(ours) is True
    assert loop.remove_reader(ours) is False


def test_a_writer_is_called_as_long_as_there_is_room(loop: Loop, pair: Pair) -> None:
    ours, _ = pair
    seen: list[int] = []

    def write() -> None:
        seen.append(1)
        if len(seen) == 5:
            loop.stop()

    loop.add_writer(ours, write)
    loop.run_forever()
    assert len(seen) == 5
    assert loop.remove_writer(ours) is True
    assert loop.remove_writer(ours) is False


def test_a_second_reader_replaces_the_first(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[str] = []

    def read(name: str) -> None:
        seen.append(name)
        loop.remove_reader(ours)
        loop.stop()

    loop.add_reader(ours, read, "first")
    loop.add_reader(ours, read, "second")
    theirs.send(b"x")
    loop.run_forever()
    assert seen == ["second"]


def test_a_writer_beside_a_reader_keeps_the_reader(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[str] = []

    def note(name: str, remove: Callable[[Any], bool]) -> None:
        seen.append(name)
        remove(ours)

    loop.add_reader(ours, note, "read", loop.remove_reader)
    loop.add_writer(ours, note, "write", loop.remove_writer)
    theirs.send(b"x")
    settle(loop)
    assert sorted(seen) == ["read", "write"]


def test_removing_one_direction_keeps_the_other(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[str] = []
    loop.add_writer(ours, seen.append, "write")

    def read() -> None:
        seen.append(ours.recv(10).decode())

    loop.add_reader(ours, read)
    loop.remove_writer(ours)
    theirs.send(b"read")
    settle(loop)
    loop.remove_reader(ours)
    theirs.send(b"more")
    settle(loop)
    assert seen == ["read"]


def test_a_reader_that_is_removed_by_another_in_the_same_turn_is_not_called(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[int] = []

    def read(number: int) -> None:
        seen.append(number)
        for ours, _ in pairs:
            loop.remove_reader(ours)

    for number, (ours, theirs) in enumerate(pairs):
        loop.add_reader(ours, read, number)
        theirs.send(b"x")
    settle(loop)
    assert len(seen) == 1
    for ends in pairs:
        for end in ends:
            end.close()


def test_end_of_file_calls_the_reader(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[bytes] = []

    def read() -> None:
        seen.append(ours.recv(10))
        loop.remove_reader(ours)
        loop.stop()

    loop.add_reader(ours, read)
    theirs.close()
    loop.run_forever()
    assert seen == [b""]


def test_a_reset_connection_calls_reader_and_writer(loop: Loop) -> None:
    seen: set[str] = set()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        peer, _ = server.accept()
        client.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        peer.close()

        def note(name: str, remove: Callable[[Any], bool]) -> None:
            seen.add(name)
            remove(client)
            if len(seen) == 2:
                loop.stop()

        loop.add_reader(client, note, "reader", loop.remove_reader)
        loop.add_writer(client, note, "writer", loop.remove_writer)
        loop.run_forever()
    assert seen == {"reader", "writer"}


def test_a_descriptor_number_that_is_used_again_gets_no_old_events(loop: Loop) -> None:
    seen: list[str] = []
    first, peer = socket.socketpair()
    number = first.fileno()
    loop.add_reader(first, seen.append, "old")
    peer.send(b"x")
    loop.remove_reader(first)
    second, other = socket.socketpair()
    first.close()
    os.dup2(second.fileno(), number)
    loop.add_reader(number, seen.append, "new")
    settle(loop)
    assert seen == []
    other.send(b"y")
    settle(loop)
    assert set(seen) == {"new"}
    loop.remove_reader(number)
    os.close(number)
    for end in (peer, second, other):
        end.close()


def test_a_reader_gets_its_arguments_and_its_context(loop: Loop, pair: Pair) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    ours, theirs = pair
    seen: list[tuple[Any, ...]] = []

    def read(*given: object) -> None:
        seen.append((*given, variable.get()))
        loop.remove_reader(ours)
        loop.stop()

    token = variable.set("at the call")
    loop.add_reader(ours, read, 1, "two")
    variable.reset(token)
    theirs.send(b"x")
    loop.run_forever()
    assert seen == [(1, "two", "at the call")]


def test_a_reader_that_raises_is_reported_and_stays(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    reported: list[str] = []
    loop.set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    left = [3]

    def read() -> None:
        left[0] -= 1
        if not left[0]:
            loop.stop()
        raise ValueError(f"{left[0]} left")

    loop.add_reader(ours, read)
    theirs.send(b"x")
    loop.run_forever()
    assert reported == ["2 left", "1 left", "0 left"]
    loop.remove_reader(ours)


class NoNumber:
    """Its fileno is no number."""

    def fileno(self) -> str:
        return "three"


class Raises:
    """Its fileno fails."""

    def fileno(self) -> int:
        raise ZeroDivisionError("no descriptor")


def closed_socket() -> socket.socket:
    """A socket that has been closed."""
    sock = socket.socket()
    sock.close()
    return sock


BAD_DESCRIPTORS: dict[str, Callable[[], Any]] = {
    "negative": lambda: -1,
    "not open": lambda: 9999,
    "none": lambda: None,
    "text": lambda: "0",
    "float": lambda: 1.5,
    "object": object,
    "closed socket": closed_socket,
    "no number": NoNumber,
    "fileno raises": Raises,
}


@pytest.mark.parametrize("method", ["add_reader", "add_writer", "remove_reader", "remove_writer"])
@pytest.mark.parametrize("bad", BAD_DESCRIPTORS.values(), ids=BAD_DESCRIPTORS.keys())
def test_bad_descriptors_fail_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, method: str, bad: Callable[[], Any]
) -> None:
    arguments = (print,) if method.startswith("add") else ()
    same_as_asyncio(lambda loop: getattr(loop, method)(bad(), *arguments))


@pytest.mark.parametrize("method", ["add_reader", "add_writer"])
@pytest.mark.parametrize("number", [2**31, 2**40, 2**70, -(2**31), -(2**70)])
def test_a_number_that_no_descriptor_can_have_is_refused(loop: Loop, method: str, number: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        getattr(loop, method)(number, print)


@pytest.mark.parametrize("method", ["add_reader", "add_writer"])
def test_a_regular_file_is_refused_as_in_asyncio(same_as_asyncio: SameAsAsyncio, method: str) -> None:
    with tempfile.TemporaryFile() as file:
        outcome = same_as_asyncio(lambda loop: getattr(loop, method)(file, print))
    assert outcome.error is PermissionError


def test_a_descriptor_of_a_transport_is_refused_as_in_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    import asyncio

    def scenario(loop: Loop) -> None:
        ours, theirs = socket.socketpair()

        async def main() -> None:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            try:
                loop.add_reader(ours, print)
            finally:
                transport.close()
                await asyncio.sleep(0)

        try:
            loop.run_until_complete(main())
        finally:
            theirs.close()

    same_as_asyncio(scenario)


@pytest.mark.parametrize("side", ["reader", "writer"])
def test_a_socket_that_was_closed_while_it_was_watched_can_be_taken_out(
    same_as_asyncio: SameAsAsyncio, side: str
) -> None:
    def scenario(loop: Loop) -> Any:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        add, remove = getattr(loop, f"add_{side}"), getattr(loop, f"remove_{side}")
        add(ours, print)
        ours.close()
        theirs.close()
        removed = remove(ours)
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            remove(ours)
        return removed

    assert same_as_asyncio(scenario).value is True


def test_a_closed_socket_takes_nobody_elses_descriptor_out(loop: Loop) -> None:
    first, theirs = socket.socketpair()
    first.setblocking(False)
    loop.add_reader(first, print)
    number = first.detach()
    loop.remove_reader(number)
    seen: list[str] = []
    loop.add_reader(number, seen.append, "ready")
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        loop.remove_reader(first)
    theirs.send(b"x")
    settle(loop)
    assert seen
    assert loop.remove_reader(number)
    os.close(number)
    theirs.close()


def test_a_socket_is_let_go_when_nothing_of_it_is_watched() -> None:
    loop = maypole.new_event_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, print)
        loop.add_writer(ours, print)
        loop.remove_reader(ours)
        loop.remove_writer(ours.fileno())
        assert not loop._watched_by
        loop.add_reader(ours, print)
        assert loop._watched_by
        loop.close()
        assert not loop._watched_by
