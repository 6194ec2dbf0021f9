"""A server that has fewer descriptors than clients. Run as ``python -m torture.busy_server LOOP SPARE``.

It prints its port, then what its exception handler is told, each message once.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
import sys
from asyncio import constants
from typing import Any


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == b"stop":
            asyncio.get_running_loop().stop()
        self.transport.write(data)


def main(spec: str, spare: int) -> None:
    """Serve until a client says stop."""
    module, _, attribute = spec.partition(":")
    constants.ACCEPT_RETRY_DELAY = 0.02  # type: ignore[misc, assignment]
    loop = getattr(importlib.import_module(module), attribute)()
    told: set[str] = set()

    def tell(_: object, context: dict[str, Any]) -> None:
        line = f"{context['message']}: {context['exception']} {sorted(context)}"
        if line not in told:
            told.add(line)
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    loop.set_exception_handler(tell)
    server = loop.run_until_complete(loop.create_server(Echo, "127.0.0.1", 0))
    used = len(os.listdir("/proc/self/fd")) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, used + spare))
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    loop.run_forever()
    server.close()
    sys.stdout.write("stopped\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
