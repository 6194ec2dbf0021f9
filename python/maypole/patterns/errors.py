"""One tree for everything that a pattern refuses, so that ``except PatternError`` catches it all.

::

    PatternError
    ├── Rejected                 "not now": carries retry_after where it can be computed
    │   ├── RateLimited          the rate does not allow it in time, or too many are waiting
    │   ├── BulkheadFull         no place came free in time, or too many are waiting for one
    │   ├── CircuitOpen          the breaker lets nobody through: carries state and last_error
    │   ├── LoadShed             this process is too late with its own work
    │   ├── ChannelFull
    │   ├── PoolExhausted        also TimeoutError
    │   ├── QueueFull            a wait queue or a scope has no room for one more
    ├── BudgetExhausted          no retry is left: carries how the last attempt failed
    ├── DeadlineExceeded         also TimeoutError
    ├── ChannelClosed            the other side has said that it is done
    ├── ChannelBroken            nobody is left who could receive
    ├── PoolClosed
    ├── ScopeClosed              a scope that takes nothing more on
    ├── ScopeStuck               tasks that did not stop when they were told to
    ├── TooManyRestarts
    ├── WorkCancelled            a function was cancelled, and nobody had asked its worker to stop
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

    def __reduce__(self) -> tuple[object, ...]:
        """Cross to another process whole: keyword arguments are attributes, and pickle restores those."""
        return (_rebuild, (type(self), self.args), self.__dict__)


def _rebuild(kind: type[Rejected], args: tuple[object, ...]) -> Rejected:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class RateLimited(Rejected):
    """A rate limit cannot grant this in time, or as many as ``max_waiting`` are in line already."""


class BulkheadFull(Rejected):
    """No place came free in time, or as many as ``max_waiting`` are in line already."""


class CircuitOpen(Rejected):
    """A circuit breaker lets nobody through now.

    Args:
        message: which breaker, and why it is open.
        name: the breaker's name.
        retry_after: seconds until it lets a probe through; None while it is forced open.
        state: ``"open"``, ``"half_open"`` (its probes are under way) or ``"forced_open"``.
        last_error: the failure that the breaker saw last. It is an attribute and no ``__cause__``: a
            rejection is no new failure of that call, and costs no chain of tracebacks.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        retry_after: float | None = None,
        retryable: bool = True,
        state: str = "open",
        last_error: BaseException | None = None,
    ) -> None:
        super().__init__(message, name=name, retry_after=retry_after, retryable=retryable)
        self.state = state
        self.last_error = last_error


class LoadShed(Rejected):
    """This process is behind with its own work and takes on nothing more for now."""


class BudgetExhausted(PatternError):
    """The retry budget has nothing left: retrying more would make an overload worse."""


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


class ScopeClosed(PatternError):
    """The scope has ended, or is about to, and takes nothing more on."""


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


class WorkCancelled(PatternError):
    """A function ended with a cancellation that nobody asked its worker for."""


class WorkerDied(PatternError):
    """The process that ran an item ended before it had an answer."""
