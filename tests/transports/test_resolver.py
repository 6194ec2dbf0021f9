"""Look-ups: what `socket` answers and raises, from numbers at once and from names by threads."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness.children import RunScript
from harness.kinds import Loop, run_once
from harness.leaks import open_fds
from harness.outcome import outcome_of

TCP = socket.SOCK_STREAM

ADDRESSES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "ipv4": (("127.0.0.1", 80), {}),
    "ipv4 stream": (("127.0.0.1", 80), {"type": TCP}),
    "ipv4 as bytes": ((b"127.0.0.1", b"80"), {"type": TCP}),
    "ipv4 port text": (("127.0.0.1", "80"), {"type": TCP}),
    "ipv4 service": (("127.0.0.1", "http"), {"type": TCP}),
    "ipv4 no port": (("127.0.0.1", None), {"type": TCP}),
    "ipv4 short": (("127.1", 80), {"type": TCP}),
    "ipv4 hex": (("0x7f000001", 80), {"type": TCP}),
    "ipv4 canonical": (("127.0.0.1", 80), {"flags": socket.AI_CANONNAME}),
    "ipv4 as ipv6": (("127.0.0.1", 80), {"family": socket.AF_INET6}),
    "ipv4 mapped": (("127.0.0.1", 80), {"family": socket.AF_INET6, "flags": socket.AI_V4MAPPED}),
    "ipv6": (("::1", 80), {}),
    "ipv6 datagram": (("::1", 80), {"type": socket.SOCK_DGRAM}),
    "ipv6 with ipv4 in it": (("::1.2.3.4", 80), {"type": TCP}),
    "ipv6 mapped": (("::ffff:1.2.3.4", 80), {"type": TCP}),
    "ipv6 link-local": (("fe80::1%lo", 80), {"type": TCP}),
    "ipv6 link-local number": (("fe80::1%1", 80), {"type": TCP}),
    "ipv6 of no interface": (("fe80::1%nosuch", 80), {"type": TCP}),
    "ipv6 as ipv4": (("::1", 80), {"family": socket.AF_INET}),
    "any host": ((None, 80), {"type": TCP}),
    "any host to bind": ((None, 80), {"type": TCP, "flags": socket.AI_PASSIVE}),
    "nothing": ((None, None), {}),
    "empty host": (("", 80), {"type": TCP}),
    "empty bytes": ((b"", 80), {"type": TCP}),
    "localhost": (("localhost", 80), {"type": TCP}),
    "localhost service": (("localhost", "https"), {"type": TCP}),
    "localhost canonical": (("localhost", 80), {"type": TCP, "flags": socket.AI_CANONNAME}),
    "dot at the end": (("localhost.", 80), {"type": TCP}),
    "numeric only": (("localhost", 80), {"flags": socket.AI_NUMERICHOST}),
    "numeric service only": (("127.0.0.1", "http"), {"flags": socket.AI_NUMERICSERV}),
    "no such name": (("no-such-name.invalid", 80), {"type": TCP}),
    "no such service": (("127.0.0.1", "no-such-service"), {"type": TCP}),
    "number that is none": (("999.1.2.3.4", 80), {"type": TCP}),
    "number too large": (("1.2.3.456", 80), {"type": TCP}),
    "umlaut": (("b\u00fccher.invalid", 80), {"type": TCP}),
    "wide dot": (("127\u3002.0.0.1", 80), {"type": TCP}),
    "ideographic dots": (("127\u30020\u30020\u30021", 80), {"type": TCP}),
    "lone surrogate": (("\udc80", 80), {"type": TCP}),
    "label too long": (("x" * 64 + ".invalid", 80), {"type": TCP}),
    "last label too long": (("x." + "y" * 64, 80), {"type": TCP}),
    "label of 63": (("x" * 63, 80), {"type": TCP}),
    "empty label": (("a..b", 80), {"type": TCP}),
    "leading dot": ((".localhost", 80), {"type": TCP}),
    "only a dot": ((".", 80), {"type": TCP}),
    "name too long": ((".".join(["x" * 60] * 6), 80), {"type": TCP}),
    "zero byte": (("localhost\0x", 80), {"type": TCP}),
    "zero byte in a number": (("127.0.0.1\0", 80), {"type": TCP}),
    "zero byte in the port": (("127.0.0.1", "80\0"), {"type": TCP}),
    "port too large": (("127.0.0.1", 65_536), {"type": TCP}),
    "port negative": (("127.0.0.1", -1), {"type": TCP}),
    "port huge": (("127.0.0.1", 10**30), {"type": TCP}),
    "port bool": (("127.0.0.1", True), {"type": TCP}),
    "port float": (("127.0.0.1", 80.0), {"type": TCP}),
    "port umlaut": (("127.0.0.1", "\u00fc"), {"type": TCP}),
    "port empty": (("127.0.0.1", ""), {"type": TCP}),
    "host number": ((1, 80), {"type": TCP}),
    "host bytearray": ((bytearray(b"127.0.0.1"), 80), {"type": TCP}),
    "family unknown": (("127.0.0.1", 80), {"family": 999}),
    "family unix": (("127.0.0.1", 80), {"family": socket.AF_UNIX}),
    "type unknown": (("127.0.0.1", 80), {"type": 999}),
    "type text": (("127.0.0.1", 80), {"type": "tcp"}),
    "type too large": (("127.0.0.1", 80), {"type": 2**31}),
    "protocol": (("127.0.0.1", 80), {"proto": socket.IPPROTO_UDP}),
    "protocol of another type": (("127.0.0.1", 80), {"type": TCP, "proto": socket.IPPROTO_UDP}),
    "flags unknown": (("127.0.0.1", 80), {"flags": 1 << 30}),
    "flags float": (("127.0.0.1", 80), {"flags": 1.0}),
}


def detailed(value: Any) -> Any:
    """With the types of all parts: an enumeration's member equals its number."""
    if isinstance(value, list | tuple):
        return [type(value), *map(detailed, value)]
    return type(value), value


