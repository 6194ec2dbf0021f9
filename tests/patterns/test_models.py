"""The native decisions against small models in plain Python, driven by hypothesis.

The models are written another way than the native code, and keep everything: a bucket counts tokens and not
arrival times, a window is a list. Rates and times are chosen so that both count exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from maypole._maypole import Breaker, Gate, Lease, Limiter, Rule

MS = Fraction(1, 1000)
times = st.one_of(st.integers(0, 100), st.integers(0, 3000)).map(lambda ms: ms * MS)
weights = st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(2), Fraction(3)])
whole = st.integers(1, 3).map(Fraction)


@dataclass
class Bucket:
    """Tokens that come in at a rate."""

    rate: Fraction
    burst: Fraction
    level: Fraction
    at: Fraction

    def advance(self, now: Fraction) -> None:
        self.level = min(self.burst, self.level + self.rate * (now - self.at))
        self.at = now

    def due(self, now: Fraction, n: Fraction) -> Fraction:
        self.advance(now)
        return now + max(Fraction(0), (n - self.level) / self.rate)

    def take(self, n: Fraction) -> None:
        self.level -= n

    def give_back(self, now: Fraction, n: Fraction, at: Fraction) -> None:
        self.advance(now)
        self.level = min(self.burst, self.level + max(Fraction(0), n - self.rate * (now - at)))


@dataclass
class Window:
    """Everything that was ever granted."""

    limit: Fraction
    per: Fraction
    grants: list[tuple[Fraction, Fraction]] = field(default_factory=list)
    at: Fraction = Fraction(0)

    def advance(self, now: Fraction) -> None:
        self.at = now

    def held(self, at: Fraction) -> Fraction:
        return sum((n for then, n in self.grants if then + self.per > at), Fraction(0))

    def due(self, now: Fraction, n: Fraction) -> Fraction:
        self.at = now
        ends = sorted({then + self.per for then, _ in self.grants if then + self.per > now})
        return next(at for at in (now, *ends) if self.held(at) + n <= self.limit)

    def take(self, n: Fraction) -> None:
        self.grants.append((self.at, n))

    def give_back(self, now: Fraction, n: Fraction, at: Fraction) -> None:
        self.grants.remove((at, n))


class LimiterMachine(RuleBasedStateMachine):
    """One rule, a line, pauses, and those who give up: a bucket."""

    waiting = Bundle("waiting")
    granted = Bundle("granted")

    bucket = True

    @initialize(
        rate=st.sampled_from([1, 2, 4, 5, 10, 20, 50]),
        burst=st.integers(3, 8),
        empty=st.booleans(),
    )
    def begin(self, rate: int, burst: int, empty: bool) -> None:
        self.now = Fraction(1000)
        self.whole = not self.bucket
        self.model: Bucket | Window
        if self.bucket:
            level = Fraction(0) if empty else Fraction(burst)
            self.model = Bucket(Fraction(rate), Fraction(burst), level, self.now)
            native = Rule.bucket(rate, burst, 0 if empty else None)
        else:
            self.model = Window(Fraction(burst), Fraction(rate, 10))
            native = Rule.window(burst, rate / 10)
        self.native: Limiter[int] = Limiter([native], None)
        self.line: list[tuple[int, Fraction]] = []
        self.tickets: dict[int, int] = {}
        self.grants: dict[int, tuple[Fraction, Fraction, int]] = {}
        self.number = 0
        self.paused_until = Fraction(0)
        self.tally = [0, 0, 0]
        self.serve()

    def due(self, n: Fraction) -> Fraction:
        return self.model.due(max(self.now, self.paused_until), n)

    def take(self, n: Fraction) -> None:
        self.model.advance(self.now)
        self.model.take(n)
        self.tally[0] += 1

    def free(self, n: Fraction) -> bool:
        if self.now < self.paused_until:
            return False
        return self.model.due(self.now, n) <= self.now

    def serve(self) -> None:
        served = []
        while self.line and self.free(self.line[0][1]):
            number, n = self.line.pop(0)
            self.take(n)
            served.append(number)
        granted, at, due = self.native.serve(float(self.now))
        assert granted == served
        for number in granted:
            self.grants[number] = (self.now, self.weight[number], at)
        if self.line:
            assert due is not None
            probe = self.copy()
            expected = probe.due(max(self.now, self.paused_until), self.line[0][1])
            assert abs(Fraction(due) - expected) < Fraction(1, 10**8)
        else:
            assert due is None

    def copy(self) -> Bucket | Window:
        if isinstance(self.model, Bucket):
            return Bucket(self.model.rate, self.model.burst, self.model.level, self.model.at)
        return Window(self.model.limit, self.model.per, list(self.model.grants), self.model.at)

    weight: dict[int, Fraction]

    def __init__(self) -> None:
        super().__init__()
        self.weight = {}

    @rule(seconds=times)
    def wait(self, seconds: Fraction) -> None:
        """Let time pass as a loop does: it stops at each timer."""
        until = self.now + seconds
        while self.line:
            due = self.copy().due(max(self.now, self.paused_until), self.line[0][1])
            if due > until:
                break
            self.now = due
            self.serve()
        self.now = until
        self.serve()

    @rule(n=weights, m=whole)
    def try_acquire(self, n: Fraction, m: Fraction) -> None:
        n = m if self.whole else n
        free = not self.line and self.free(n)
        if free:
            self.take(n)
        else:
            self.tally[1] += 1
        assert self.native.try_acquire(float(self.now), float(n)) is free

    @rule(target=waiting, n=weights, m=whole)
    def join(self, n: Fraction, m: Fraction) -> int:
        self.number += 1
        self.weight[self.number] = m if self.whole else n
        ticket, why, _ = self.native.join(float(self.now), float(self.weight[self.number]), None, self.number)
        assert why is None
        self.tickets[self.number] = ticket
        self.line.append((self.number, self.weight[self.number]))
        self.serve()
        return self.number

    @rule(number=waiting)
    def leave(self, number: int) -> None:
        there = any(number == other for other, _ in self.line)
        self.line = [one for one in self.line if one[0] != number]
        self.tally[2] += there
        assert self.native.leave(self.tickets[number], False) is there
        self.serve()

    @precondition(lambda self: self.grants)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.grants, reverse=True)[:3]))
        at, n, native_at = self.grants.pop(number)
        self.model.give_back(self.now, n, at)
        self.native.give_back(float(self.now), float(n), native_at)
        self.tally[0] -= 1
        self.tally[2] += 1
        self.serve()

    @rule(seconds=times)
    def pause(self, seconds: Fraction) -> None:
        self.paused_until = max(self.paused_until, self.now + seconds)
        self.native.pause(float(self.now), float(seconds))

    @precondition(lambda self: isinstance(self.model, Bucket))
    @rule(rate=st.sampled_from([1, 2, 4, 5, 10, 20, 50]))
    def set_rate(self, rate: int) -> None:
        assert isinstance(self.model, Bucket)
        self.model.advance(self.now)
        self.model.rate = Fraction(rate)
        self.native.set_rate(float(self.now), rate, None)
        self.serve()

    @invariant()
    def the_same(self) -> None:
        assert self.native.waiting == len(self.line)
        assert list(self.native.tally()) == self.tally
        level, _, paused = self.native.outlook(float(self.now))
        assert abs(Fraction(paused) - max(Fraction(0), self.paused_until - self.now)) < Fraction(1, 10**8)
        if isinstance(self.model, Bucket):
            self.model.advance(self.now)
            assert abs(Fraction(level) - self.model.level) < Fraction(1, 10**6)
        else:
            assert Fraction(level) == self.model.limit - self.model.held(self.now)


class WindowMachine(LimiterMachine):
    """The same, under a window."""

    bucket = False


class GateMachine(RuleBasedStateMachine):
    """Places, and one line."""

    waiting = Bundle("waiting")

    @initialize(limit=st.integers(1, 6))
    def begin(self, limit: int) -> None:
        self.limit = limit
        self.native: Gate[int] = Gate(limit, 20, [])
        self.inside: list[int] = []
        self.line: list[tuple[int, int]] = []
        self.tickets: dict[int, int] = {}
        self.number = 0

    def fits(self, n: int) -> bool:
        alone = not self.inside and n > self.limit
        return alone or sum(self.inside) + n <= self.limit

    def serve(self) -> None:
        served = []
        while self.line and self.fits(self.line[0][1]):
            number, n = self.line.pop(0)
            self.inside.append(n)
            served.append((number, 0))
        assert self.native.serve(0.0) == served

    @rule(n=st.integers(1, 6))
    def try_acquire(self, n: int) -> None:
        free = not self.line and self.fits(n)
        assert self.native.try_acquire(n) is free
        if free:
            self.inside.append(n)

    @rule(target=waiting, n=st.integers(1, 6))
    def join(self, n: int) -> int:
        self.number += 1
        self.tickets[self.number] = self.native.join(0.0, n, 0, self.number)
        assert (self.tickets[self.number] == 0) is (len(self.line) == 20)
        if self.tickets[self.number]:
            self.line.append((self.number, n))
        self.serve()
        return self.number

    @rule(number=waiting)
    def leave(self, number: int) -> None:
        there = any(number == other for other, _ in self.line)
        self.line = [one for one in self.line if one[0] != number]
        assert self.native.leave(self.tickets[number], 0, False) is there
        self.serve()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        n = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        assert self.native.release(n) is bool(self.line)
        self.serve()

    @rule(limit=st.integers(1, 6))
    def resize(self, limit: int) -> None:
        self.limit = self.native.limit = limit
        self.serve()

    @invariant()
    def the_same(self) -> None:
        assert self.native.in_use == sum(self.inside)
        assert self.native.waiting == len(self.line)


@dataclass
class Call:
    """One call of the model: when it began, in which generation, and what is known of it."""

    lease: Lease
    generation: int
    began: Fraction
    slow: bool = False
    failed: bool = False
    done: bool = False


class BreakerMachine(RuleBasedStateMachine):
    """A breaker that keeps all its calls in lists; no jitter, a window of calls."""

    calls = Bundle("calls")
    WINDOW, MIN_CALLS, RATE, SLOW, PROBES, AT_ONCE, HALF_OPEN = 6, 3, Fraction(1, 2), Fraction(1), 3, 2, 10

    def __init__(self) -> None:
        super().__init__()
        self.now = Fraction(1000)
        self.native = Breaker(
            seed=1,
            window_calls=self.WINDOW,
            min_calls=self.MIN_CALLS,
            failure_rate=float(self.RATE),
            slow_call=float(self.SLOW),
            slow_rate=0.75,
            open_for=2.0,
            open_max=7.0,
            backoff=2.0,
            jitter=0.0,
            probes=self.PROBES,
            max_concurrent_probes=self.AT_ONCE,
            half_open_timeout=float(self.HALF_OPEN),
        )
        self.state = "closed"
        self.generation = 0
        self.until = Fraction(0)
        self.trials = 0
        self.log: list[Call] = []  # what is in the window, or what the probes said
        self.under_way: list[Call] = []
        self.changes: list[tuple[str, str]] = []

    def go(self, state: str) -> None:
        self.changes.append((self.state, state))
        self.state = state
        self.generation += 1
        self.under_way = []
        if state in ("closed", "half_open", "metrics_only"):
            self.log = []
        if state in ("closed", "metrics_only"):
            self.trials = 0
        if state == "half_open":
            self.until = self.now + self.HALF_OPEN

    def reopen(self, wait: Fraction | None = None) -> None:
        self.go("open")
        self.until = self.now + (min(Fraction(7), Fraction(2) * 2**self.trials) if wait is None else wait)

    def judge(self) -> None:
        if self.state == "closed":
            seen = self.log[-self.WINDOW :]
            failed = sum(call.failed for call in seen)
            slow = sum(call.slow for call in seen)
            if len(seen) >= self.MIN_CALLS and (failed >= self.RATE * len(seen) or slow >= 0.75 * len(seen)):
                self.reopen()
        elif self.state == "half_open":
            failed = sum(call.failed for call in self.log)
            slow = sum(call.slow for call in self.log)
            if failed >= self.RATE * self.PROBES or slow >= 0.75 * self.PROBES:
                self.trials += 1
                self.reopen()
            elif sum(call.done for call in self.log) == self.PROBES:
                self.go("closed")

    def pass_time(self) -> None:
        overdue = [call for call in self.under_way if not call.slow and self.now - call.began >= self.SLOW]
        if overdue and self.state != "disabled":
            for call in overdue:
                call.slow = True
                self.log.append(call)
            self.judge()
        if self.state == "half_open" and self.now >= self.until:
            done = [call for call in self.log if call.done]
            if self.under_way:
                works = False
            elif not done:
                self.reopen(Fraction(0))
                return
            else:
                failed = sum(call.failed for call in done) / Fraction(len(done))
                slow = sum(call.slow for call in done) / Fraction(len(done))
                works = failed < self.RATE and slow < 0.75
            if works:
                self.go("closed")
            else:
                self.trials += 1
                self.reopen()

    @rule(seconds=times)
    def wait(self, seconds: Fraction) -> None:
        self.now += seconds
        self.pass_time()
        self.native.tick(float(self.now))

    @rule(target=calls)
    def admit(self) -> Call | None:
        self.pass_time()
        if self.state == "open" and self.now >= self.until:
            self.go("half_open")
        free = self.state not in ("open", "forced_open")
        if self.state == "half_open":
            done = sum(call.done for call in self.log)
            free = len(self.under_way) < self.AT_ONCE and done + len(self.under_way) < self.PROBES
        lease = self.native.admit(float(self.now))
        assert (lease is not None) is free
        if lease is None:
            assert self.native.blocked()[0] == self.state
            return None
        call = Call(lease, self.generation, self.now)
        self.under_way.append(call)
        return call

    @rule(call=calls, failed=st.booleans())
    def finish(self, call: Call | None, failed: bool) -> None:
        if call is None:
            return
        live = call.lease.live
        assert call.lease.finish(float(self.now), failed) is (live and self.native.changed)
        if not live:
            return
        self.pass_time()
        if call.generation != self.generation:
            return
        self.under_way.remove(call)
        if self.state == "disabled":
            return
        call.done, call.failed = True, failed
        if not call.slow:
            self.log.append(call)
        self.judge()

    @rule(call=calls)
    def give_back(self, call: Call | None) -> None:
        if call is None:
            return
        live = call.lease.live
        assert call.lease.give_back(float(self.now)) is live
        if live:
            self.pass_time()
            if call.generation == self.generation:
                self.under_way.remove(call)

    @rule(
        verb=st.sampled_from(["force_open", "force_close", "disable", "metrics_only"]),
        really=st.integers(0, 5),
    )
    def by_hand(self, verb: str, really: int) -> None:
        if really:
            return
        self.pass_time()
        state = {"force_open": "forced_open", "force_close": "closed", "disable": "disabled"}.get(verb, verb)
        if state != self.state:
            self.go(state)
        getattr(self.native, verb)(float(self.now))

    @invariant()
    def the_same(self) -> None:
        self.pass_time()
        self.native.tick(float(self.now))
        assert self.native.state == self.state
        assert [change[:2] for change in self.native.take_transitions()] == self.changes
        self.changes = []
        if self.state == "open":
            assert self.native.retry_after == float(max(Fraction(0), self.until - self.now))
        if self.state in ("closed", "metrics_only"):
            seen = self.log[-self.WINDOW :]
            assert self.native.window() == (
                len(seen),
                sum(call.failed for call in seen),
                sum(call.slow for call in seen),
            )
        if self.state == "half_open":
            assert self.native.window() == (
                sum(call.done for call in self.log),
                sum(call.failed for call in self.log),
                sum(call.slow for call in self.log),
            )


def as_test(machine: type[RuleBasedStateMachine]) -> Any:
    """The machine as a test case; its runs are bounded, not timed."""
    case = machine.TestCase
    case.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
    return case


TestBucket = as_test(LimiterMachine)
TestWindow = as_test(WindowMachine)
TestGate = as_test(GateMachine)
TestBreaker = as_test(BreakerMachine)
