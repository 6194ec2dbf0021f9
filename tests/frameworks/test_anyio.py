"""anyio on its asyncio backend, with the loop under test."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from typing import Any

import pytest
from harness.kinds import NewLoop

anyio: Any = pytest.importorskip("anyio", reason="anyio is not installed for this Python")


@pytest.fixture
def anyio_run(loop_factory: NewLoop) -> Any:
    """``anyio.run`` with the loop's factory."""

    def run_with(function: Any) -> Any:
        return anyio.run(function, backend_options={"loop_factory": loop_factory})

    return run_with


def test_task_groups_and_cancel_scopes(anyio_run: Any) -> None:
    async def main() -> None:
        seen: list[str] = []

        async def wait(name: str) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                seen.append(name)

        with anyio.move_on_after(0.01) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(wait, "one")
                group.start_soon(wait, "two")
        assert scope.cancelled_caught
        assert sorted(seen) == ["one", "two"]
        with pytest.raises(TimeoutError), anyio.fail_after(0.001):
            await anyio.sleep_forever()

    anyio_run(main)


def test_sockets_of_every_kind(anyio_run: Any) -> None:
    async def main() -> None:
        async def echo(stream: Any) -> None:
            async with stream:
                async for data in stream:
                    await stream.send(data)

        async with anyio.create_task_group() as group:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            group.start_soon(listener.serve, echo)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with await anyio.connect_tcp("127.0.0.1", port) as client:
                await client.send(b"hello")
                assert await client.receive() == b"hello"
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "socket")
                unix = await anyio.create_unix_listener(path)
                group.start_soon(unix.serve, echo)
                async with await anyio.connect_unix(path) as client:
                    await client.send(b"hello")
                    assert await client.receive() == b"hello"
            async with await anyio.create_udp_socket(local_host="127.0.0.1") as udp:
                await udp.sendto(b"datagram", "127.0.0.1", udp.extra(anyio.abc.SocketAttribute.local_port))
                assert (await udp.receive())[0] == b"datagram"
            group.cancel_scope.cancel()
        await unix.aclose()
        await listener.aclose()

    anyio_run(main)


def test_threads_processes_and_signals(anyio_run: Any) -> None:
    async def main() -> None:
        assert await anyio.to_thread.run_sync(sum, [1, 2, 3]) == 6

        def from_a_thread() -> str:
            return str(anyio.from_thread.run(answer))

        async def answer() -> str:
            await anyio.sleep(0)
            return "back"

        assert await anyio.to_thread.run_sync(from_a_thread) == "back"
        done = await anyio.run_process([sys.executable, "-c", "print(input()[::-1])"], input=b"maypole\n")
        assert done.stdout == b"elopyam\n"
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            os.kill(os.getpid(), signal.SIGUSR1)
            async for number in signals:
                assert number == signal.SIGUSR1
                break

    anyio_run(main)


def test_streams_locks_and_events(anyio_run: Any) -> None:
    async def main() -> None:
        send, receive = anyio.create_memory_object_stream(5)
        received: list[int] = []

        async def produce() -> None:
            async with send:
                for number in range(100):
                    await send.send(number)

        async def consume() -> None:
            async with receive:
                received.extend([number async for number in receive])

        async with anyio.create_task_group() as group:
            group.start_soon(produce)
            group.start_soon(consume)
        assert received == list(range(100))

    anyio_run(main)
