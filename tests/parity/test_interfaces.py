"""What a loop makes and returns has asyncio's interface: transports, servers, results of plain calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import maypole
import pytest
from harness.kinds import ASYNCIO, MAYPOLE, Loop, LoopKind
from harness.tls import client_context, server_context

Interface = dict[str, Any]


def interface(made: object) -> Interface:
    """The public methods of an object, with the names, kinds and defaults of their parameters."""
    found: Interface = {}
    for name, member in inspect.getmembers(type(made), callable):
        if name.startswith("_"):
            continue
        try:
            items = inspect.signature(member).parameters.values()
        except ValueError:
            found[name] = "inspect.signature fails"
            continue
        found[name] = [(item.name, item.kind.name, item.default) for item in items if item.name != "self"]
    return found


class Counted(asyncio.Protocol):
    """Knows how many connections are open, so that a test can wait for their end."""

    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Counted.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        Counted.connections -= 1


class Child(asyncio.SubprocessProtocol):
    """Counts as a connection until its process has ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Counted.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        Counted.connections -= 1


async def servers_and_transports(loop: Loop, folder: Path) -> dict[str, Interface]:
    """Make one of each kind, and look at it."""
    found: dict[str, Interface] = {}
    async with AsyncExitStack() as stack:

        async def look(name: str, made: Any) -> None:
            found[name] = interface(made)
            stack.callback(made.abort if name == "TLS transport" else made.close)

        for kind, context in (("TCP", None), ("TLS", server_context())):
            server = await loop.create_server(Counted, "127.0.0.1", 0, ssl=context)
            await look(f"{kind} server", server)
            client = client_context() if context else None
            name = "localhost" if context else None
            host, port = server.sockets[0].getsockname()
            transport, _ = await loop.create_connection(Counted, host, port, ssl=client, server_hostname=name)
            await look(f"{kind} transport", transport)
        path = str(folder / "unix")
        await look("Unix server", await loop.create_unix_server(Counted, path))
        await look("Unix transport", (await loop.create_unix_connection(Counted, path))[0])
        made = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        await look("datagram transport", made[0])
        read, write = os.pipe()
        await look("read pipe", (await loop.connect_read_pipe(Counted, os.fdopen(read, "rb")))[0])
        await look("write pipe", (await loop.connect_write_pipe(Counted, os.fdopen(write, "wb")))[0])
        child = await loop.subprocess_exec(Child, sys.executable, "-c", "input()")
        await look("subprocess transport", child[0])
        await until(9)  # both ends of three connections, two pipes, and a child
    await until(0)
    return found


async def until(connections: int) -> None:
    """Wait until so many connections are open, and what is called about them has been called."""
    async with asyncio.timeout(20):
        while Counted.connections != connections:
            await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def seen(tmp_path: Path) -> dict[str, dict[str, Interface]]:
    """What each loop makes, by the loop's name and the kind of thing."""
    found = {}
    for kind in (ASYNCIO, MAYPOLE):
        folder = tmp_path / kind.name
        folder.mkdir()
        with asyncio.Runner(loop_factory=kind.new_loop) as runner:
            found[kind.name] = runner.run(servers_and_transports(runner.get_loop(), folder))
    return found


def test_servers_and_transports_have_every_method_with_asyncios_parameters(
    seen: dict[str, dict[str, Interface]],
) -> None:
    expected, found = seen["asyncio"], seen["maypole"]
    assert list(found) == list(expected)
    for kind, methods in expected.items():
        differing = {
            name: (found[kind].get(name, "missing"), wanted)
            for name, wanted in methods.items()
            if found[kind].get(name) != wanted
        }
        assert not differing, kind


def test_a_transport_takes_its_arguments_by_name(loop: Loop) -> None:
    async def main() -> tuple[bytes, bytes]:
        ours, theirs = socket.socketpair()
        transport, protocol = await loop.create_connection(Counted, sock=ours)
        transport.set_protocol(protocol=protocol)
        transport.write(data=b"one ")
        transport.writelines(list_of_data=[b"two ", b"three"])
        await asyncio.sleep(0)
        streamed = theirs.recv(100)
        transport.close()
        theirs.close()
        address = ("127.0.0.1", 0)
        datagrams, listener = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, address)
        datagrams.set_protocol(protocol=listener)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(address)
            datagrams.sendto(data=b"four", addr=other.getsockname())
            sent = other.recv(100)
        datagrams.close()
        await until(0)
        return streamed, sent

    assert loop.run_until_complete(main()) == (b"one two three", b"four")


