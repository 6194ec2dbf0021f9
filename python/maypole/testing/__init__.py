"""Testing asyncio programs in no time at all, and the same way every time.

>>> import asyncio
>>> from maypole.testing import run_virtual
>>> async def slow() -> str:
...     await asyncio.sleep(3600)
...     return "done"
>>> run_virtual(slow(), loop="asyncio")
'done'
"""

from maypole.testing.clock import VirtualClock, run_virtual
from maypole.virtual.stops import Deadlock, Hang, Spin, TaskWait, VirtualStop

__all__ = ["Deadlock", "Hang", "Spin", "TaskWait", "VirtualClock", "VirtualStop", "run_virtual"]
