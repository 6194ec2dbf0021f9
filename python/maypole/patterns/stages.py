"""The stages of a running pipeline: workers that take from the channel before and send to the one behind."""

from __future__ import annotations

import asyncio
import inspect
import reprlib
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from maypole.patterns.errors import ChannelClosed, WorkCancelled
from maypole.patterns.outcome import Cancelled, Err, Ok, Outcome
from maypole.patterns.tasks import being_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from contextlib import AbstractAsyncContextManager

    from maypole.patterns.channels import Receiver, Sender
    from maypole.patterns.places import Place

Numbered: TypeAlias = tuple[int, Any]
"""What lies in the channels between stages: an item and its number, without gaps, from the stage before."""

Verdict: TypeAlias = Literal["raise", "skip", "retry"] | float
"""What to do about an error; a number waits so many seconds and then tries again."""


class Rate(Protocol):
    """A rate limit, as far as a stage needs one."""

    def acquire(self) -> Awaitable[Any]:
        """Wait until one more call may begin."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that a stage asks its policy about.

    Attributes:
        attempt: 1 for the first.
    """

    error: Exception
    item: Any
    stage: str
    attempt: int


OnItemError: TypeAlias = Literal["raise", "skip", "outcome"] | Callable[[Failure], Verdict]


@dataclass(frozen=True, slots=True)
class StageSpec:
    """How one stage works; `maypole.patterns.pipeline.Pipeline` describes each field."""

    kind: Literal["map", "filter", "batch", "flatten"]
    name: str
    fn: Callable[[Any], Any] | None = None
    concurrency: int = 1
    ordered: bool = True
    buffer: int = 64
    rate: Rate | None = None
    limit: AbstractAsyncContextManager[Any] | None = None
    timeout: float | None = None
    on: Place | None = None
    on_error: OnItemError = "raise"
    size: int = 1
    every: float | None = None


@dataclass(frozen=True, slots=True)
class StageStats:
    """What one stage has done so far.

    Attributes:
        queued: items that wait in front of it.
        held: finished items that wait for an earlier one, in an ordered stage.
        busy_s: seconds that its workers worked on items, in sum; waiting for a rate or a limit is part of it.
        blocked_in_s: seconds that its workers waited for items.
        blocked_out_s: seconds that its workers waited for the stage behind.
        deaths: workers of its place that ended while they had an item.
    """

    name: str
    kind: str
    concurrency: int
    queued: int
    taken: int
    in_flight: int
    in_flight_max: int
    held: int
    emitted: int
    skipped: int
    retried: int
    failed: int
    busy_s: float
    blocked_in_s: float
    blocked_out_s: float
    deaths: int


class AsTheyCome:
    """Passes results on at once, and numbers them anew."""

    held = 0

    def __init__(self, send: Sender[Numbered]) -> None:
        self._send = send
        self.emitted = 0

    async def put(self, ticket: int, results: tuple[Any, ...]) -> None:
        """Pass on what came of the item with this number: one result, none, or several."""
        for result in results:
            await self.put_one(result)

    async def put_one(self, result: Any) -> None:
        """Pass on one result."""
        number = self.emitted
        self.emitted += 1
        await self._send((number, result))


class InOrder(AsTheyCome):
    """Holds results back until those of all earlier items have gone.

    Args:
        send: where results go.
        places: how many items may be in work or held, together.
    """

    def __init__(self, send: Sender[Numbered], places: int) -> None:
        super().__init__(send)
        self._places = asyncio.Semaphore(places)
        self._next = 0
        self._held: dict[int, tuple[Any, ...]] = {}
        self._passing_on = False

    @property
    def held(self) -> int:  # type: ignore[override]
        """How many finished items wait for an earlier one."""
        return len(self._held)

    async def enter(self) -> None:
        """Wait until one more item may be taken."""
        await self._places.acquire()

    async def put(self, ticket: int, results: tuple[Any, ...]) -> None:
        self._held[ticket] = results
        if self._passing_on:
            return  # the worker that is at it will find these too
        self._passing_on = True
        try:
            while (ready := self._held.pop(self._next, None)) is not None:
                self._next += 1
                for result in ready:
                    await self.put_one(result)
                self._places.release()
        finally:
            self._passing_on = False