def same(loop: Loop, call: Callable[[], Any], expected: Callable[[], Any]) -> None:
    """Both return the same, of the same types, or raise the same."""
    wanted, found = outcome_of(expected), outcome_of(lambda: loop.run_until_complete(call()))
    assert found == wanted
    assert detailed(found.value) == detailed(wanted.value)


@pytest.mark.debug
@pytest.mark.parametrize("case", ADDRESSES)
def test_addresses_are_those_of_socket(loop: Loop, case: str, caplog: pytest.LogCaptureFixture) -> None:
    args, keywords = ADDRESSES[case]
    try:
        same(
            loop,
            lambda: loop.getaddrinfo(*args, **keywords),
            lambda: socket.getaddrinfo(*args, **keywords),
        )
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())


def test_errors_have_codes_as_those_of_socket(loop: Loop) -> None:
    with pytest.raises(socket.gaierror) as wanted:
        socket.getaddrinfo("127.0.0.1", 80, family=999)
    with pytest.raises(socket.gaierror) as found:
        loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80, family=999))
    assert found.value.args == wanted.value.args
    assert found.value.errno == socket.EAI_FAMILY


NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
NAMES: dict[str, tuple[Any, ...]] = {
    "ipv4 numbers": (("127.0.0.1", 80), NUMERIC),
    "ipv6 numbers": (("::1", 80), NUMERIC),
    "ipv6 three parts": (("::1", 80, 5), NUMERIC),
    "ipv6 link-local": (("fe80::1", 80, 0, 1), NUMERIC),
    "ipv6 link-local, no such interface": (("fe80::1", 80, 0, 4_000_000), NUMERIC),
    "names": (("127.0.0.1", 80),),
    "udp service": (("127.0.0.1", 53), socket.NI_DGRAM | socket.NI_NUMERICHOST),
    "name required": (("192.0.2.1", 80), socket.NI_NAMEREQD | socket.NI_NUMERICHOST),
    "no numeric host": (("localhost", 80), NUMERIC),
    "port too large": (("127.0.0.1", 65_536), NUMERIC),
    "port negative": (("127.0.0.1", -1), NUMERIC),
    "port text": (("127.0.0.1", "80"), NUMERIC),
    "one part": (("127.0.0.1",), NUMERIC),
    "ipv4 three parts": (("127.0.0.1", 80, 0), NUMERIC),
    "five parts": (("::1", 80, 0, 0, 0), NUMERIC),
    "flow too large": (("::1", 80, 0x100000, 0), NUMERIC),
    "a list": (["127.0.0.1", 80], NUMERIC),
    "text": ("127.0.0.1", NUMERIC),
    "flags text": (("127.0.0.1", 80), "numeric"),
    "flags too large": (("127.0.0.1", 80), 2**31),
    "zero byte": (("127.0.0.1\0", 80), NUMERIC),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_are_those_of_socket(loop: Loop, case: str) -> None:
    args = NAMES[case]
    same(loop, lambda: loop.getnameinfo(*args), lambda: socket.getnameinfo(*(*args, 0)[:2]))
    loop.run_until_complete(loop.shutdown_default_executor())


@pytest.mark.parametrize("name", ["getaddrinfo", "getnameinfo"])
def test_a_replaced_function_of_socket_is_called(
    loop: Loop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, name, lambda *args: ("replaced", args))
    calls: dict[str, Any] = {
        "getaddrinfo": lambda: loop.getaddrinfo("127.0.0.1", 80),
        "getnameinfo": lambda: loop.getnameinfo(("127.0.0.1", 80)),
    }
    found = loop.run_until_complete(calls[name]())
    assert found[0] == "replaced"
    loop.run_until_complete(loop.shutdown_default_executor())


def test_debug_mode_logs_slow_lookups(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    with caplog.at_level("DEBUG", "asyncio"):
        loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80))
    assert [text for text in caplog.messages if text.startswith("Getting address info 127.0.0.1:80 took")]
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_closed_loop_looks_nothing_up(loop: Loop) -> None:
    loop.close()
    for call in (
        lambda: loop.getaddrinfo("127.0.0.1", 80),
        lambda: loop.getnameinfo(("127.0.0.1", 80), NUMERIC),
    ):
        coroutine = call()
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            coroutine.send(None)


