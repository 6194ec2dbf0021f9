"""Ends that nobody planned: the interpreter's under a running loop, a descriptor's under its transport."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any

import pytest
from harness.children import RunScript
from harness.kinds import Loop, run_once

BUSY = {
    "a task": "while True:\n        await asyncio.sleep(0)",
    "callbacks": """def again():
        asyncio.get_running_loop().call_soon(again)
    again()
    await asyncio.sleep(1000)""",
    "timers": "while True:\n        await asyncio.sleep(0.0001)",
    "a protocol": """class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
        def data_received(self, data):
            sum(range(1000))
            self.transport.write(data)
    import socket
    for end in (ends := socket.socketpair()):
        end.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_connection(Echo, sock=end)
    transport.write(b"ball")
    await asyncio.sleep(1000)""",
}


@pytest.mark.parametrize("work", BUSY)
def test_the_interpreter_ends_while_daemon_threads_run_loops(run_script: RunScript, work: str) -> None:
    done = run_script(f"""
import threading, time

async def busy():
    {BUSY[work]}

def run():
    new_loop().run_until_complete(busy())

sys.setswitchinterval(1e-5)
for _ in range(3):
    threading.Thread(target=run, daemon=True).start()
time.sleep(0.1)
print("over")
""")
    assert (done.exit_code, done.lines) == (0, ["over"]), done.err[-3000:]


class ClosesItsDescriptor(asyncio.Protocol):
    """Closes the descriptor of its connection, as a library may that knows the number, and raises."""

    def __init__(self, ours: socket.socket) -> None:
        self.ours = ours

    def data_received(self, data: bytes) -> None:
        os.close(self.ours.detach())
        raise ValueError(data)


@pytest.mark.parametrize("waiting", [b"", bytes(4_000_000)])
def test_the_loop_goes_on_without_a_descriptor_that_was_closed(loop: Loop, waiting: bytes) -> None:
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    with theirs:
        transport, _ = loop.run_until_complete(
            loop.create_connection(lambda: ClosesItsDescriptor(ours), sock=ours)
        )
        transport.write(waiting)
        run_once(loop)
        theirs.send(b"close it")
        loop.run_until_complete(asyncio.sleep(0.01))
        with contextlib.suppress(OSError):
            transport.abort()
        assert loop.run_until_complete(asyncio.sleep(0.01, "alive")) == "alive"
    assert any(isinstance(context["exception"], ValueError) for context in reported)
