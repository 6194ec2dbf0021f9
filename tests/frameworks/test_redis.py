"""redis.asyncio on a real Redis: pipelines, pub/sub, streams, blocking pops, cancelling."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

redis: Any = pytest.importorskip("redis.asyncio", reason="redis is not installed for this Python")


@pytest.fixture
def run_with_redis(redis_port: int, run: Any) -> Any:
    """Run a function that takes a client of an empty database."""

    def run_with(function: Any) -> None:
        async def main() -> None:
            pool = redis.BlockingConnectionPool(port=redis_port, max_connections=30, decode_responses=True)
            client = redis.Redis.from_pool(pool)
            try:
                await client.flushall()
                await function(client)
            finally:
                await client.aclose()

        run(main())

    return run_with


def test_many_commands_and_pipelines(run_with_redis: Any) -> None:
    async def main(client: Any) -> None:
        await asyncio.gather(*(client.set(f"key{number}", number) for number in range(300)))
        assert await client.get("key299") == "299"
        assert len(await client.keys("key*")) == 300
        async with client.pipeline(transaction=True) as pipe:
            for _ in range(1000):
                pipe.incr("counter")
            assert (await pipe.execute())[-1] == 1000
        big = "x" * 3_000_000
        await client.set("big", big)
        assert await client.get("big") == big

    run_with_redis(main)


def test_published_messages_arrive_in_order(run_with_redis: Any) -> None:
    async def main(client: Any) -> None:
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
            for number in range(200):
                await client.publish("news", number)
            received: list[int] = []
            while len(received) < 200:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
                received.append(int(message["data"]))
            assert received == list(range(200))

    run_with_redis(main)


def test_streams_and_groups(run_with_redis: Any) -> None:
    async def main(client: Any) -> None:
        await client.xgroup_create("orders", "workers", mkstream=True)
        for number in range(50):
            await client.xadd("orders", {"number": number})
        seen: list[int] = []
        while len(seen) < 50:
            for _, entries in await client.xreadgroup("workers", "one", {"orders": ">"}, count=7, block=1000):
                for entry, fields in entries:
                    seen.append(int(fields["number"]))
                    await client.xack("orders", "workers", entry)
        assert seen == list(range(50))

    run_with_redis(main)


def test_a_blocking_pop_waits_for_a_push(run_with_redis: Any) -> None:
    async def main(client: Any) -> None:
        waiting = asyncio.create_task(client.blpop("list", timeout=10))
        await asyncio.sleep(0.01)
        await client.rpush("list", "pushed")
        assert tuple(await waiting) == ("list", "pushed")

    run_with_redis(main)


def test_a_cancelled_command_gives_nobody_elses_answer(run_with_redis: Any) -> None:
    async def main(client: Any) -> None:
        await client.set("mine", "right")
        for number in range(50):
            waiting = asyncio.create_task(client.blpop(f"never{number}", timeout=5))
            await asyncio.sleep(0.002)  # the command is on its way
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert await client.get("mine") == "right"

    run_with_redis(main)