class Stage:
    """One stage of a running pipeline.

    Args:
        spec: how it works.
        intake: where items come from.
        send: where results go; closed when the last worker has ended.
        told: called with ``"skip"``, ``"retry"`` or ``"fail"`` and the failure.
    """

    def __init__(
        self,
        spec: StageSpec,
        intake: Receiver[Numbered],
        send: Sender[Numbered],
        told: Callable[[str, Failure], None],
    ) -> None:
        self.spec = spec
        self._intake = intake
        self._send = send
        self._told = told
        self._outlet = AsTheyCome(send)
        if spec.ordered and spec.concurrency > 1:
            self._outlet = InOrder(send, spec.concurrency + max(1, spec.buffer))
        self._workers = spec.concurrency
        self._taken = self._in_flight = self._in_flight_max = 0
        self._skipped = self._retried = self._failed = 0
        self._busy_s = self._blocked_in_s = self._blocked_out_s = 0.0

    async def work(self) -> None:
        """Be one worker: take, apply, pass on, until nothing comes any more."""
        step = self._batch if self.spec.kind == "batch" else self._one
        while await step():
            pass
        self._workers -= 1
        if not self._workers:
            self._send.close()

    def stats(self) -> StageStats:
        """Return what it has done so far."""
        spec = self.spec
        return StageStats(
            name=spec.name,
            kind=spec.kind,
            concurrency=spec.concurrency,
            queued=self._intake.stats().depth,
            taken=self._taken,
            in_flight=self._in_flight,
            in_flight_max=self._in_flight_max,
            held=self._outlet.held,
            emitted=self._outlet.emitted,
            skipped=self._skipped,
            retried=self._retried,
            failed=self._failed,
            busy_s=self._busy_s,
            blocked_in_s=self._blocked_in_s,
            blocked_out_s=self._blocked_out_s,
            deaths=0 if spec.on is None else spec.on.deaths,
        )

    async def _one(self) -> bool:
        """Take one item through; False when nothing comes any more."""
        time = asyncio.get_running_loop().time
        began = time()
        if isinstance(self._outlet, InOrder):
            await self._outlet.enter()
            entered = time()
            self._blocked_out_s += entered - began
            began = entered
        try:
            ticket, item = await self._intake.recv()
        except ChannelClosed:
            return False
        taken = time()
        self._blocked_in_s += taken - began
        self._taken += 1
        if self.spec.kind == "flatten":
            await each(item, self._outlet.put_one)
            return True
        self._in_flight += 1
        if self._in_flight > self._in_flight_max:
            self._in_flight_max = self._in_flight
        try:
            results = await self._apply(item)
        finally:
            self._in_flight -= 1
            done = time()
            self._busy_s += done - taken
        await self._outlet.put(ticket, results)
        self._blocked_out_s += time() - done
        return True

    async def _batch(self) -> bool:
        """Take one batch through; False when nothing comes any more."""
        time = asyncio.get_running_loop().time
        began = time()
        wait = inf if self.spec.every is None else self.spec.every
        try:
            batch = await self._intake.recv_many(self.spec.size, max_wait=wait)
        except ChannelClosed:
            return False
        taken = time()
        self._blocked_in_s += taken - began
        self._taken += len(batch)
        await self._outlet.put_one([item for _, item in batch])
        self._blocked_out_s += time() - taken
        return True

    async def _apply(self, item: Any) -> tuple[Any, ...]:
        """Run the function on an item, as often as the error policy wants; give what is to be passed on."""
        attempt = 0
        while True:
            attempt += 1
            try:
                result = await self._call(item)
            except Exception as error:
                failure = Failure(error, item, self.spec.name, attempt)
            except asyncio.CancelledError as error:
                if being_cancelled():
                    raise
                cancelled = WorkCancelled(str(error) or "the function was cancelled, its worker was not")
                cancelled.__cause__ = error
                failure = Failure(cancelled, item, self.spec.name, attempt)
            else:
                if self.spec.kind == "filter":
                    return (item,) if result else ()
                return (Ok(result),) if self.spec.on_error == "outcome" else (result,)
            judged = self._judge(failure)
            if isinstance(judged, tuple):
                return judged
            if judged > 0:
                await asyncio.sleep(judged)

    async def _call(self, item: Any) -> Any:
        spec = self.spec
        if spec.rate is not None:
            await spec.rate.acquire()
        if spec.limit is None and spec.timeout is None:
            return await self._call_at_place(item)
        async with asyncio.timeout(spec.timeout):
            if spec.limit is None:
                return await self._call_at_place(item)
            async with spec.limit:
                return await self._call_at_place(item)

    async def _call_at_place(self, item: Any) -> Any:
        fn = self.spec.fn
        assert fn is not None
        if self.spec.on is not None:
            return await self.spec.on.submit(fn, item)
        result = fn(item)
        return await result if inspect.isawaitable(result) else result

    def _judge(self, failure: Failure) -> tuple[Any, ...] | float:
        """Ask the policy: what to pass on instead of a result, or the seconds to wait before trying again."""
        policy = self.spec.on_error
        verdict: Any = policy(failure) if callable(policy) else policy
        if verdict == "skip":
            self._skipped += 1
            self._told("skip", failure)
            return ()
        if verdict == "outcome":
            self._failed += 1
            return (_outcome(failure.error),)
        pause = 0.0 if verdict == "retry" else verdict
        if isinstance(pause, (int, float)) and not isinstance(pause, bool) and pause >= 0:
            self._retried += 1
            self._told("retry", failure)
            return float(pause)
        self._failed += 1
        self._told("fail", failure)
        failure.error.add_note(f"stage {failure.stage!r}, item {reprlib.repr(failure.item)}")
        if verdict != "raise":
            failure.error.add_note(
                f"on_error must return 'raise', 'skip', 'retry' or seconds, not {verdict!r}"
            )
        raise failure.error


def _outcome(error: Exception) -> Outcome[Any]:
    return Cancelled(str(error)) if isinstance(error, WorkCancelled) else Err(error)


async def each(items: Any, put: Callable[[Any], Awaitable[None]]) -> None:
    """Put every item of a plain or async iterable; a generator is closed however this ends."""
    if isinstance(items, AsyncIterable):
        iterator = aiter(items)
        try:
            async for item in iterator:
                await put(item)
        finally:
            if (aclose := getattr(iterator, "aclose", None)) is not None:
                await aclose()
        return
    plain = iter(items)
    try:
        for item in plain:
            await put(item)
    finally:
        if inspect.isgenerator(plain):
            plain.close()


async def feed(items: Any, send: Sender[Numbered]) -> None:
    """Number what a source gives and send it on, until the source has ended."""
    await each(items, AsTheyCome(send).put_one)
    send.close()
