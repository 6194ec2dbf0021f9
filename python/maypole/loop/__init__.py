"""The event loop: CPython's own code for what runs once per connection, native code for each callback.

- `event_loop`: `EventLoop`, put together from the parts below;
- `lifecycle`: `run_forever` and `close`;
- `signals`: signals wake the loop, whatever it does;
- `failure`: where a callback's exception goes, and the slow-callback log of debug mode;
- `connections`: native transports for stream sockets;
- `datagrams`: the same for datagram sockets;
- `resolver`: look-ups of hosts and services;
- `children`: child processes, watched by pidfd;
- `task_registry`: native tasks among `asyncio.all_tasks()`;
- `virtual_time`: the parts of the virtual clock that need Python;
- `selector`: what inherited code sees as the loop's selector;
- `policy`: an event-loop policy, for Pythons that still have them;
- `running`: `run` and `new_event_loop`;
- `inherited`: what the parts use of CPython's loop.
"""

from maypole.loop.event_loop import EventLoop
from maypole.loop.running import new_event_loop, run

__all__ = ["EventLoop", "new_event_loop", "run"]
