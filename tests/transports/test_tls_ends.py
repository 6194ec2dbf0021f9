"""How TLS connections end: closing, aborting, half-closed peers, resets, time limits, start_tls."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio
from harness.tls import client_context, server_context
from transports.tls_peer import Noting, Peer, both_ends, client_and_peer, close_both

BLOB = random.Random(11).randbytes(200_000)


@pytest.mark.debug
def test_closing_sends_what_was_written_and_says_so(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        client.transport.write(b"good")
        client.transport.write(b"bye")
        client.transport.close()
        assert client.transport.is_closing()
        assert await peer.read_to_the_end() == (b"goodbye", "close_notify")
        await peer.send(peer.close_notify())
        assert await client.lost is None
        assert client.calls == ["made", "eof", "lost"]
        peer.sock.close()

    loop.run_until_complete(main())


def test_aborting_sends_what_was_written_and_nothing_more(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        await peer.send(peer.records(b"x"))
        await client.until(1)  # nothing is left unread, so the end is no reset
        client.transport.write(b"last")
        client.transport.write(b" words")
        client.transport.abort()
        assert client.transport.is_closing()
        assert await client.lost is None
        assert await peer.read_to_the_end() == (b"last words", "eof")
        assert client.calls == ["made", "lost"]
        peer.sock.close()

    loop.run_until_complete(main())


def test_a_peer_that_says_goodbye_is_answered(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        await peer.send(peer.records(b"the end") + peer.close_notify())
        assert await peer.read_to_the_end() == (b"", "close_notify")
        assert await client.lost is None
        assert client.data == b"the end"
        assert client.calls == ["made", "eof", "lost"]
        peer.sock.close()

    loop.run_until_complete(main())


def test_an_answer_written_at_the_goodbye_is_sent(loop: Loop) -> None:
    class Answering(Noting):
        def eof_received(self) -> None:
            self.transport.write(b"answer")

    async def main() -> None:
        client, peer = await client_and_peer(loop, Answering)
        await peer.send(peer.close_notify())
        assert await peer.read_to_the_end() == (b"answer", "close_notify")
        assert await client.lost is None
        peer.sock.close()

    loop.run_until_complete(main())


def test_true_from_eof_received_changes_nothing(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    class Keeping(Noting):
        def eof_received(self) -> bool:
            return True

    async def main() -> None:
        client, peer = await client_and_peer(loop, Keeping)
        await peer.send(peer.close_notify())
        assert await peer.read_to_the_end() == (b"", "close_notify")
        assert await client.lost is None
        peer.sock.close()

    loop.run_until_complete(main())
    assert caplog.messages == ["returning true from eof_received() has no effect when using ssl"]


def test_a_peer_that_half_closes_without_goodbye_still_gets_everything(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        await peer.send(peer.records(b"half"))
        peer.sock.shutdown(socket.SHUT_WR)
        assert await client.lost is None
        assert client.data == b"half"
        peer.sock.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("kept", [1, 4, 5, 20])
def test_a_truncated_record_is_not_given_on(loop: Loop, kept: int) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        await peer.send(peer.records(b"whole"))
        await client.until(5)
        await peer.send(peer.records(b"truncated")[:kept])
        peer.sock.shutdown(socket.SHUT_WR)
        await client.lost
        assert client.data == b""
        peer.sock.close()

    loop.run_until_complete(main())


def test_a_forged_record_ends_the_connection(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        wire = bytearray(peer.records(b"genuine"))
        wire[-1] ^= 1
        await peer.send(bytes(wire))
        error = await client.lost
        assert isinstance(error, ssl.SSLError)
        assert client.data == b""
        peer.sock.close()

    loop.run_until_complete(main())


def test_plain_bytes_after_the_handshake_end_the_connection(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        await peer.send(b"GET / HTTP/1.1\r\n\r\n")
        assert isinstance(await client.lost, ssl.SSLError)
        peer.sock.close()

    loop.run_until_complete(main())


def test_a_reset_while_data_flows_is_told(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        await peer.send(peer.records(b"x"))
        await client.until(1)
        peer.reset()
        assert isinstance(await client.lost, ConnectionResetError)
        for _ in range(10):
            client.transport.write(b"into the void")

    loop.run_until_complete(main())


def test_a_reset_while_shutting_down_is_told(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        client.transport.close()
        await asyncio.sleep(0.01)
        peer.reset()
        assert isinstance(await client.lost, ConnectionResetError)

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["reset", "half-close", "close", "garbage"])
@pytest.mark.parametrize("answers", [0, 1])
def test_a_handshake_that_breaks_raises(same_as_asyncio: SameAsAsyncio, end: str, answers: int) -> None:
    def scenario(loop: Loop) -> Any:
        async def main() -> Any:
            connecting, peer = await client_and_peer(loop, shake=False)
            peer.incoming.write(await loop.sock_recv(peer.sock, 65536))
            with pytest.raises(ssl.SSLWantReadError):
                peer.engine.do_handshake()
            await peer.send(peer.outgoing.read()[: answers * 100])
            if end == "reset":
                peer.reset()
            elif end == "half-close":
                peer.sock.shutdown(socket.SHUT_WR)
            elif end == "close":
                peer.sock.close()
            else:
                await peer.send(b"\x16\x03\x03\xff\xff garbage" * 5000)
            try:
                await connecting
            except Exception as error:
                return type(error)
            finally:
                peer.sock.close()
                await asyncio.sleep(0.01)

        return loop.run_until_complete(main())

    assert same_as_asyncio(scenario).value is not None


def test_a_handshake_has_a_time_limit(loop: Loop) -> None:
    async def main() -> None:
        connecting, peer = await client_and_peer(loop, shake=False, ssl_handshake_timeout=0.02)
        with pytest.raises(
            ConnectionAbortedError,
            match=r"^SSL handshake is taking longer than 0\.02 seconds: aborting the connection$",
        ):
            await connecting
        peer.sock.close()

    loop.run_until_complete(main())


def test_a_shutdown_has_a_time_limit(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop, ssl_shutdown_timeout=0.02)
        client.transport.close()
        error = await client.lost
        assert isinstance(error, TimeoutError)
        assert str(error) == "SSL shutdown timed out"
        peer.sock.close()

    loop.run_until_complete(main())


def test_writing_to_a_closed_connection_is_ignored_and_later_logged(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        transport = client.transport
        transport.close()
        for _ in range(7):
            transport.write(b"too late")
        await asyncio.gather(client.lost, theirs.lost)
        assert theirs.data == b""

    loop.run_until_complete(main())
    assert caplog.messages == ["SSL connection is closed"] * 2


def test_a_transport_that_nobody_closes_warns(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        text = "^unclosed transport <asyncio._SSLProtocolTransport object>$"
        with pytest.warns(ResourceWarning, match=text):
            client.transport.__del__()
        client.transport.abort()
        await asyncio.gather(client.lost, theirs.lost)

    loop.run_until_complete(main())


def test_a_closing_paused_reader_gets_the_rest_when_it_resumes(loop: Loop) -> None:
    async def main() -> None:
        client, peer = await client_and_peer(loop)
        client.transport.pause_reading()
        await peer.send(peer.records(BLOB[:30_000]) + peer.close_notify())
        await asyncio.sleep(0.01)
        assert client.data == b""
        client.transport.resume_reading()
        assert await client.until(30_000) == BLOB[:30_000]
        await peer.read_to_the_end()
        assert await client.lost is None
        peer.sock.close()

    loop.run_until_complete(main())


def test_cancelling_the_handshake_closes_the_connection(loop: Loop) -> None:
    async def main() -> None:
        connecting, peer = await client_and_peer(loop, shake=False)
        await loop.sock_recv(peer.sock, 65536)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert await loop.sock_recv(peer.sock, 1) == b""
        peer.sock.close()

    loop.run_until_complete(main())


def test_tls_runs_inside_tls(loop: Loop) -> None:
    async def main() -> None:
        client, theirs = await both_ends(loop)
        inner, inner_theirs = Noting(), Noting()
        ours, other = await asyncio.gather(
            loop.start_tls(client.transport, inner, client_context(), server_hostname="localhost"),
            loop.start_tls(theirs.transport, inner_theirs, server_context(), server_side=True),
        )
        assert ours is not None
        assert other is not None
        ours.write(BLOB)
        for number in range(100):
            other.write(b"%02d" % number)
        assert await inner_theirs.until(len(BLOB)) == BLOB
        assert await inner.until(200) == b"".join(b"%02d" % number for number in range(100))
        ours.close()
        await asyncio.gather(inner.lost, inner_theirs.lost)

    loop.run_until_complete(main())


def test_plain_bytes_before_start_tls_are_sent_first(loop: Loop) -> None:
    async def main() -> None:
        ours, other = socket.socketpair()
        client = Noting()
        transport, _ = await loop.connect_accepted_socket(lambda: client, ours)
        peer = Peer(loop, other)
        transport.write(b"plain")
        starting = asyncio.ensure_future(
            loop.start_tls(transport, client, client_context(), server_hostname="localhost")
        )
        assert await loop.sock_recv(other, 5) == b"plain"
        await peer.handshake()
        secret = await starting
        assert secret is not None
        secret.write(b"secret")
        assert await peer.read(6) == b"secret"
        await peer.send(peer.records(b"answer"))
        assert await client.until(6) == b"answer"
        secret.close()
        await peer.read_to_the_end()
        peer.sock.close()
        await client.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize("phase", ["handshake", "data", "shutdown"])
def test_a_server_survives_peers_that_reset_in_each_phase(loop: Loop, phase: str) -> None:
    loop.set_exception_handler(lambda _, context: None)  # what is told about a broken handshake is asyncio's

    async def main() -> None:
        accepted: list[Noting] = []

        def accept() -> Noting:
            accepted.append(Noting())
            return accepted[-1]

        server: Any = await loop.create_server(accept, "127.0.0.1", 0, ssl=server_context())
        address = server.sockets[0].getsockname()
        for _ in range(5):
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            peer = Peer(loop, sock, server_side=False)
            if phase == "handshake":
                with pytest.raises(ssl.SSLWantReadError):
                    peer.engine.do_handshake()
                await peer.flush()
            else:
                await peer.handshake()
                await peer.send(peer.records(b"hello"))
            if phase == "shutdown":
                await peer.send(peer.close_notify())
            await asyncio.sleep(0.005)
            peer.reset()
        _, client = await loop.create_connection(
            Noting, *address, ssl=client_context(), server_hostname="localhost"
        )
        client.transport.write(b"still there")
        while not accepted or accepted[-1].data != b"still there":
            await asyncio.sleep(0)
        await close_both(client, accepted[-1])
        server.close()
        for protocol in accepted:
            if protocol.made.done():
                await protocol.lost

    loop.run_until_complete(main())