class InPlace(concurrent.futures.ThreadPoolExecutor):
    """Runs a job at once, in the thread that submits it."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        done.set_result(fn(*args, **kwargs))
        return done


def with_socket(use: Callable[[Any, socket.socket], Any]) -> Callable[[Any], Any]:
    """A call with a socket that is closed afterwards."""

    def call(loop: Any) -> Any:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            returned = use(loop, ours)
            loop.remove_reader(ours)
            loop.remove_writer(ours)
            return returned

    return call


CALLS: dict[str, Callable[[Any], Any]] = {
    "call_soon": lambda loop: loop.call_soon(print),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(print),
    "call_later": lambda loop: loop.call_later(9, print),
    "call_at": lambda loop: loop.call_at(loop.time() + 9, print),
    "create_future": lambda loop: loop.create_future(),
    "run_in_executor": lambda loop: loop.run_in_executor(InPlace(), int),
    "time": lambda loop: loop.time(),
    "is_running": lambda loop: loop.is_running(),
    "is_closed": lambda loop: loop.is_closed(),
    "get_debug": lambda loop: loop.get_debug(),
    "set_debug": lambda loop: loop.set_debug(False),
    "get_task_factory": lambda loop: loop.get_task_factory(),
    "set_task_factory": lambda loop: loop.set_task_factory(None),
    "get_exception_handler": lambda loop: loop.get_exception_handler(),
    "set_exception_handler": lambda loop: loop.set_exception_handler(None),
    "set_default_executor": lambda loop: loop.set_default_executor(InPlace()),
    "stop": lambda loop: loop.stop(),
    "close": lambda loop: loop.close(),
    "run_until_complete": lambda loop: loop.run_until_complete(asyncio.sleep(0, "slept")),
    "shutdown_asyncgens": lambda loop: loop.run_until_complete(loop.shutdown_asyncgens()),
    "shutdown_default_executor": lambda loop: loop.run_until_complete(loop.shutdown_default_executor()),
    "add_reader": with_socket(lambda loop, sock: loop.add_reader(sock, print)),
    "add_writer": with_socket(lambda loop, sock: loop.add_writer(sock, print)),
    "remove_reader, nobody": with_socket(lambda loop, sock: loop.remove_reader(sock)),
    "remove_writer, nobody": with_socket(lambda loop, sock: loop.remove_writer(sock)),
    "remove_reader": with_socket(lambda loop, sock: (loop.add_reader(sock, print), loop.remove_reader(sock))),
    "remove_writer": with_socket(lambda loop, sock: (loop.add_writer(sock, print), loop.remove_writer(sock))),
    "remove_signal_handler": lambda loop: loop.remove_signal_handler(2),
    "add_signal_handler": lambda loop: (loop.add_signal_handler(10, print), loop.remove_signal_handler(10)),
}
# The most special first: what asyncio returns is an instance of one of these, or a plain value.
KINDS = (asyncio.TimerHandle, asyncio.Handle, asyncio.Task, asyncio.Future)


def kind_of(returned: object) -> Any:
    """The class in asyncio's interface that a value belongs to; plain values as they are, times by type."""
    found = next((kind for kind in KINDS if isinstance(returned, kind)), None)
    if found is not None or isinstance(returned, float):
        return found or float
    if isinstance(returned, tuple):
        return tuple(map(kind_of, returned))
    return returned


@pytest.mark.parametrize("name", CALLS)
def test_a_call_returns_what_asyncios_returns(name: str) -> None:
    def on(kind: LoopKind) -> Any:
        loop = kind.new_loop()
        try:
            return kind_of(CALLS[name](loop))
        finally:
            loop.close()

    assert on(MAYPOLE) == on(ASYNCIO)


@pytest.mark.parametrize("name", sorted(set(dir(asyncio.AbstractEventLoop)) - set(dir(object))))
def test_nothing_is_left_unimplemented(name: str) -> None:
    ours = inspect.getattr_static(maypole.EventLoop, name)
    if ours is inspect.getattr_static(asyncio.AbstractEventLoop, name):
        stock = inspect.getattr_static(asyncio.SelectorEventLoop, name)
        assert ours is stock, f"asyncio implements {name}, maypole does not"


def test_a_loop_needs_no_dictionary() -> None:
    """The interpreter finds methods faster in what has none."""

    async def use_much() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, int)
        await loop.getaddrinfo("localhost", 80)
        child = await asyncio.create_subprocess_exec("true")
        await child.wait()
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
            await writer.wait_closed()

    loop = maypole.new_event_loop()
    loop.run_until_complete(use_much())
    assert vars(loop) == {}
    loop.close()
    assert vars(loop) == {}
