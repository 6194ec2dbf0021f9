"""asyncio's helpers, natively, under the names of `maypole`.

Each has the interface, the order, the errors and the cancellation rules of its namesake in asyncio, and runs
on any asyncio loop; a maypole loop makes it fast.

- `condition`: `Condition`, whose lock is native;
- `streams`: readers, writers, `open_connection`, `start_server`;
- `install`: `install` and `uninstall`, which put all of them into asyncio and take them out again.

Source: https://docs.python.org/3/library/asyncio-sync.html, https://docs.python.org/3/library/asyncio-queue.html
"""

from maypole._maypole import (
    BoundedSemaphore,
    Event,
    LifoQueue,
    Lock,
    PriorityQueue,
    Queue,
    Semaphore,
    as_completed,
    gather,
    sleep,
)
from maypole.natives.condition import Condition
from maypole.natives.install import install, uninstall
from maypole.natives.streams import (
    StreamReader,
    StreamReaderProtocol,
    StreamWriter,
    open_connection,
    open_unix_connection,
    start_server,
    start_unix_server,
)

__all__ = [
    "BoundedSemaphore",
    "Condition",
    "Event",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "Semaphore",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "as_completed",
    "gather",
    "install",
    "open_connection",
    "open_unix_connection",
    "sleep",
    "start_server",
    "start_unix_server",
    "uninstall",
]
