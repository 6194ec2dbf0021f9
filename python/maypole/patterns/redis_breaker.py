"""One breaker for several processes: what one of them finds, all know."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from maypole.patterns.breaker import CircuitBreaker
from maypole.patterns.deadline import without_deadline
from maypole.patterns.errors import CircuitOpen
from maypole.patterns.events import log
from maypole.patterns.tasks import keep

if TYPE_CHECKING:
    from maypole.patterns.permit import BreakerState, Permit
    from maypole.patterns.redis_limit import RedisClient, Script

# All scripts: KEYS are the open time and the lease of the probes; times are in milliseconds.

# How long it is open; 0 while somebody probes; -1 when nothing is known against it.
_LOOK = """
local left = redis.call('PTTL', KEYS[1])
if left > 0 then return left end
return redis.call('EXISTS', KEYS[2]) - 1
"""

# ARGV: for how long it is open. Of several the one that ends last counts; the trial is over.
_OPEN = """
redis.call('DEL', KEYS[2])
if tonumber(ARGV[1]) > redis.call('PTTL', KEYS[1]) and tonumber(ARGV[1]) > 0 then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return 1
"""

# ARGV: who asks, for how long. 1 when the probes are theirs.
_LEASE = """
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[2]) == ARGV[1] and 1 or 0
"""

_CLOSE = "return redis.call('DEL', KEYS[1], KEYS[2])"


class RedisBreaker(CircuitBreaker):
    """A `CircuitBreaker` that shares with other processes that it is open, and who probes.

    Args:
        client: a ``redis.asyncio.Redis``; it stays yours.
        key: the name of the breaker in Redis.
        name: what is called; None takes the key.
        refresh: seconds for which the last answer of the store is taken as true.
        store_timeout: seconds after which the store has not answered; the breaker then goes on by itself.
        settings: as for `CircuitBreaker`.

    Each process judges its own calls. When one opens, the others open with their next call after ``refresh``
    seconds. When the time is over, one process at a time sends probes; the others stay open meanwhile.
    ``async with``, `call` and the decorator ask the store; ``acquire`` and ``with`` do not wait for it, and
    go by what is known. Events are those of `CircuitBreaker`, and ``store_error``.

    On a cluster, put a hash tag into the key: ``{billing}``.

    Raises:
        ValueError: settings that make no sense.
    """

    def __init__(
        self,
        client: RedisClient,
        key: str,
        *,
        name: str | None = None,
        refresh: float = 0.5,
        store_timeout: float = 0.5,
        half_open_timeout: float = 30.0,
        **settings: Any,
    ) -> None:
        if not (refresh > 0 and store_timeout > 0):
            raise ValueError(f"refresh and store_timeout must be above 0, got {refresh!r}, {store_timeout!r}")
        super().__init__(name or key, half_open_timeout=half_open_timeout, **settings)
        self.key = key
        self._keys = [key, f"{key}:probe"]
        self._look: Script = client.register_script(_LOOK)
        self._open: Script = client.register_script(_OPEN)
        self._lease: Script = client.register_script(_LEASE)
        self._close: Script = client.register_script(_CLOSE)
        self._refresh = refresh
        self._store_timeout = store_timeout
        self._lease_ms = max(1, round(half_open_timeout * 1000))
        self._me = uuid.uuid4().hex
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fresh_until = 0.0
        self._asking = False
        self._probes_are_ours = False
        self._to_tell: list[tuple[Script, list[int]]] = []
        self._teller: asyncio.Task[None] | None = None

    def _permit(self) -> Permit | None:
        """Ask to make a call, by what is known."""
        return None if self._probes_are_elsewhere() else super()._permit()

    async def admit(self) -> Permit:
        """Ask the store, unless it was asked just now, and then to make a call.

        Raises:
            CircuitOpen: the call must not be made now.

        Cancel safety: a cancelled call has taken nothing.
        """
        await self._consult()
        return self.acquire()

    async def __aenter__(self) -> Permit:
        """Ask to make a call, as `admit` does; what happens in the block is its result."""
        permit = await self.admit()
        self._permits.push(permit)
        return permit

    def _due_to_probe(self) -> bool:
        """Whether the open time is over, and the next call would be a probe."""
        return self.state == "open" and self._core.retry_after == 0

    def _probes_are_elsewhere(self) -> bool:
        return not self._probes_are_ours and self._due_to_probe()

    def _refusal(self) -> CircuitOpen:
        if not self._probes_are_elsewhere():
            return super()._refusal()
        self._tell_refusal("half_open", None)
        return CircuitOpen(
            f"breaker {self.name!r} is half-open: another process probes",
            name=self.name,
            state="half_open",
            last_error=self.last_error,
        )

    async def _consult(self) -> None:
        """Learn what the others have found, and whether the probes are ours."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._fresh_until, self._asking, self._teller = loop, 0.0, False, None
        probing = self._probes_are_elsewhere()
        if self._asking or self._teller is not None or (loop.time() < self._fresh_until and not probing):
            return
        if not probing and self.state != "closed":
            return
        self._asking = True
        try:
            if not probing:
                await self._ask_whether_open(loop)
            if self._probes_are_elsewhere():
                self._probes_are_ours = bool(await self._ask(self._lease, [self._me, self._lease_ms]))
        except Exception as error:
            self._store_failed(error)
            self._probes_are_ours = True  # it cannot know of others, and goes on by itself
        finally:
            self._asking = False
        self._fresh_until = loop.time() + self._refresh

    async def _ask_whether_open(self, loop: asyncio.AbstractEventLoop) -> None:
        left_ms = await self._ask(self._look, [])
        if left_ms >= 0:
            self._core.open_for(loop.time(), left_ms / 1000)
            self._tell_changes()

    async def _ask(self, script: Script, args: list[Any]) -> int:
        async with asyncio.timeout(self._store_timeout):
            return int(await script(keys=self._keys, args=args))

    def _store_failed(self, error: Exception) -> None:
        self.events.tell("store_error", asyncio.get_running_loop().time(), error=repr(error))
        log.warning("breaker %r: the store does not answer: %r", self.name, error)

    def _changed(self, after: BreakerState, reason: str) -> None:
        """Tell the others what this process has found."""
        if after in ("open", "closed"):
            self._probes_are_ours = False
        if reason == "elsewhere":
            return
        if after == "open":
            self._to_tell.append((self._open, [round((self._core.retry_after or 0.0) * 1000)]))
        elif after == "closed":
            self._to_tell.append((self._close, []))
        loop = asyncio._get_running_loop()
        if self._to_tell and loop is not None and (self._teller is None or self._teller.done()):
            self._teller = keep(loop.create_task(self._tell_store(), context=without_deadline()))

    async def _tell_store(self) -> None:
        try:
            while self._to_tell:
                script, args = self._to_tell.pop(0)
                await self._ask(script, args)
        except Exception as error:
            self._to_tell.clear()  # what is not told is found by each process itself
            self._store_failed(error)
        finally:
            self._teller = None
