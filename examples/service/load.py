"""Ask the order service with many clients at once, and count what it answers, second by second.

python load.py http://127.0.0.1:8000 --clients 40 --seconds 30
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

ORDERS = 100


@dataclass(frozen=True)
class Answer:
    """One answer of the service.

    Attributes:
        asked_at: when it was asked for, in seconds of the monotonic clock.
        at: when it came.
        status: of HTTP.
        detail: why not: the name of an error; empty for an order.
        worker: the process that answered.
        admitted_at: when its worker let it in, by the same clock; None if it did not.
    """

    asked_at: float
    at: float
    status: int
    detail: str
    worker: int
    admitted_at: float | None


@dataclass
class Load:
    """Clients that ask for one order after another."""

    url: str
    clients: int
    answers: list[Answer] = field(default_factory=list)
    running: bool = True

    async def run(self) -> None:
        """Ask until somebody sets ``running`` to False."""
        # A new connection for each request: so all workers get their share.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(self.url, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self.clients):
                group.create_task(self._ask(session, number))

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        while self.running:
            number = number % ORDERS + 1
            asked_at = time.monotonic()
            async with session.get(f"/orders/{number}") as response:
                is_json = response.content_type == "application/json"
                body = await response.json() if is_json else {"detail": await response.text()}
            admitted_at = response.headers.get("x-admitted-at")
            answer = Answer(
                asked_at,
                time.monotonic(),
                response.status,
                body.get("detail", ""),
                int(response.headers.get("x-worker", 0)),
                None if admitted_at is None else float(admitted_at),
            )
            self.answers.append(answer)
            if answer.status != 200:
                await asyncio.sleep(0.02)  # a client that is refused does not ask again at once


async def main() -> None:
    """Show a line for each second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    load = Load(arguments.url, arguments.clients)
    asking = asyncio.create_task(load.run())
    seen = 0
    for second in range(1, arguments.seconds + 1):
        await asyncio.sleep(1)
        new, seen = load.answers[seen:], len(load.answers)
        counts = Counter(f"{one.status} {one.detail}".strip() for one in new)
        print(f"{second:3} s  {', '.join(f'{what}: {count}' for what, count in sorted(counts.items()))}")
    load.running = False
    await asking


if __name__ == "__main__":
    asyncio.run(main())
