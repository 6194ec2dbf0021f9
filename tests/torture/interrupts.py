"""Interrupt a loop at random points: each queued callback has run once, or is still queued.

Run as ``python -m torture.interrupts SEED COUNT``. A thread queues numbers through `call_soon_threadsafe`, as
timers and as tasks, while SIGINT arrives from a signal, from `_thread.interrupt_main` and from handlers of
the loop. After each interruption the loop runs on. It prints how often it was interrupted, and ``done``.
"""

from __future__ import annotations

import _thread
import asyncio
import collections
import logging
import os
import random
import signal
import sys
import threading
import time
from typing import Any

import maypole


class Numbers:
    """Numbers that were given out, and those that came back: C code notes them, which nobody interrupts."""

    def __init__(self) -> None:
        self.given = 0
        self.ran: list[int] = []
        self.soon: list[int] = []
        self.futures: dict[asyncio.Future[None], int] = {}
        self.told: list[asyncio.Future[None]] = []

    def next(self) -> int:
        self.given += 1
        return self.given - 1


def queue(loop: Any, numbers: Numbers, dice: random.Random, count: int) -> None:
    """Queue so many numbers, from a thread that is never interrupted itself."""
    for _ in range(count):
        number = numbers.next()
        match dice.randrange(4):
            case 0 | 1:
                numbers.soon.append(number)
                loop.call_soon_threadsafe(numbers.ran.append, number)
            case 2:
                # The timer is made by C code in the loop's thread: nothing in between can be interrupted.
                delay = dice.random() / 500
                loop.call_soon_threadsafe(loop.call_later, delay, numbers.ran.append, number)
            case _:
                # A future that is done tells its callback, which is C code too.
                future = loop.create_future()
                numbers.futures[future] = number
                future.add_done_callback(numbers.told.append)
                loop.call_soon_threadsafe(future.set_result, None)
        if dice.random() < 0.05:
            time.sleep(dice.random() / 1000)


def interrupt(dice: random.Random, stop: threading.Event, ended: threading.Event) -> None:
    """Interrupt the main thread at random moments until told to stop."""
    while not stop.wait(dice.expovariate(1 / 0.001)):
        if dice.random() < 0.5:
            os.kill(os.getpid(), signal.SIGINT)
        else:
            _thread.interrupt_main()
    ended.set()


class Interruption:
    """The handler of SIGINT: raises where the loop runs, and never while the main thread is between two runs.

    Each time it is armed it raises at most once, so none hits the handling of the one before.
    """

    def __init__(self) -> None:
        self.armed = False

    def __call__(self, _number: int, _frame: object) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt


def run_interrupted(loop: Any, until: Any, interruption: Interruption) -> int:
    """Run the loop until it is stopped, however often it is interrupted; returns how often."""
    interrupted = 0
    while True:
        try:
            # An interruption between two turns must not lose what is queued: so nothing else happens here.
            interruption.armed = True
            loop.run_forever()
            interruption.armed = False
            if until():
                return interrupted
        except KeyboardInterrupt:
            interrupted += 1


def main(seed: int, count: int) -> None:
    """Queue, interrupt, count."""
    dice = random.Random(seed)
    sys.setswitchinterval(1e-4)
    interruption = Interruption()
    signal.signal(signal.SIGINT, interruption)
    loop = maypole.new_event_loop()
    numbers = Numbers()
    stop, ended = threading.Event(), threading.Event()
    queued = threading.Event()

    def queue_all() -> None:
        queue(loop, numbers, random.Random(seed + 1), count)
        queued.set()
        stop.set()
        ended.wait()
        # Behind everything, timers included.
        loop.call_soon_threadsafe(loop.call_later, 0.05, loop.stop)

    threads = [
        threading.Thread(target=queue_all),
        threading.Thread(target=interrupt, args=(dice, stop, ended)),
    ]
    for thread in threads:
        thread.start()
    interrupted = run_interrupted(loop, ended.is_set, interruption)
    for thread in threads:
        thread.join()
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    loop.close()
    came_back = numbers.ran + [numbers.futures[future] for future in numbers.told]
    again = [number for number, times in collections.Counter(came_back).items() if times > 1]
    lost = set(range(count)) - set(came_back)
    soon = set(numbers.soon)
    order = [number for number in numbers.ran if number in soon]
    sys.stdout.write(f"lost {sorted(lost)[:10]}, run twice {again[:10]}, in order {order == numbers.soon}\n")
    sys.stdout.write(f"done: interrupted {interrupted} times\n")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main(int(sys.argv[1]), int(sys.argv[2]))
