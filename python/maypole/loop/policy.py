"""An event-loop policy, for Pythons that still have policies (they leave in 3.16)."""

from __future__ import annotations

from maypole import versions
from maypole.loop.running import new_event_loop


class EventLoopPolicy(versions.default_policy_class()):  # type: ignore[misc]  # it depends on the version
    """Makes maypole loops; ``asyncio.set_event_loop_policy(maypole.EventLoopPolicy())`` installs it.

    Prefer a loop factory (``asyncio.Runner(loop_factory=maypole.new_event_loop)``): it changes nothing else.

    Source: https://docs.python.org/3/library/asyncio-policy.html
    """

    _loop_factory = staticmethod(new_event_loop)