def test_many_lookups_at_once_all_answer(loop: Loop) -> None:
    async def main() -> None:
        lookups = (loop.getaddrinfo("localhost", port, type=TCP) for port in range(1, 201))
        for port, found in enumerate(await asyncio.gather(*lookups), 1):
            assert {entry[4][1] for entry in found} == {port}
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())


def test_a_lookup_can_be_cancelled(loop: Loop) -> None:
    async def main() -> None:
        lookups = [asyncio.ensure_future(loop.getaddrinfo("localhost", 80)) for _ in range(100)]
        await asyncio.sleep(0)
        for lookup in lookups[1:]:
            lookup.cancel()
        outcomes = await asyncio.gather(*lookups, return_exceptions=True)
        assert isinstance(outcomes[0], list)
        assert {type(outcome) for outcome in outcomes[1:]} <= {asyncio.CancelledError, list}
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())


def test_every_lookup_is_an_auditing_event(run_script: RunScript) -> None:
    script = """
        import sys, socket
        events = []
        def hook(name, args):
            if name.startswith("socket.get"):
                events.append((name, args))
        sys.addaudithook(hook)
        loop = new_loop()
        loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80, type=1))
        loop.run_until_complete(loop.getnameinfo(("127.0.0.1", 80), 3))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        print(events)
    """
    expected = [
        ("socket.getaddrinfo", ("127.0.0.1", 80, 0, 1, 0)),
        ("socket.getnameinfo", (("127.0.0.1", 80),)),
    ]
    assert run_script(script).lines == [str(expected)]


def native_threads() -> int:
    """How many threads this process has, Python's or not."""
    return len(os.listdir("/proc/self/task"))


def test_closing_a_loop_with_lookups_under_way_is_clean(loop: Loop) -> None:
    async def begin() -> None:
        tasks.extend(asyncio.ensure_future(loop.getaddrinfo("localhost", 80)) for _ in range(50))
        await asyncio.sleep(0)

    tasks: list[asyncio.Future[Any]] = []
    loop.set_exception_handler(lambda *_: None)  # a task that is destroyed while it waits says so
    before = threading.active_count()
    loop.run_until_complete(begin())
    for task in tasks:
        task.cancel()
    run_once(loop)
    run_once(loop)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert threading.active_count() == before


def test_a_thousand_lookups_leave_no_descriptor_thread_or_object(loop: Loop) -> None:
    async def main() -> None:
        for _ in range(10):
            await asyncio.gather(*(loop.getaddrinfo("localhost", 80, type=TCP) for _ in range(100)))
        await loop.shutdown_default_executor()

    fds, threads = len(open_fds()), native_threads()
    loop.run_until_complete(main())
    assert native_threads() <= threads + 16
    loop.close()
    patience = time.monotonic() + 10
    while native_threads() > threads and time.monotonic() < patience:
        time.sleep(0.01)
    assert native_threads() <= threads
    assert len(open_fds()) <= fds
    gc.collect()
    assert sys.getrefcount(loop) < 20
