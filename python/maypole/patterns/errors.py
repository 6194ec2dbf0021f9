"""One tree for everything that a pattern refuses, so that ``except PatternError`` catches it all.

::

    PatternError
    ├── Rejected                 "not now": carries retry_after where it can be computed
    │   ├── ChannelFull
    │   ├── PoolExhausted        also TimeoutError
    │   ├── QueueFull            a wait queue or a scope has no room for one more
    ├── DeadlineExceeded         also TimeoutError
    ├── ChannelClosed            the other side has said that it is done
    ├── ChannelBroken            nobody is left who could receive
    ├── PoolClosed
    ├── ScopeStuck               tasks that did not stop when they were told to
    ├── TooManyRestarts
    └── WorkerDied
"""

from __future__ import annotations


class PatternError(Exception):
    """The root of all errors that patterns raise on their own account."""


class Rejected(PatternError):
    """A pattern said no; the work was not begun.

    Args:
        message: what was refused, and why.
        name: the name of the pattern that refused.
        retry_after: seconds after which it may say yes; None where that cannot be known.
        retryable: whether trying again can help at all.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        retry_after: float | None = None,
        retryable: bool = True,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.retry_after = retry_after
        self.retryable = retryable


class QueueFull(Rejected):
    """As many as ``max_waiting`` (or ``max_pending``) are in line already."""


class ChannelFull(Rejected):
    """A channel with ``overflow="error"`` has no room."""


class PoolExhausted(Rejected, TimeoutError):
    """No resource came free in time, or too many are waiting for one."""


class DeadlineExceeded(PatternError, TimeoutError):
    """The total time that a `Deadline` allows is over."""


class ChannelClosed(PatternError):
    """This end is closed, or every sender is and nothing is left to receive."""


class ChannelBroken(PatternError):
    """Every receiver is closed: what is sent now could never be received."""


class PoolClosed(PatternError):
    """The pool is closing or closed and gives out nothing more."""


class ScopeStuck(PatternError):
    """Tasks did not end within the grace that they had after they were cancelled.

    Args:
        message: which scope, and how long it waited.
        stuck: one line per task: its name and where it stands.
    """

    def __init__(self, message: str, stuck: tuple[str, ...]) -> None:
        super().__init__("\n  ".join([message, *stuck]))
        self.stuck = stuck


class TooManyRestarts(PatternError):
    """What is supervised failed more often than ``max_restarts`` in ``within`` seconds."""


class WorkerDied(PatternError):
    """The process that ran an item ended before it had an answer."""
