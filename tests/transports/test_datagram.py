"""Datagram transports: order, bursts, pauses, refused addresses, Unix sockets, the end."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from harness.kinds import Loop
from harness.leaks import open_fds
from harness.outcome import SameAsAsyncio

LOCALHOST = ("127.0.0.1", 0)


class Inbox(asyncio.DatagramProtocol):
    """Keeps what it is told, in order."""

    transport: Any

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.news = asyncio.Event()

    def note(self, *event: Any) -> None:
        self.events.append(event)
        self.news.set()

    async def until(self, count: int) -> list[Any]:
        """The events, once there are so many."""
        while len(self.events) < count:
            self.news.clear()
            await self.news.wait()
        return self.events

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.note("data", data, addr)

    def error_received(self, exc: Exception) -> None:
        self.note("error", type(exc), str(exc))

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.note("lost", exc)


async def pair(loop: Any, make: Callable[[], Inbox] = Inbox, host: str = "127.0.0.1") -> tuple[Any, Any]:
    """A bound endpoint with a protocol of the given kind, and an unconnected one."""
    _, near = await loop.create_datagram_endpoint(make, local_addr=(host, 0))
    _, far = await loop.create_datagram_endpoint(Inbox, local_addr=(host, 0))
    return near, far


async def closed(*inboxes: Inbox) -> None:
    for inbox in inboxes:
        inbox.transport.abort()
    for inbox in inboxes:
        while not inbox.events or inbox.events[-1][0] != "lost":
            inbox.news.clear()
            await inbox.news.wait()


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_burst_arrives_whole_and_in_order(loop: Loop) -> None:
    async def main() -> None:
        near, far = await pair(loop)
        target, source = near.transport.get_extra_info("sockname"), far.transport.get_extra_info("sockname")
        for number in range(100):
            far.transport.sendto(b"%d" % number, target)
        events = await near.until(100)
        assert events == [("data", b"%d" % number, source) for number in range(100)]
        await closed(near, far)

    loop.run_until_complete(main())


def test_each_answer_goes_to_its_sender(loop: Loop) -> None:
    async def main() -> None:
        class Echo(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.transport.sendto(data, addr)

        _, server = await loop.create_datagram_endpoint(Echo, local_addr=LOCALHOST)
        target = server.transport.get_extra_info("sockname")
        clients = [(await loop.create_datagram_endpoint(Inbox, remote_addr=target))[1] for _ in range(40)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.transport.sendto(b"%d of %d" % (turn, number))
        for number, client in enumerate(clients):
            assert await client.until(3) == [
                ("data", b"%d of %d" % (turn, number), target) for turn in range(3)
            ]
        await closed(server, *clients)

    loop.run_until_complete(main())


@pytest.mark.skipif(not ipv6_works(), reason="this machine has no IPv6")
def test_ipv6_addresses_have_four_parts(loop: Loop) -> None:
    async def main() -> None:
        near, far = await pair(loop, host="::1")
        target, source = near.transport.get_extra_info("sockname"), far.transport.get_extra_info("sockname")
        for address in (target, target[:2], target[:3]):
            far.transport.sendto(b"x", address)
        assert await near.until(3) == [("data", b"x", source)] * 3
        assert [type(part) for part in near.events[0][2]] == [str, int, int, int]
        near.transport.sendto(b"y", near.events[0][2])
        assert await far.until(1) == [("data", b"y", target)]
        await closed(near, far)

    loop.run_until_complete(main())


def test_unix_datagrams_carry_the_path_of_their_sender(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        paths = [str(tmp_path / name) for name in ("near", "far")]
        near, far = [
            (await loop.create_datagram_endpoint(Inbox, path, family=socket.AF_UNIX))[1] for path in paths
        ]
        far.transport.sendto(b"to a path", paths[0])
        assert await near.until(1) == [("data", b"to a path", paths[1])]
        near.transport.sendto(b"back", near.events[0][2])
        assert await far.until(1) == [("data", b"back", paths[0])]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.sendto(b"from nobody", paths[0])
        assert await near.until(2) == [("data", b"to a path", paths[1]), ("data", b"from nobody", None)]
        await closed(near, far)

    loop.run_until_complete(main())


def test_abstract_unix_names_are_bytes(loop: Loop) -> None:
    async def main() -> None:
        name = b"\0maypole datagram %d" % id(loop)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(name)
        sock.setblocking(False)
        _, inbox = await loop.create_datagram_endpoint(Inbox, sock=sock)
        inbox.transport.sendto(b"to myself", name)
        assert await inbox.until(1) == [("data", b"to myself", name)]
        await closed(inbox)

    loop.run_until_complete(main())


def test_pausing_in_the_middle_of_a_burst_loses_nothing(loop: Loop) -> None:
    async def main() -> None:
        class Pausing(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.note(data)
                if data == b"2":
                    self.transport.pause_reading()

        near, far = await pair(loop, Pausing)
        target = near.transport.get_extra_info("sockname")
        for number in range(10):
            far.transport.sendto(b"%d" % number, target)
        await near.until(3)
        for _ in range(5):
            await asyncio.sleep(0)
        assert near.events == [(b"0",), (b"1",), (b"2",)]
        assert not near.transport.is_reading()
        near.transport.resume_reading()
        assert await near.until(10) == [(b"%d" % number,) for number in range(10)]
        await closed(near, far)

    loop.run_until_complete(main())


def test_closing_in_the_middle_of_a_burst_ends_it(loop: Loop) -> None:
    async def main() -> None:
        class Closing(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.note(data)
                self.transport.close()

        near, far = await pair(loop, Closing)
        for number in range(10):
            far.transport.sendto(b"%d" % number, near.transport.get_extra_info("sockname"))
        assert await near.until(2) == [(b"0",), ("lost", None)]
        await closed(far)

    loop.run_until_complete(main())


@pytest.mark.not_in_debug_mode("reports then have the stack as well")
def test_a_protocol_that_raises_goes_on_receiving(loop: Loop) -> None:
    async def main() -> None:
        class Failing(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.note(data)
                raise ValueError(data)

        reports: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        near, far = await pair(loop, Failing)
        for number in range(6):
            far.transport.sendto(b"%d" % number, near.transport.get_extra_info("sockname"))
        assert await near.until(6) == [(b"%d" % number,) for number in range(6)]
        await asyncio.sleep(0)
        assert [str(report["exception"]) for report in reports] == [repr(b"%d" % n) for n in range(6)]
        for report in reports:
            assert sorted(report) == ["exception", "handle", "message"]
            assert report["message"].startswith("Exception in callback ")
            assert "DatagramTransport._read_ready()" in report["message"]
        await closed(near, far)

    loop.run_until_complete(main())


def test_an_exit_of_the_program_leaves_the_loop_and_loses_no_datagram(loop: Loop) -> None:
    async def main() -> Any:
        class Leaving(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.note(data)
                if data == b"1":
                    raise SystemExit(3)

        return await pair(loop, Leaving)

    near, far = loop.run_until_complete(main())
    for number in range(4):
        far.transport.sendto(b"%d" % number, near.transport.get_extra_info("sockname"))
    with pytest.raises(SystemExit):
        loop.run_until_complete(near.until(4))
    assert loop.run_until_complete(near.until(4)) == [(b"%d" % number,) for number in range(4)]
    loop.run_until_complete(closed(near, far))


def test_one_flooded_socket_leaves_the_others_their_turn(loop: Loop) -> None:
    async def main() -> None:
        order: list[str] = []

        class Flooded(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                order.append("flooded")
                self.transport.sendto(b"again", self.transport.get_extra_info("sockname"))

        class Quiet(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                order.append("quiet")
                self.note(data)

        flooded, quiet = [
            (await loop.create_datagram_endpoint(kind, local_addr=LOCALHOST))[1] for kind in (Flooded, Quiet)
        ]
        for inbox in (flooded, flooded, flooded, quiet):
            flooded.transport.sendto(b"first", inbox.transport.get_extra_info("sockname"))
        await quiet.until(1)
        assert "flooded" in order
        await closed(flooded, quiet)

    loop.run_until_complete(main())


def small_unix_pair(tmp_path: Path) -> tuple[socket.socket, socket.socket]:
    """A connected sender with little room, and its receiver."""
    receiver, sender = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    receiver.bind(str(tmp_path / "receiver"))
    sender.connect(str(tmp_path / "receiver"))
    for sock in (receiver, sender):
        sock.setblocking(False)
    return receiver, sender


def test_what_the_socket_refuses_waits_in_order(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        receiver, sender = small_unix_pair(tmp_path)
        with receiver:
            _, inbox = await loop.create_datagram_endpoint(Inbox, sock=sender)
            transport = inbox.transport
            transport.set_write_buffer_limits(high=3_000)
            sent = 0
            while inbox.events != [("pause",)]:
                transport.sendto(bytearray(b"%04d" % sent + bytes(996)))
                sent += 1
            header = 8 if sys.version_info >= (3, 13) else 0
            assert transport.get_write_buffer_size() == 3 * (1_000 + header) + (0 if header else 1_000)
            transport.close()
            received = [await loop.sock_recv(receiver, 2_000) for _ in range(sent)]
            assert [data[:4] for data in received] == [b"%04d" % number for number in range(sent)]
            events = await inbox.until(3)
            assert sorted(events[1:]) == [("lost", None), ("resume",)]

    loop.run_until_complete(main())


def test_abort_drops_what_waits(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        receiver, sender = small_unix_pair(tmp_path)
        with receiver:
            _, inbox = await loop.create_datagram_endpoint(Inbox, sock=sender)
            transport = inbox.transport
            while not transport.get_write_buffer_size():
                transport.sendto(bytes(1_000))
            transport.abort()
            assert await inbox.until(1) == [("lost", None)]

    loop.run_until_complete(main())


Main = Callable[[Any], Coroutine[Any, Any, Any]]


async def sent_to(loop: Any, address: Any, data: Any = b"x", **settings: Any) -> Any:
    """What becomes of one datagram: the events of the protocol, and what was raised."""
    settings = settings or {"local_addr": LOCALHOST}
    transport, inbox = await loop.create_datagram_endpoint(Inbox, **settings)
    reports: list[Any] = []
    loop.set_exception_handler(
        lambda _, context: reports.append((context["message"], repr(context["exception"])))
    )
    raised = None
    try:
        transport.sendto(data, address)
    except Exception as error:
        raised = type(error), str(error)
    await asyncio.sleep(0)
    events = [repr(event) for event in inbox.events if event[0] != "data"]
    transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return raised, events, reports


UNUSUAL: dict[str, Main] = {
    "no address": lambda loop: sent_to(loop, None),
    "port too large": lambda loop: sent_to(loop, ("127.0.0.1", 65_536)),
    "port negative": lambda loop: sent_to(loop, ("127.0.0.1", -1)),
    "port is text": lambda loop: sent_to(loop, ("127.0.0.1", "80")),
    "host is a number": lambda loop: sent_to(loop, (1, 80)),
    "three parts": lambda loop: sent_to(loop, ("127.0.0.1", 80, 0)),
    "a list": lambda loop: sent_to(loop, ["127.0.0.1", 80]),
    "a name": lambda loop: sent_to(loop, ("localhost", 9)),
    "short form": lambda loop: sent_to(loop, ("127.1", 9)),
    "zero byte": lambda loop: sent_to(loop, ("127.0.0.1\0", 9)),
    "lone surrogate": lambda loop: sent_to(loop, ("\udc80", 9)),
    "ipv6 on ipv4": lambda loop: sent_to(loop, ("::1", 9)),
    "broadcast not allowed": lambda loop: sent_to(loop, ("255.255.255.255", 9)),
    "too long": lambda loop: sent_to(loop, ("127.0.0.1", 9), bytes(70_000)),
    "strided": lambda loop: sent_to(loop, ("127.0.0.1", 9), memoryview(b"abcdef")[::2]),
    "words": lambda loop: sent_to(loop, ("127.0.0.1", 9), memoryview(b"abcdefgh").cast("I")),
    "empty": lambda loop: sent_to(loop, ("127.0.0.1", 9), b""),
    "text": lambda loop: sent_to(loop, ("127.0.0.1", 9), "text"),
    "no path": lambda loop: sent_to(loop, "/nowhere/at/all", family=socket.AF_UNIX),
    "path too long": lambda loop: sent_to(loop, "/" + "x" * 200, family=socket.AF_UNIX),
    "path with zero byte": lambda loop: sent_to(loop, "/x\0y", family=socket.AF_UNIX),
    "path is no text": lambda loop: sent_to(loop, 5, family=socket.AF_UNIX),
    "path of bytes": lambda loop: sent_to(loop, b"/nowhere", family=socket.AF_UNIX),
}


@pytest.mark.debug
@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_addresses_and_data_end_as_on_asyncio(case: str, same_as_asyncio: SameAsAsyncio) -> None:
    outcome = same_as_asyncio(lambda loop: loop.run_until_complete(UNUSUAL[case](loop)))
    assert outcome.error is None


def test_sending_after_the_end_is_as_on_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    async def main(loop: Any) -> Any:
        outcomes = []
        for settings in ({"local_addr": LOCALHOST}, {"remote_addr": ("127.0.0.1", 9)}):
            transport, _ = await loop.create_datagram_endpoint(Inbox, **settings)
            transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for _ in range(7):
                try:
                    outcomes.append(transport.sendto(b"x", ("127.0.0.1", 9)))
                except Exception as error:
                    outcomes.append((type(error), str(error)))
        return outcomes

    outcome = same_as_asyncio(lambda loop: loop.run_until_complete(main(loop)))
    assert outcome.logged.count("socket.send() raised exception.") == 2 + 1


def test_a_socket_class_with_its_own_methods_is_asked(loop: Loop) -> None:
    class Counting(socket.socket):
        calls = 0

        def sendto(self, *args: Any) -> int:
            self.calls += 1
            return super().sendto(*args)

    async def main() -> None:
        sock = Counting(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(LOCALHOST)
        sock.setblocking(False)
        transport, inbox = await loop.create_datagram_endpoint(Inbox, sock=sock)
        transport.sendto(b"x", sock.getsockname())
        await inbox.until(1)
        assert sock.calls == 1
        await closed(inbox)

    loop.run_until_complete(main())


def test_a_protocol_set_in_a_burst_receives_the_rest(loop: Loop) -> None:
    async def main() -> None:
        class First(Inbox):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.note(data)
                self.transport.set_protocol(second)

        near, far = await pair(loop, First)
        second = Inbox()
        for number in range(3):
            far.transport.sendto(b"%d" % number, near.transport.get_extra_info("sockname"))
        events = await second.until(2)
        assert near.events == [(b"0",)]
        assert [event[1] for event in events] == [b"1", b"2"]
        near.transport.set_protocol(near)
        await closed(near, far)

    loop.run_until_complete(main())


def test_a_thousand_endpoints_leave_nothing(loop: Loop) -> None:
    async def main() -> None:
        before = len(open_fds())
        for _ in range(20):
            inboxes = [
                (await loop.create_datagram_endpoint(Inbox, local_addr=LOCALHOST))[1] for _ in range(50)
            ]
            for inbox in inboxes:
                inbox.transport.sendto(b"x", inboxes[0].transport.get_extra_info("sockname"))
            await inboxes[0].until(len(inboxes))
            await closed(*inboxes)
        assert len(open_fds()) == before
        del inboxes, inbox
        gc.collect()
        assert not [found for found in gc.get_objects() if isinstance(found, Inbox)]

    loop.run_until_complete(main())


def test_a_transport_that_nobody_closed_warns(loop: Loop) -> None:
    async def main() -> Any:
        # A protocol that does not know its transport: a cycle would be ended in any order.
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=LOCALHOST)
        return transport

    transport: Any = loop.run_until_complete(main())
    transport.pause_reading()
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport
        gc.collect()
