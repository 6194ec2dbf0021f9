"""A consumer that is slower than its producers, behind a queue that is full."""

import asyncio

Numbers = asyncio.Queue[int]


async def produce(queue: Numbers) -> None:
    for number in range(10):
        await queue.put(number)  # FAULT


async def consume(queue: Numbers) -> None:
    while True:
        await queue.get()
        await asyncio.sleep(0.005)
        queue.task_done()


async def main() -> None:
    queue: Numbers = asyncio.Queue(maxsize=2)
    consumer = asyncio.create_task(consume(queue), name="consumer")
    await asyncio.gather(*(produce(queue) for _ in range(3)))
    await queue.join()
    consumer.cancel()


asyncio.run(main())
