"""How much may be retried: retries without a budget make an overload worse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maypole._maypole import RetryTokens
from maypole.patterns.errors import BudgetExhausted, Rejected
from maypole.patterns.events import Listeners, described
from maypole.patterns.turn import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from maypole.patterns.events import Listener

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryBudgetStats:
    """What a `RetryBudget` has, and what it allowed.

    Attributes:
        name: the name of the budget.
        balance: how many retries are left now.
        calls: how many calls were made in the last ten seconds.
        allowed: how many retries were ever allowed.
        refused: how many were ever refused.
    """

    name: str | None
    balance: float
    calls: int
    allowed: int
    refused: int


class RetryBudget:
    """Allows retries up to a share of the calls of the last ten seconds.

    Args:
        ratio: how many retries each call allows.
        min_per_s: how many retries per second are allowed on top, for times with few calls.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``reject``.

    One budget belongs to one remote, and all of its callers share it. Count each call once with `deposit`, or
    with the decorator; ask before each retry, with `try_acquire` or by giving `retry_if` to the library that
    retries.

    Raises:
        ValueError: a number that is negative or not finite.

    Source: Finagle's RetryBudget; Site Reliability Engineering, Handling overload.

    >>> budget = RetryBudget(ratio=0.5, min_per_s=0)
    >>> for _ in range(2):
    ...     budget.deposit()
    >>> budget.try_acquire(), budget.try_acquire()
    (True, False)
    """

    def __init__(
        self,
        ratio: float = 0.2,
        min_per_s: float = 3.0,
        *,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.name = name
        self.events = Listeners("retry_budget", name, on_event)
        self._core = RetryTokens(ratio, min_per_s)

    def deposit(self) -> None:
        """Count a call; not its retries."""
        self._core.deposit(now())

    def try_acquire(self) -> bool:
        """Ask to retry once; safe from any thread."""
        at = now()
        if self._core.try_withdraw(at):
            return True
        self.events.tell("reject", at)
        return False

    def acquire(self) -> None:
        """Take one retry; never waits.

        Raises:
            BudgetExhausted: none is left.
        """
        if not self.try_acquire():
            called = f"retry budget {self.name!r}" if self.name else "retry budget"
            raise BudgetExhausted(f"{called}: no retry is left")

    def retry_if(self, *errors: type[BaseException]) -> Callable[[BaseException], bool]:
        """Return a predicate: whether to retry after an error. It takes the retry out of the budget.

        It fits ``stamina.retry(on=...)`` and ``tenacity.retry_if_exception(...)``. A `Rejected` that says
        that trying again cannot help is never retried.

        Args:
            errors: the exceptions after which to retry; none given means every `Exception`.

        >>> again = RetryBudget(min_per_s=0.1).retry_if(OSError)
        >>> again(ValueError()), again(ConnectionResetError()), again(ConnectionResetError())
        (False, True, False)
        """
        kinds = errors or (Exception,)

        def again(error: BaseException) -> bool:
            if not isinstance(error, kinds) or (isinstance(error, Rejected) and not error.retryable):
                return False
            return self.try_acquire()

        return again

    def stats(self) -> RetryBudgetStats:
        """Return what is left, and what was allowed and refused."""
        balance = self._core.balance(now())
        calls, allowed, refused = self._core.tally()
        return RetryBudgetStats(self.name, balance, calls, allowed, refused)

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("retry_budget", self.stats())

    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function, outside of what retries it: each call is counted.

        Raises:
            TypeError: not a coroutine function.
        """
        if not iscoroutinefunction(fn):
            raise TypeError(f"a retry budget decorates coroutine functions, got {fn!r}")

        @wraps(fn)
        async def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            self.deposit()
            return await fn(*args, **kwargs)

        return counted

    def __repr__(self) -> str:
        stats = self.stats()
        called = f" {self.name}" if self.name else ""
        return f"<RetryBudget{called} {stats.balance:.3g} retries left for {stats.calls} calls>"
