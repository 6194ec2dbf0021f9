"""A socket that is read as if there were no loop."""

import asyncio
import socket
import threading


async def worker(ours: socket.socket) -> bytes:
    await asyncio.sleep(0.001)
    return ours.recv(1)  # FAULT


async def main() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answer = threading.Timer(0.2, theirs.send, (b"x",))
        answer.start()
        await asyncio.create_task(worker(ours), name="worker")
        answer.join()


asyncio.run(main())
