"""Without descriptors a server waits and serves on; other operations fail with `OSError` and leak nothing."""

from __future__ import annotations

import asyncio
import errno
import socket
from asyncio import constants
from typing import Any

import pytest
from harness.children import run_module, start_module
from harness.kinds import Loop, LoopKind

SPARE = 8
CLIENTS = 30


def connected(port: int) -> socket.socket:
    """A client, which the kernel accepts whether the server does or not."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def echoes(client: socket.socket) -> bool:
    """Send a byte, and say whether it came back."""
    client.sendall(b"x")
    return client.recv(1) == b"x"


def test_a_server_serves_on_when_descriptors_come_free(loop_kind: LoopKind) -> None:
    server = start_module("torture.busy_server", loop_kind.spec, SPARE)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        clients = [connected(port) for _ in range(CLIENTS)]
        # One descriptor may be needed in between; the others are all taken.
        assert all(echoes(client) for client in clients[: SPARE - 1])
        told = server.stdout.readline()
        while clients:
            client = clients.pop(0)
            assert echoes(client)
            if len(clients) == 0:
                client.sendall(b"stop")
            client.close()
        out, err = server.communicate(timeout=20)
    finally:
        server.kill()
        server.communicate()
    assert (server.returncode, err) == (0, "")
    assert out == "stopped\n"
    assert told == (
        "socket.accept() out of system resource: [Errno 24] Too many open files "
        "['exception', 'message', 'socket']\n"
    )


class Exhausted(socket.socket):
    """A listening socket whose next accept fails with the number in `fails_with`."""

    fails_with = 0

    def accept(self) -> tuple[socket.socket, object]:
        number, self.fails_with = self.fails_with, 0
        if number:
            raise OSError(number, "no more")
        return super().accept()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_accept_is_tried_again(loop: Loop, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 0.01)
    told: list[tuple[str, int]] = []

    def tell(_: Loop, context: dict[str, Any]) -> None:
        told.append((context["message"], context["exception"].errno))

    loop.set_exception_handler(tell)

    async def main() -> bytes:
        listener = Exhausted()
        listener.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(lambda _, writer: writer.close(), sock=listener)
        async with server:
            listener.fails_with = number
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            try:
                return await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()
                # The server must still be there when it listens again: on asyncio that fails otherwise.
                await asyncio.sleep(2 * constants.ACCEPT_RETRY_DELAY)

    assert loop.run_until_complete(main()) == b""
    assert told == [("socket.accept() out of system resource", number)]


@pytest.mark.not_in_debug_mode("asyncio then logs each address that it cannot listen at")
def test_operations_fail_cleanly_however_few_descriptors_there_are(loop_kind: LoopKind) -> None:
    done = run_module("torture.descriptors_run_out", loop_kind.spec)
    assert done.exit_code == 0, done.err[-3000:]
    assert done.lines[-1] == "done"
    assert "leaks" not in done.out, done.out
    assert "1 spare" in done.out
    assert "works" not in done.lines[0], "the limit did not hold"
    assert "E" not in done.lines[-2].replace("spare", ""), done.lines[-2]
    if loop_kind.name == "maypole":
        assert done.err == ""
