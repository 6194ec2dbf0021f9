"""TLS while data flows: pieces and floods, water marks, buffers, pauses, other protocols."""

from __future__ import annotations

import asyncio
import random
import ssl
from asyncio import sslproto
from typing import Any

import pytest
from harness.kinds import Loop
from transports.tls_peer import Noting, both_ends, client_and_peer, close_both

SIZE = 3_000_017
BLOB = random.Random(7).randbytes(SIZE)


@pytest.mark.debug
def test_many_small_writes_arrive_in_order(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        expected = b""
        for number in range(2_000):
            client.transport.write(b"%d," % number)
            expected += b"%d," % number
        assert await theirs.until(len(expected)) == expected
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_writes_of_every_kind_keep_their_order_and_their_bytes(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        changing = bytearray(b"as it was")
        client.transport.write(b"one ")
        client.transport.write(changing)
        changing[:] = b"as it is "
        client.transport.write(memoryview(b" two ")[0:])
        client.transport.write(b"")
        client.transport.writelines([b"three ", bytearray(b"four "), memoryview(b"five"), b""])
        client.transport.writelines(piece for piece in (b" ", BLOB[:200_000], b" end"))
        expected = b"one as it was two three four five " + BLOB[:200_000] + b" end"
        assert await theirs.until(len(expected)) == expected
        await close_both(client, theirs)

    loop.run_until_complete(main())


@pytest.mark.parametrize("data", ["text", 1, None, [b"x"]])
def test_what_is_no_bytes_is_refused(loop: Loop, data: Any) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        kind = type(data).__name__
        with pytest.raises(TypeError, match=f"^data: expecting a bytes-like instance, got {kind}$"):
            client.transport.write(data)
        client.transport.write(b"still open")
        assert await theirs.until(10) == b"still open"
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_a_wrong_item_of_a_list_ends_the_connection(loop: Loop) -> None:
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))

    async def main() -> None:
        client, theirs = await both_ends(loop)
        client.transport.writelines(["text"])
        assert isinstance(await client.lost, TypeError)
        await theirs.lost

    loop.run_until_complete(main())
    assert [context["message"] for context in contexts] == ["Fatal error on SSL protocol"]
    assert isinstance(contexts[0]["protocol"], sslproto.SSLProtocol)


