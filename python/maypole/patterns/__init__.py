"""Patterns of asyncio programs in production, on any asyncio loop.

Nothing here knows which loop it runs on: time is ``loop.time()``, waiting is a future. Each pattern is
bounded by default, serves first come, first served, and a cancelled caller leaves no trace.

A name is imported when it is first used, so that a program pays for the patterns that it has.

>>> from maypole.patterns import Rejected
>>> Rejected("not now", retry_after=0.5).retry_after
0.5
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maypole.patterns.adaptive import Adaptive as Adaptive
    from maypole.patterns.adaptive import AdaptiveStats as AdaptiveStats
    from maypole.patterns.adaptive import Slot as Slot
    from maypole.patterns.background import Background as Background
    from maypole.patterns.breaker import CircuitBreaker as CircuitBreaker
    from maypole.patterns.breaker import Count as Count
    from maypole.patterns.breaker import Time as Time
    from maypole.patterns.bulkhead import Bulkhead as Bulkhead
    from maypole.patterns.bulkhead import BulkheadStats as BulkheadStats
    from maypole.patterns.channel_state import ChannelStats as ChannelStats
    from maypole.patterns.channel_state import Overflow as Overflow
    from maypole.patterns.channels import Receiver as Receiver
    from maypole.patterns.channels import Sender as Sender
    from maypole.patterns.channels import channel as channel
    from maypole.patterns.clusters import Dask as Dask
    from maypole.patterns.clusters import Ray as Ray
    from maypole.patterns.deadline import Deadline as Deadline
    from maypole.patterns.deadline import finally_within as finally_within
    from maypole.patterns.errors import BudgetExhausted as BudgetExhausted
    from maypole.patterns.errors import BulkheadFull as BulkheadFull
    from maypole.patterns.errors import ChannelBroken as ChannelBroken
    from maypole.patterns.errors import ChannelClosed as ChannelClosed
    from maypole.patterns.errors import ChannelFull as ChannelFull
    from maypole.patterns.errors import CircuitOpen as CircuitOpen
    from maypole.patterns.errors import DeadlineExceeded as DeadlineExceeded
    from maypole.patterns.errors import LoadShed as LoadShed
    from maypole.patterns.errors import PatternError as PatternError
    from maypole.patterns.errors import PoolClosed as PoolClosed
    from maypole.patterns.errors import PoolExhausted as PoolExhausted
    from maypole.patterns.errors import QueueFull as QueueFull
    from maypole.patterns.errors import RateLimited as RateLimited
    from maypole.patterns.errors import Rejected as Rejected
    from maypole.patterns.errors import ScopeClosed as ScopeClosed
    from maypole.patterns.errors import ScopeStuck as ScopeStuck
    from maypole.patterns.errors import TooManyRestarts as TooManyRestarts
    from maypole.patterns.errors import WorkCancelled as WorkCancelled
    from maypole.patterns.errors import WorkerDied as WorkerDied
    from maypole.patterns.events import PatternEvent as PatternEvent
    from maypole.patterns.events import subscribe as subscribe
    from maypole.patterns.hedge import Hedge as Hedge
    from maypole.patterns.hedge import HedgeStats as HedgeStats
    from maypole.patterns.jobs import Job as Job
    from maypole.patterns.jobs import JobStats as JobStats
    from maypole.patterns.keyed import Keyed as Keyed
    from maypole.patterns.keyed import KeyedStats as KeyedStats
    from maypole.patterns.keyed_lock import KeyedLock as KeyedLock
    from maypole.patterns.keyed_lock import KeyedLockStats as KeyedLockStats
    from maypole.patterns.latch import Latch as Latch
    from maypole.patterns.latch import LatchStats as LatchStats
    from maypole.patterns.latch import ValueEvent as ValueEvent
    from maypole.patterns.latch import ValueEventStats as ValueEventStats
    from maypole.patterns.lease import Lease as Lease
    from maypole.patterns.lifespan import Lifespan as Lifespan
    from maypole.patterns.lifespan import LifespanStats as LifespanStats
    from maypole.patterns.lifespan import StepReport as StepReport
    from maypole.patterns.load_shed import LoadShedder as LoadShedder
    from maypole.patterns.load_shed import LoadShedderStats as LoadShedderStats
    from maypole.patterns.mapping import amap as amap
    from maypole.patterns.outcome import Cancelled as Cancelled
    from maypole.patterns.outcome import Err as Err
    from maypole.patterns.outcome import Ok as Ok
    from maypole.patterns.outcome import Outcome as Outcome
    from maypole.patterns.outcome import capture as capture
    from maypole.patterns.outcome import outcome_of as outcome_of
    from maypole.patterns.outcome import raise_errors as raise_errors
    from maypole.patterns.outcome import values as values
    from maypole.patterns.pacing import Debounced as Debounced
    from maypole.patterns.pacing import DebouncedStats as DebouncedStats
    from maypole.patterns.pacing import debounce as debounce
    from maypole.patterns.pacing import throttle as throttle
    from maypole.patterns.periodic import Periodic as Periodic
    from maypole.patterns.periodic import PeriodicStats as PeriodicStats
    from maypole.patterns.periodic import every as every
    from maypole.patterns.permit import BreakerSnapshot as BreakerSnapshot
    from maypole.patterns.permit import BreakerState as BreakerState
    from maypole.patterns.permit import Permit as Permit
    from maypole.patterns.pipeline import Pipeline as Pipeline
    from maypole.patterns.pipeline import source as source
    from maypole.patterns.places import InExecutor as InExecutor
    from maypole.patterns.places import Place as Place
    from maypole.patterns.places import Threads as Threads
    from maypole.patterns.policy import Policy as Policy
    from maypole.patterns.pool import Pool as Pool
    from maypole.patterns.pool import PoolStats as PoolStats
    from maypole.patterns.processes import Processes as Processes
    from maypole.patterns.processes import ProcessesStats as ProcessesStats
    from maypole.patterns.racing import first_success as first_success
    from maypole.patterns.racing import race as race
    from maypole.patterns.rate_limit import RateLimit as RateLimit
    from maypole.patterns.rate_limit import RateLimitStats as RateLimitStats
    from maypole.patterns.redis_breaker import RedisBreaker as RedisBreaker
    from maypole.patterns.redis_limit import RedisRateLimit as RedisRateLimit
    from maypole.patterns.redis_limit import RedisRateLimitStats as RedisRateLimitStats
    from maypole.patterns.reservation import Reservation as Reservation
    from maypole.patterns.retry import Retry as Retry
    from maypole.patterns.retry_budget import RetryBudget as RetryBudget
    from maypole.patterns.retry_budget import RetryBudgetStats as RetryBudgetStats
    from maypole.patterns.rwlock import RWLock as RWLock
    from maypole.patterns.rwlock import RWLockStats as RWLockStats
    from maypole.patterns.scope import TaskScope as TaskScope
    from maypole.patterns.singleflight import SingleFlight as SingleFlight
    from maypole.patterns.singleflight import SingleFlightStats as SingleFlightStats
    from maypole.patterns.stages import Failure as Failure
    from maypole.patterns.stages import StageStats as StageStats
    from maypole.patterns.statistics import WaitStats as WaitStats
    from maypole.patterns.streams import DeadLetter as DeadLetter
    from maypole.patterns.streams import PipelineReport as PipelineReport
    from maypole.patterns.streams import Stream as Stream
    from maypole.patterns.supervisor import Backoff as Backoff
    from maypole.patterns.supervisor import Supervisor as Supervisor
    from maypole.patterns.supervisor import SupervisorStats as SupervisorStats
    from maypole.patterns.supervisor import supervise as supervise

# Which module of this package holds each name; the import, dir() and the star import follow this list.
_HOMES = {
    "adaptive": ("Adaptive", "AdaptiveStats", "Slot"),
    "background": ("Background",),
    "breaker": ("CircuitBreaker", "Count", "Time"),
    "bulkhead": ("Bulkhead", "BulkheadStats"),
    "channel_state": ("ChannelStats", "Overflow"),
    "channels": ("Receiver", "Sender", "channel"),
    "clusters": ("Dask", "Ray"),
    "deadline": ("Deadline", "finally_within"),
    "errors": (
        "BudgetExhausted",
        "BulkheadFull",
        "ChannelBroken",
        "ChannelClosed",
        "ChannelFull",
        "CircuitOpen",
        "DeadlineExceeded",
        "LoadShed",
        "PatternError",
        "PoolClosed",
        "PoolExhausted",
        "QueueFull",
        "RateLimited",
        "Rejected",
        "ScopeClosed",
        "ScopeStuck",
        "TooManyRestarts",
        "WorkCancelled",
        "WorkerDied",
    ),
    "events": ("PatternEvent", "subscribe"),
    "hedge": ("Hedge", "HedgeStats"),
    "jobs": ("Job", "JobStats"),
    "keyed": ("Keyed", "KeyedStats"),
    "keyed_lock": ("KeyedLock", "KeyedLockStats"),
    "latch": ("Latch", "LatchStats", "ValueEvent", "ValueEventStats"),
    "lease": ("Lease",),
    "lifespan": ("Lifespan", "LifespanStats", "StepReport"),
    "load_shed": ("LoadShedder", "LoadShedderStats"),
    "mapping": ("amap",),
    "outcome": ("Cancelled", "Err", "Ok", "Outcome", "capture", "outcome_of", "raise_errors", "values"),
    "pacing": ("Debounced", "DebouncedStats", "debounce", "throttle"),
    "periodic": ("Periodic", "PeriodicStats", "every"),
    "permit": ("BreakerSnapshot", "BreakerState", "Permit"),
    "pipeline": ("Pipeline", "source"),
    "places": ("InExecutor", "Place", "Threads"),
    "policy": ("Policy",),
    "pool": ("Pool", "PoolStats"),
    "processes": ("Processes", "ProcessesStats"),
    "racing": ("first_success", "race"),
    "rate_limit": ("RateLimit", "RateLimitStats"),
    "redis_breaker": ("RedisBreaker",),
    "redis_limit": ("RedisRateLimit", "RedisRateLimitStats"),
    "reservation": ("Reservation",),
    "retry": ("Retry",),
    "retry_budget": ("RetryBudget", "RetryBudgetStats"),
    "rwlock": ("RWLock", "RWLockStats"),
    "scope": ("TaskScope",),
    "singleflight": ("SingleFlight", "SingleFlightStats"),
    "stages": ("Failure", "StageStats"),
    "statistics": ("WaitStats",),
    "streams": ("DeadLetter", "PipelineReport", "Stream"),
    "supervisor": ("Backoff", "Supervisor", "SupervisorStats", "supervise"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = found  # the next use is a plain attribute
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
