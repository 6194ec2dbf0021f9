"""Patterns around one call, in the order that works."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from functools import partial, wraps
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maypole.patterns.arguments import able, function_or_none
from maypole.patterns.deadline import Deadline
from maypole.patterns.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from maypole.patterns.breaker import CircuitBreaker
    from maypole.patterns.bulkhead import Bulkhead
    from maypole.patterns.permit import Permit
    from maypole.patterns.rate_limit import RateLimit
    from maypole.patterns.redis_limit import RedisRateLimit
    from maypole.patterns.retry_budget import RetryBudget

P = ParamSpec("P")
T = TypeVar("T")


class Policy:
    """Composes patterns around calls of one remote; the order is always the same.

    Args:
        fallback: called with the error when all else has failed; its result, awaited if need be, is the
            result of the call.
        deadline: seconds for everything together, attempts and waits.
        retry: a `Retry`, or a caller of another library: it is called with a function that makes one
            attempt, and returns an awaitable, as ``stamina.AsyncRetryingCaller().on(OSError)`` does.
        budget: the `RetryBudget`; calls are counted, and a `Retry` asks it. Another library asks
            `RetryBudget.retry_if`.
        breaker: the `CircuitBreaker`. It gets one result for each attempt.
        rate: the `RateLimit` or `RedisRateLimit`. Each attempt takes one unit.
        bulkhead: the `Bulkhead` or `Adaptive`. Each attempt takes one place.
        attempt_timeout: seconds for one attempt, lines apart.
        name: what to call it.

    From the outside in: fallback, deadline, retry and its budget, breaker, rate limit, bulkhead, attempt
    timeout. So a retry gives the breaker a result of its own; an open breaker costs no unit and no place; a
    call does not hold a place while it waits for the rate; the attempt's time begins when it has all it
    needs, also for the breaker's ``slow_call``; refusals of these patterns are no failures of the remote.

    Raises:
        ValueError: times that are not above 0.

    >>> async def main():
    ...     policy = Policy(deadline=5, retry=Retry(3, wait=0.01), fallback=lambda error: "stale")
    ...     async def call():
    ...         raise OSError("down")
    ...     print(policy)
    ...     return await policy.call(call)
    >>> asyncio.run(main())
    fallback > deadline 5 s > retry 3 attempts
    'stale'
    """

    def __init__(
        self,
        *,
        fallback: Callable[[Exception], Any] | None = None,
        deadline: float | None = None,
        retry: Retry | Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]] | None = None,
        budget: RetryBudget | None = None,
        breaker: CircuitBreaker | None = None,
        rate: RateLimit | RedisRateLimit | None = None,
        bulkhead: Bulkhead | None = None,
        attempt_timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        for what, seconds in (("deadline", deadline), ("attempt_timeout", attempt_timeout)):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{what} must be above 0 seconds, got {seconds!r}")
        self.name = name
        self._fallback = function_or_none("fallback", fallback)
        self._deadline = deadline
        self._retry = function_or_none("retry", retry)
        self._budget = able("budget", budget, "deposit")
        self._breaker = able("breaker", breaker, "call_with")
        self._rate = able("rate", rate, "acquire")
        self._bulkhead = able("bulkhead", bulkhead, "__aenter__")
        self._attempt_timeout = attempt_timeout

    async def call(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function under the policy.

        Raises:
            Exception: what the last attempt raised, or a `PatternError` of one of the patterns, unless there
                is a fallback.

        Cancel safety: a cancellation is never retried and has no fallback; every place and permit comes back.
        """

        attempt = partial(self._attempt, partial(fn, *args, **kwargs))
        try:
            async with self._all_in_time():
                return await self._tried(attempt)
        except Exception as error:
            if self._fallback is None:
                raise
            result = self._fallback(error)
            if isawaitable(result):
                result = await result
            instead: T = result
            return instead

    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function: each call is made under the policy.

        Raises:
            TypeError: not a coroutine function.
        """
        if not iscoroutinefunction(fn):
            raise TypeError(f"a policy decorates coroutine functions, got {fn!r}")

        @wraps(fn)
        async def under_policy(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(fn, *args, **kwargs)

        return under_policy

    @property
    def parts(self) -> tuple[RetryBudget | CircuitBreaker | RateLimit | RedisRateLimit | Bulkhead, ...]:
        """The patterns that it is made of and that keep a state."""
        parts = (self._budget, self._breaker, self._rate, self._bulkhead)
        return tuple(part for part in parts if part is not None)

    def describe(self) -> dict[str, Any]:
        """Return the order of the patterns, and what each of them says of itself, as a dict."""
        return {
            "kind": "policy",
            "name": self.name,
            "order": self._order(),
            "parts": [part.describe() for part in self.parts],
        }

    def __str__(self) -> str:
        return " > ".join(self._order()) or "nothing"

    def __repr__(self) -> str:
        return f"<Policy {self.name or ''} {self}>".replace("  ", " ")

    def _order(self) -> list[str]:
        order = []
        if self._fallback is not None:
            order.append("fallback")
        if self._deadline is not None:
            order.append(f"deadline {self._deadline:g} s")
        if self._retry is not None:
            tries = f"retry {self._retry.attempts} attempts" if isinstance(self._retry, Retry) else "retry"
            order.append(f"{tries} within budget" if self._budget is not None else tries)
        parts = {"breaker": self._breaker, "rate limit": self._rate, "bulkhead": self._bulkhead}
        for what, part in parts.items():
            if part is not None:
                order.append(f"{what} {part.name}" if part.name else what)
        if self._attempt_timeout is not None:
            order.append(f"attempt timeout {self._attempt_timeout:g} s")
        return order

    def _all_in_time(self) -> AbstractAsyncContextManager[object]:
        return nullcontext() if self._deadline is None else Deadline(self._deadline, name=self.name)

    async def _tried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        if self._budget is not None:
            self._budget.deposit()
        if self._retry is None:
            return await attempt()
        if isinstance(self._retry, Retry):
            return await self._retry(attempt, budget=self._budget)
        result: T = await self._retry(attempt)
        return result

    async def _attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._breaker is None:
            return await self._in_line(call)
        permit = await self._breaker.admit()
        permit.hold()
        return await self._breaker.call_with(permit, self._in_line, call, permit)

    async def _in_line(self, call: Callable[[], Awaitable[T]], permit: Permit | None = None) -> T:
        if self._rate is not None:
            await self._rate.acquire()
        async with self._bulkhead or nullcontext():
            if permit is not None:
                permit.begin()
            async with asyncio.timeout(self._attempt_timeout):
                return await call()
