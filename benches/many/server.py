"""The server process: ``python -m many.server FACTORY KIND NATIVE``. Prints its port and serves."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from measuring.contestant import Layered, load_factory
from scenarios.echo import STREAMS, Echo, echo_stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

BACKLOG = 1024
#: Seconds after which a forgotten server ends itself.
LIFETIME_S = 300


async def protocol(listener: socket.socket, api: Any) -> object:
    """Echo by `asyncio.Protocol`."""
    return await asyncio.get_running_loop().create_server(Echo, sock=listener, backlog=BACKLOG)


async def streams(listener: socket.socket, api: Any) -> object:
    """Echo by streams, a task for each connection."""
    return await api.start_server(echo_stream, sock=listener, backlog=BACKLOG)


async def websocket(listener: socket.socket, api: Any) -> object:
    """Echo by a FastAPI WebSocket under uvicorn."""
    fastapi = importlib.import_module("fastapi")
    app = fastapi.FastAPI()

    # FastAPI reads the annotation, which is a name of this function: it cannot be text.
    async def echo(connection: Any) -> None:
        await connection.accept()
        with contextlib.suppress(fastapi.WebSocketDisconnect):
            while True:
                await connection.send_text(await connection.receive_text())

    echo.__annotations__["connection"] = fastapi.WebSocket
    app.websocket("/echo")(echo)
    return await serve_asgi(app, listener)


async def serve_asgi(app: Any, listener: socket.socket) -> object:
    """Uvicorn in this loop; it must not take the signals that end this process."""
    uvicorn = importlib.import_module("uvicorn")

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        backlog=BACKLOG,
        http="httptools",
        ws="websockets-sansio",
        ws_ping_interval=None,  # the clients answer nothing
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.01)
    return server, serving


KINDS: dict[str, Callable[[socket.socket, Any], Awaitable[object]]] = {
    "protocol": protocol,
    "streams": streams,
    "websocket": websocket,
}


def fail_loudly(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Write what the loop reports to standard error, where the parent finds it."""
    sys.stderr.write(f"loop reported: {context.get('message')}: {context.get('exception')!r}\n")


def main(factory: str, kind: str, native: str) -> None:
    """Serve."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.setitimer(signal.ITIMER_REAL, LIFETIME_S)
    api: Any = Layered(importlib.import_module(native), STREAMS) if native else asyncio

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(fail_loudly)
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        listener.setblocking(False)
        keep = await KINDS[kind](listener, api)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()
        del keep

    with asyncio.Runner(loop_factory=load_factory(factory)) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main(*sys.argv[1:4])
