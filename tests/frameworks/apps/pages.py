"""A FastAPI application that uses what applications use: lifespan, streams, WebSockets, background tasks."""

# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Keep a task running as long as the server does."""
    beats: list[int] = []

    async def beat() -> None:
        while True:
            beats.append(1)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(beat())
    yield {"beats": beats, "done": []}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    logging.getLogger("uvicorn.error").warning("lifespan ended")


app = FastAPI(lifespan=lifespan)


@app.get("/loop")
async def loop(request: Request) -> dict[str, Any]:
    """The loop that the server runs on."""
    cls = type(asyncio.get_running_loop())
    return {"loop": f"{cls.__module__}.{cls.__qualname__}", "beats": len(request.state.beats)}


@app.get("/items/{number}")
async def item(number: int) -> dict[str, int]:
    """A small page that waits a turn."""
    await asyncio.sleep(0)
    return {"number": number, "square": number * number}


@app.get("/threads/{number}")
def in_a_thread(number: int) -> int:
    """A page made in a thread of the pool."""
    return number + 1


@app.post("/length")
async def length(request: Request) -> int:
    """The length of a body, read piece by piece."""
    return sum([len(piece) async for piece in request.stream()])


@app.get("/stream/{count}")
async def stream(count: int) -> StreamingResponse:
    """A body that is made while it is sent."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(count):
            yield b"%06d\n" % number
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


@app.get("/later")
async def later(request: Request, tasks: BackgroundTasks) -> int:
    """Something is done after the answer; the number says how often it was."""
    tasks.add_task(request.state.done.append, 1)
    return len(request.state.done)


@app.get("/broken")
async def broken() -> None:
    """A page that fails."""
    raise ZeroDivisionError("a broken page")


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    """Send back each text in capitals."""
    await socket.accept()
    try:
        while True:
            await socket.send_text((await socket.receive_text()).upper())
    except WebSocketDisconnect:
        pass