def test_a_flood_in_both_directions_arrives_whole(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        client.transport.write(BLOB)
        theirs.transport.write(BLOB[::-1])
        assert await theirs.until(SIZE) == BLOB
        assert await client.until(SIZE) == BLOB[::-1]
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_a_flood_is_sent_whole_before_the_connection_closes(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        client.transport.write(BLOB)
        client.transport.close()
        assert await theirs.lost is None
        assert theirs.data == BLOB
        assert await client.lost is None

    loop.run_until_complete(main())


@pytest.mark.parametrize("record", [1, 100, 16384])
def test_records_arrive_in_pieces_of_any_size(loop: Loop, record: int) -> None:
    dice = random.Random(record)

    async def main() -> None:
        client, peer = await client_and_peer(loop)
        payload = BLOB[: min(300 * record, 400_000)]
        wire = peer.records(payload, record)
        while wire:
            size = dice.choice([1, 4, 5, 6, 30, 1000, 70_000])
            await peer.send(wire[:size])
            wire = wire[size:]
            await asyncio.sleep(0)
        assert await client.until(len(payload)) == payload
        client.transport.close()
        await peer.read_to_the_end()
        peer.sock.close()
        await client.lost

    loop.run_until_complete(main())


def test_records_that_came_together_are_given_on_together(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        await peer.send(peer.records(b"0123456789", 1))
        assert await client.until(10) == b"0123456789"
        assert client.pieces == [10]
        client.transport.close()
        await peer.read_to_the_end()
        peer.sock.close()
        await client.lost

    loop.run_until_complete(main())


class Filling(asyncio.BufferedProtocol):
    """Receives into one buffer of a chosen size."""

    def __init__(self, buffer: Any) -> None:
        self.noting = Noting()
        self.made, self.lost = self.noting.made, self.noting.lost
        self.connection_made = self.noting.connection_made  # type: ignore[method-assign]
        self.connection_lost = self.noting.connection_lost  # type: ignore[method-assign]
        self.buffer = buffer
        self.data = self.noting.data

    @property
    def transport(self) -> Any:
        return self.noting.transport

    def get_buffer(self, sizehint: int) -> Any:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert nbytes > 0
        self.data += bytes(self.buffer[:nbytes])


@pytest.mark.parametrize("size", [1, 100, 16384, 300_000])
def test_a_protocol_receives_into_its_own_buffer(loop: Loop, size: int) -> None:
    payload = BLOB[: min(200 * size, 500_000)]

    async def main() -> None:
        client, theirs = await both_ends(loop, lambda: Filling(memoryview(bytearray(size))))
        theirs.transport.write(payload)
        assert await client.noting.until(len(payload)) == payload
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_a_buffer_may_be_a_bytearray(loop: Loop) -> None:
    # One record at a time: asyncio itself loses bytes when more than one fits into a bytearray.
    async def main() -> None:
        client, theirs = await both_ends(loop, lambda: Filling(bytearray(1000)))
        for number in range(20):
            theirs.transport.write(b"%03d" % number)
            assert await client.noting.until(3) == b"%03d" % number
        await close_both(client, theirs)

    loop.run_until_complete(main())


@pytest.mark.debug
def test_a_slow_reader_pauses_the_writer_and_resumes_it(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        theirs.transport.pause_reading()
        assert not theirs.transport.is_reading()
        sent = 0
        while "pause" not in client.calls:
            client.transport.write(BLOB[:500_000])
            sent += 500_000
            await asyncio.sleep(0)
        assert client.transport.get_write_buffer_size() > 0
        assert client.calls == ["made", "pause"]
        assert theirs.data == b""
        theirs.transport.resume_reading()
        received = await theirs.until(sent)
        assert received == BLOB[:500_000] * (sent // 500_000)
        assert client.calls == ["made", "pause", "resume"]
        assert client.transport.get_write_buffer_size() == 0
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_water_marks_are_those_that_were_set(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        transport = client.transport
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
        transport.set_write_buffer_limits(high=1000, low=10)
        assert transport.get_write_buffer_limits() == (10, 1000)
        transport.write(b"x" * 500)
        transport.write(b"x" * 5000)
        assert transport.get_write_buffer_size() == 0  # all of it went into the transport beneath
        transport.set_read_buffer_limits(high=2000, low=20)
        assert transport.get_read_buffer_limits() == (20, 2000)
        with pytest.raises(ValueError, match="must be >= low"):
            transport.set_write_buffer_limits(high=1, low=2)
        assert len(await theirs.until(5500)) == 5500
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_nothing_is_received_while_reading_is_paused(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        client.transport.pause_reading()
        client.transport.pause_reading()
        theirs.transport.write(BLOB)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert client.data == b""
        client.transport.resume_reading()
        assert await client.until(SIZE) == BLOB
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_another_protocol_takes_over(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        theirs.transport.write(b"first")
        assert await client.until(5) == b"first"
        second = Filling(memoryview(bytearray(100)))
        client.transport.set_protocol(second)
        assert client.transport.get_protocol() is second
        theirs.transport.write(b"second")
        assert await second.noting.until(6) == b"second"
        client.transport.set_protocol(client)
        theirs.transport.write(b"third")
        assert await client.until(5) == b"third"
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_libraries_find_what_they_look_for(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        for end in (client, theirs):
            transport = end.transport
            assert issubclass(type(transport), asyncio.Transport)
            assert issubclass(type(transport), sslproto._SSLProtocolTransport)
            protocol = transport._ssl_protocol
            assert issubclass(type(protocol), sslproto.SSLProtocol)
            assert issubclass(type(protocol), asyncio.BufferedProtocol)
            assert protocol._app_protocol is end
            assert protocol._app_transport is transport
            assert transport.get_extra_info("ssl_object") is protocol._sslobj
            assert isinstance(protocol._sslobj, ssl.SSLObject)
            assert transport.get_extra_info("sslcontext") is protocol._sslcontext
            assert protocol._state is sslproto.SSLProtocolState.WRAPPED
            assert transport.get_extra_info("peername") == protocol._transport.get_extra_info("peername")
            assert transport.get_extra_info("nothing of that name", 7) == 7
            assert not transport.can_write_eof()
            with pytest.raises(NotImplementedError):
                transport.write_eof()
        await close_both(client, theirs)

    loop.run_until_complete(main())


def test_a_failing_protocol_loses_its_connection_after_what_it_wrote(loop: Loop) -> None:
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))

    class Failing(Noting):
        def data_received(self, data: bytes) -> None:
            self.transport.write(b"last words")
            raise ZeroDivisionError

    async def main() -> None:
        client, peer = await client_and_peer(loop, Failing)
        await peer.send(peer.records(b"question"))
        assert isinstance(await client.lost, ZeroDivisionError)
        assert (await peer.read_to_the_end())[0] == b"last words"
        peer.sock.close()

    loop.run_until_complete(main())
    assert [context["message"] for context in contexts] == ["Fatal error on SSL protocol"]


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
def test_failing_flow_control_is_reported_and_survived(loop: Loop, method: str) -> None:
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))

    def fail(self: Noting) -> None:
        self.calls.append("failed")
        raise ZeroDivisionError

    failing = type("Failing", (Noting,), {method: fail})

    async def main() -> None:
        client, theirs = await both_ends(loop, failing)
        theirs.transport.pause_reading()
        sent = 0
        while not {"pause", "failed"} & set(client.calls):
            client.transport.write(BLOB)
            sent += SIZE
        theirs.transport.resume_reading()
        assert len(await theirs.until(sent)) == sent
        assert client.calls.count("failed") == 1
        await close_both(client, theirs)

    loop.run_until_complete(main())
    assert {context["message"] for context in contexts} == {f"protocol.{method}() failed"}
