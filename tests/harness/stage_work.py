"""Functions that pipeline stages run in other processes: those must be able to import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    """Square a number."""
    return number * number


def fail_on_three(number: int) -> int:
    """Raise for 3."""
    if number == 3:
        raise ValueError("three")
    return number


def die_once(pair: tuple[int, str]) -> int:
    """Kill the own process on the first attempt; the file remembers it."""
    number, marker = pair
    if number == 3 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_always(number: int) -> int:
    """Kill the own process on 3."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def sleep_for_ever(marker: str) -> None:
    """Tell the own process id through a file, then sleep."""
    Path(marker).write_text(str(os.getpid()))
    time.sleep(3600)
