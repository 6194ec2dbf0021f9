"""Objects that say what is not so, of their length, their descriptor or their bytes, harm nobody."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from harness.kinds import MAYPOLE, Loop, LoopKind, run_once
from harness.tls import client_context, server_context

#: More than any process may have open.
NO_DESCRIPTOR = 2**31 - 1


class OtherNumber(socket.socket):
    """A socket with a number that is none."""

    def fileno(self) -> int:
        return NO_DESCRIPTOR


def test_a_socket_with_a_false_number_is_no_connection(loop: Loop) -> None:
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    ours, theirs = socket.socketpair()
    liar = OtherNumber(fileno=ours.detach())
    liar.setblocking(False)
    with theirs:
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=liar))
        loop.run_until_complete(asyncio.sleep(0.01))
        transport.abort()
        run_once(loop)
        run_once(loop)
    assert all(isinstance(context["exception"], OSError) for context in reported)


class Boastful:
    """Few items, and a length that no memory holds."""

    def __init__(self, *items: object) -> None:
        self.items = items

    def __len__(self) -> int:
        return 2**44

    def __getitem__(self, place: int) -> object:
        return self.items[place]

    def __iter__(self) -> Iterator[object]:
        return iter(self.items)

    def __length_hint__(self) -> int:
        return 2**44


def test_no_memory_is_taken_on_the_word_of_a_length() -> None:
    from maypole import _maypole

    rules: Any = Boastful(_maypole.Rule.bucket(1.0, 1.0))
    shares: Any = Boastful(0.25)
    limiter: Any = _maypole.Limiter(rules, None)
    assert limiter.try_acquire(0.0)
    assert _maypole.Gate(1, None, shares).try_acquire()


class Engine(ssl.SSLObject):
    """Decrypts into what is not `bytes`."""

    def read(self, size: int = 1024, buffer: Any = None) -> Any:
        got = super().read(size, buffer)
        return bytearray(got) if isinstance(got, bytes) else got


def test_an_engine_may_give_other_bytes(loop: Loop) -> None:
    sent = bytes(range(256)) * 1000

    async def main() -> bytes:
        received: asyncio.Future[bytes] = loop.create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.set_result(await reader.read())
            writer.close()

        context = server_context()
        context.sslobject_class = Engine
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(), server_hostname="localhost"
        )
        writer.write(sent)
        writer.close()
        await writer.wait_closed()
        server.close()
        return await received

    assert loop.run_until_complete(main()) == sent


def test_a_half_made_task_is_freed_without_a_word(loop: Loop, loop_kind: LoopKind) -> None:
    async def nothing() -> None:
        pass

    task = loop.create_task(nothing())
    loop.run_until_complete(task)
    kind = type(task)
    half = kind.__new__(kind)
    half.set_name("half")
    assert half.get_name() == "half"
    # An exception that freeing left set would come out of whatever is called next.
    held = [half, kind.__new__(kind)]
    del half
    held.clear()
    gc.collect()
    if loop_kind == MAYPOLE:
        assert sys.exc_info()[1] is None


@pytest.mark.parametrize("name", ["Future", "Task", "StreamReader", "Queue", "Lock", "Semaphore"])
def test_a_half_made_object_raises_at_most(name: str) -> None:
    import maypole
    from maypole import _maypole

    kind: Any = getattr(maypole, name, None) or getattr(_maypole, name)
    raised: list[str] = []
    for method in dir(kind):
        half = kind.__new__(kind)
        if method.startswith("__") or not callable(getattr(half, method, None)):
            continue
        for given in [(), (None,), (object(),), (half, half)]:
            try:
                answer = getattr(half, method)(*given)
            except Exception as error:
                raised.append(f"{method}: {error!r}")
                continue
            if hasattr(answer, "close"):
                answer.close()
    assert not [text for text in raised if "SystemError" in text or "internal error" in text]
