"""Trying again, with waits that grow, a budget, and an ear for what the refusal says."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from maypole.patterns.arguments import exceptions
from maypole.patterns.deadline import Deadline
from maypole.patterns.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from maypole.patterns.retry_budget import RetryBudget

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after an error, a few times.

    Only for calls that may be made twice. A library for retries (stamina, tenacity) does more; give it
    `RetryBudget.retry_if`, and give its caller to `Policy` in place of this.

    Args:
        attempts: how often to try at most, the first time included.
        on: exceptions after which to try again.
        wait: seconds before the second attempt, at most: each wait is drawn at random up to its bound.
        factor: by what the bound grows from attempt to attempt.
        wait_max: the largest bound in seconds.

    A `Rejected` is tried again only if it is ``retryable`` and says when (``retry_after``): not before then,
    and not at all if that is later than ``wait_max``. Nothing is tried again for which the `Deadline` leaves
    no time.

    Raises:
        ValueError: attempts below 1, waits that are negative, a factor below 1.

    Source: Brooker, Exponential backoff and jitter (full jitter), AWS Architecture Blog, 2015.

    >>> async def main():
    ...     answers = iter([OSError("reset"), "done"])
    ...     async def call():
    ...         answer = next(answers)
    ...         if isinstance(answer, Exception):
    ...             raise answer
    ...         return answer
    ...     return await Retry(3, on=(OSError,), wait=0.01)(call)
    >>> asyncio.run(main())
    'done'
    """

    attempts: int = 3
    on: tuple[type[Exception], ...] = (Exception,)
    wait: float = 0.1
    factor: float = 2.0
    wait_max: float = 10.0

    def __post_init__(self) -> None:
        exceptions("on", self.on)
        if self.attempts < 1:
            raise ValueError(f"attempts must be 1 or more, got {self.attempts}")
        if not (self.wait >= 0 and self.wait_max >= 0):
            raise ValueError(f"waits must be 0 or more seconds, got {self.wait!r} and {self.wait_max!r}")
        if not self.factor >= 1:
            raise ValueError(f"factor must be 1 or more, got {self.factor!r}")

    async def __call__(self, call: Callable[[], Awaitable[T]], *, budget: RetryBudget | None = None) -> T:
        """Make the call, again if need be.

        Args:
            call: makes one attempt.
            budget: asked before each attempt but the first.

        Raises:
            Exception: what the last attempt raised; a note says why there was no other.

        Cancel safety: a cancellation ends the waits and the attempts.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return await call()
            except self.on as error:
                if attempt == self.attempts:
                    if attempt > 1:
                        error.add_note(f"tried {attempt} times")
                    raise
                wait = self._wait_after(error, attempt)
                reason = self._why_not(error, wait, budget)
                if reason is not None:
                    error.add_note(f"tried {attempt} times: {reason}")
                    raise
            await asyncio.sleep(wait or 0.0)
        raise AssertionError("the last attempt returns or raises")

    def _wait_after(self, error: Exception, attempt: int) -> float | None:
        """The seconds to wait; None when trying again would be blind."""
        bound = min(self.wait * self.factor ** (attempt - 1), self.wait_max)
        drawn = random.uniform(0.0, bound)
        if not isinstance(error, Rejected):
            return drawn
        if not error.retryable or error.retry_after is None or error.retry_after > self.wait_max:
            return None
        return error.retry_after + drawn

    def _why_not(self, error: Exception, wait: float | None, budget: RetryBudget | None) -> str | None:
        """Why there is no other attempt, in words; None when there is. Takes it out of the budget."""
        if wait is None:
            return f"{type(error).__name__} does not say that it helps"
        deadline = Deadline.current()
        if deadline is not None and deadline.remaining() <= wait:
            return "the deadline leaves no time"
        if budget is not None and not budget.try_acquire():
            return "the retry budget has nothing left"
        return None
