"""``sock_*``: sockets that the program owns and the loop waits for."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio

Pair = tuple[socket.socket, socket.socket]


def socket_that_waits_not(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    return sock


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets that do not block."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


@pytest.mark.debug
def test_what_is_sent_arrives(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    payload = bytes(range(256)) * 8192  # 2 MiB: more than any buffer takes at once

    async def main() -> bytes:
        send = asyncio.create_task(loop.sock_sendall(ours, payload))
        received = bytearray()
        while len(received) < len(payload):
            received += await loop.sock_recv(theirs, 65536)
        await send
        return bytes(received)

    assert loop.run_until_complete(main()) == payload


def test_recv_into_fills_the_buffer(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair

    async def main() -> bytearray:
        buffer = bytearray(8)
        waiting = asyncio.create_task(loop.sock_recv_into(theirs, memoryview(buffer)[2:]))
        await asyncio.sleep(0)
        await loop.sock_sendall(ours, b"abc")
        assert await waiting == 3
        return buffer

    assert loop.run_until_complete(main()) == b"\0\0abc\0\0\0"


@pytest.mark.debug
def test_accept_and_connect_meet(loop: Loop) -> None:
    async def main() -> None:
        with socket_that_waits_not() as server, socket_that_waits_not() as client:
            server.bind(("127.0.0.1", 0))
            server.listen()
            accepting = asyncio.create_task(loop.sock_accept(server))
            await loop.sock_connect(client, server.getsockname())
            connection, address = await accepting
            with connection:
                assert address == client.getsockname()
                assert connection.gettimeout() == 0
                await loop.sock_sendall(client, b"hello")
                assert await loop.sock_recv(connection, 100) == b"hello"
                client.shutdown(socket.SHUT_WR)
                assert await loop.sock_recv(connection, 100) == b""

    loop.run_until_complete(main())


def test_connect_by_name_resolves_it(loop: Loop) -> None:
    async def main() -> None:
        with socket_that_waits_not() as server, socket_that_waits_not() as client:
            server.bind(("127.0.0.1", 0))
            server.listen()
            await loop.sock_connect(client, ("localhost", server.getsockname()[1]))
            (await loop.sock_accept(server))[0].close()
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())


def test_datagrams_are_sent_and_received(loop: Loop) -> None:
    async def main() -> None:
        with (
            socket_that_waits_not(kind=socket.SOCK_DGRAM) as one,
            socket_that_waits_not(kind=socket.SOCK_DGRAM) as two,
        ):
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            assert await loop.sock_sendto(one, b"first", two.getsockname()) == 5
            assert await loop.sock_recvfrom(two, 100) == (b"first", one.getsockname())
            buffer = bytearray(10)
            waiting = asyncio.create_task(loop.sock_recvfrom_into(one, buffer))
            await asyncio.sleep(0)
            await loop.sock_sendto(two, b"second", one.getsockname())
            assert await waiting == (6, two.getsockname())
            assert buffer == b"second\0\0\0\0"

    loop.run_until_complete(main())


@pytest.mark.parametrize("fallback", [True, False])
def test_sendfile_sends_the_part_that_is_asked_for(loop: Loop, pair: Pair, fallback: bool) -> None:
    ours, theirs = pair

    async def main() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            sent = await loop.sock_sendfile(ours, file, 2, 5, fallback=fallback)
            assert sent == 5
            assert file.tell() == 7
            assert await loop.sock_recv(theirs, 100) == b"23456"

    loop.run_until_complete(main())


def test_sendfile_of_much_data_waits_for_the_reader(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    payload = bytes(range(256)) * 8192

    async def main() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(payload)
            file.flush()
            sending = asyncio.create_task(loop.sock_sendfile(ours, file))
            received = bytearray()
            while len(received) < len(payload):
                received += await loop.sock_recv(theirs, 65536)
            assert await sending == len(payload)
            assert received == payload

    loop.run_until_complete(main())


def test_a_cancelled_wait_leaves_the_socket_usable(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair

    async def main() -> None:
        waiting = asyncio.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert loop.remove_reader(ours) is False
        theirs.send(b"after")
        assert await loop.sock_recv(ours, 10) == b"after"

    loop.run_until_complete(main())


def test_a_refused_connection_says_so(loop: Loop) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
        with socket_that_waits_not() as client, pytest.raises(ConnectionRefusedError):
            await loop.sock_connect(client, address)

    loop.run_until_complete(main())


Call = Callable[[Loop, socket.socket], Coroutine[Any, Any, Any]]


async def send_a_file(loop: Loop, sock: socket.socket) -> int:
    with tempfile.TemporaryFile() as file:
        file.write(b"content")
        file.seek(0)
        return await loop.sock_sendfile(sock, file)


BLOCKING_CALLS: dict[str, Call] = {
    "recv": lambda loop, sock: loop.sock_recv(sock, 1),
    "recv_into": lambda loop, sock: loop.sock_recv_into(sock, bytearray(1)),
    "recvfrom": lambda loop, sock: loop.sock_recvfrom(sock, 1),
    "sendall": lambda loop, sock: loop.sock_sendall(sock, b"x"),
    "sendto": lambda loop, sock: loop.sock_sendto(sock, b"x", ("127.0.0.1", 9)),
    "accept": lambda loop, sock: loop.sock_accept(sock),
    "connect": lambda loop, sock: loop.sock_connect(sock, ("127.0.0.1", 9)),
    "sendfile": send_a_file,
}


@pytest.mark.debug
@pytest.mark.parametrize("call", BLOCKING_CALLS.values(), ids=BLOCKING_CALLS.keys())
@pytest.mark.parametrize("state", ["blocking", "closed", "not connected"])
def test_sockets_in_a_wrong_state_fail_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, call: Call, state: str
) -> None:
    def scenario(loop: Loop) -> Any:
        async def main() -> Any:
            with socket_that_waits_not() as sock:
                if state == "blocking":
                    sock.setblocking(True)
                elif state == "closed":
                    sock.close()
                return type(await asyncio.wait_for(call(loop, sock), 5)).__name__

        return loop.run_until_complete(main())

    same_as_asyncio(scenario)


@pytest.mark.parametrize("size", [0, 1, 1 << 19, -1, 1 << 70, True, 2.0, "3", None])
def test_sizes_are_taken_and_refused_as_in_asyncio(same_as_asyncio: SameAsAsyncio, size: Any) -> None:
    def scenario(loop: Loop) -> Any:
        async def main() -> bytes:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.setblocking(False)
                theirs.send(b"abc")
                return await loop.sock_recv(ours, size)

        return loop.run_until_complete(main())

    same_as_asyncio(scenario)


def test_datagrams_of_all_sizes_arrive_whole(loop: Loop) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sizes = [1, 20_000, 1_000, 30_000, 100_000, 10, 60_000]

    async def main() -> None:
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            for wanted in (1 << 17, 1 << 20):
                for size in sizes:
                    await loop.sock_sendall(theirs, bytes(size))
                    assert len(await loop.sock_recv(ours, wanted)) == size
            await loop.sock_sendall(theirs, bytes(20_000))
            assert len(await loop.sock_recv(ours, 5_000)) == 5_000

    loop.run_until_complete(main())


def test_a_receive_and_a_writer_share_a_socket(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair

    async def main() -> list[object]:
        seen: list[object] = []
        written = loop.create_future()

        def write() -> None:
            loop.remove_writer(ours)
            written.set_result("written")

        for number in range(3):
            waiting = asyncio.create_task(loop.sock_recv(ours, 10))
            await asyncio.sleep(0)
            loop.add_writer(ours, write)
            seen.append(await written)
            written = loop.create_future()
            theirs.send(b"%d" % number)
            seen.append(await waiting)
        return seen

    assert loop.run_until_complete(main()) == ["written", b"0", "written", b"1", "written", b"2"]


def test_a_reader_after_a_receive_hears_of_everything(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair

    async def main() -> int:
        theirs.send(b"first")
        waiting = asyncio.create_task(loop.sock_recv(ours, 10))
        assert await waiting == b"first"
        waiting = asyncio.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        theirs.send(b"second")
        assert await waiting == b"second"
        calls = 0
        enough = loop.create_future()

        def read() -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                loop.remove_reader(ours)
                enough.set_result(None)

        loop.add_reader(ours, read)
        theirs.send(b"never read")
        await enough
        return calls

    assert loop.run_until_complete(main()) == 3


def test_a_number_that_is_in_use_again_is_waited_for(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair

    async def receive(sock: socket.socket, peer: socket.socket) -> bytes:
        waiting = asyncio.create_task(loop.sock_recv(sock, 10))
        await asyncio.sleep(0)
        peer.send(b"data")
        return await waiting

    async def main() -> None:
        number = ours.fileno()
        assert await receive(ours, theirs) == b"data"
        ours.close()
        one, other = socket.socketpair()
        with one, other:
            again = one if one.fileno() == number else other
            assert again.fileno() == number
            again.setblocking(False)
            assert await receive(again, other if again is one else one) == b"data"

    loop.run_until_complete(main())


def test_a_replaced_receive_of_the_class_is_called(
    loop: Loop, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = pair
    monkeypatch.setattr(socket.socket, "recv", lambda sock, size: b"replaced")
    assert loop.run_until_complete(loop.sock_recv(ours, 10)) == b"replaced"


def test_a_removed_reader_leaves_the_receive_waiting(loop: Loop, pair: Pair) -> None:
    ours, _ = pair

    async def main() -> bool:
        waiting = asyncio.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        assert loop.remove_reader(ours)
        for _ in range(3):
            await asyncio.sleep(0)
        ended = waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        return ended

    assert loop.run_until_complete(main()) is False
