"""How a piece of work ended, as a value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Ok(Generic[T_co]):
    """It returned a value."""

    value: T_co
    ok: Literal[True] = True

    def unwrap(self) -> T_co:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Err:
    """It raised an exception."""

    error: BaseException
    ok: Literal[False] = False

    def unwrap(self) -> NoReturn:
        """Raise the exception."""
        raise self.error


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was cancelled, or never begun because its scope was."""

    message: str = ""
    ok: Literal[False] = False

    def unwrap(self) -> NoReturn:
        """Raise `asyncio.CancelledError`."""
        raise asyncio.CancelledError(*([self.message] if self.message else []))


Outcome: TypeAlias = Ok[T] | Err | Cancelled
"""``match outcome: case Ok(value): …; case Err(error): …; case Cancelled(): …``"""


def outcome_of(future: asyncio.Future[T]) -> Outcome[T]:
    """Return how a task or future ended; it must be done.

    Raises:
        asyncio.InvalidStateError: it is not done.
    """
    if future.cancelled():
        return Cancelled()
    error = future.exception()
    return Ok(future.result()) if error is None else Err(error)


async def capture(work: Awaitable[T]) -> Outcome[T]:
    """Await something and return how it ended.

    Cancel safety: a cancellation of the caller is raised, not captured; one of the awaited task is captured.

    >>> async def bad():
    ...     raise ValueError("no")
    >>> asyncio.run(capture(bad()))
    Err(error=ValueError('no'), ok=False)
    """
    caller = asyncio.current_task()
    pending = 0 if caller is None else caller.cancelling()
    try:
        return Ok(await work)
    except asyncio.CancelledError as error:
        if caller is not None and caller.cancelling() > pending:
            raise
        return Cancelled(str(error))
    except Exception as error:
        return Err(error)


def values(outcomes: Iterable[Outcome[T]]) -> list[T]:
    """Return the values of those that have one.

    >>> values([Ok(1), Err(ValueError()), Ok(2)])
    [1, 2]
    """
    return [outcome.value for outcome in outcomes if isinstance(outcome, Ok)]


def errors(outcomes: Iterable[Outcome[Any]]) -> list[BaseException]:
    """Return the exceptions of those that have one."""
    return [outcome.error for outcome in outcomes if isinstance(outcome, Err)]


def raise_errors(outcomes: Iterable[Outcome[Any]], message: str = "some of the work failed") -> None:
    """Raise the exceptions of all outcomes in one group; nothing if there are none.

    Raises:
        ExceptionGroup: with every exception; a BaseExceptionGroup if one of them is no Exception.
    """
    found = errors(outcomes)
    if found:
        raise BaseExceptionGroup(message, found)
