"""One virtual clock for a test: loops that share it, and the `time` module with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from maypole.testing.selector_loop import VirtualSelectorLoop
from maypole.virtual.time_module import TimeModule

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
LoopName = Literal["maypole", "asyncio"]


class VirtualClock:
    """Time that jumps to the next moment at which something happens.

    Args:
        tie_seed: None keeps timers with the same deadline in the order in which they were set; a number
            permutes them, and the descriptors of one poll, the same way each time. Use several to find orders
            that a test relies on without knowing.

    Each loop starts at 1000.0 seconds. The clock itself goes on from loop to loop.

    >>> clock = VirtualClock()
    >>> with asyncio.Runner(loop_factory=lambda: clock.new_event_loop("asyncio")) as runner:
    ...     runner.run(asyncio.sleep(3600, "an hour"))
    'an hour'
    >>> clock.time()
    4600.0
    """

    def __init__(self, *, tie_seed: int | None = None) -> None:
        self._tie_seed = tie_seed
        self._time_module = TimeModule()

    def new_event_loop(self, loop: LoopName = "maypole") -> asyncio.AbstractEventLoop:
        """Return a new loop on this clock: maypole's own, or asyncio's selector loop.

        Raises:
            ValueError: for another name.
        """
        if loop == "asyncio":
            plain = VirtualSelectorLoop(tie_seed=self._tie_seed)
            self._time_module.follow(plain)
            return plain
        if loop == "maypole":
            return self._new_maypole_loop()
        raise ValueError(f"loop must be 'maypole' or 'asyncio', got {loop!r}")

    def time(self) -> float:
        """Return the virtual seconds that have passed on all loops of this clock, plus 1000."""
        return self._time_module.monotonic()

    def time_module(self) -> TimeModule:
        """Return the context manager in which the clocks of the `time` module show this clock.

        >>> import time
        >>> clock = VirtualClock()
        >>> with clock.time_module():
        ...     start = time.perf_counter()
        ...     time.sleep(60)
        ...     time.perf_counter() - start
        60.0
        """
        return self._time_module

    def _new_maypole_loop(self) -> asyncio.AbstractEventLoop:
        import maypole

        native = maypole.new_event_loop(clock="virtual")
        if self._tie_seed is not None:
            native._permute_ties(self._tie_seed)
        self._time_module.follow(native)
        return native


def run_virtual(
    main: Coroutine[Any, Any, T],
    *,
    loop: LoopName = "maypole",
    debug: bool | None = None,
    tie_seed: int | None = None,
) -> T:
    """Run a coroutine to its end on a new virtual clock, and return its result.

    Args:
        main: the coroutine.
        loop: ``"maypole"`` or ``"asyncio"``.
        debug: the loop's debug mode; None as ``PYTHONASYNCIODEBUG`` says.
        tie_seed: as for `VirtualClock`.

    Raises:
        Deadlock: nothing is left that could wake the program.
        Spin: the loop turned 20,000 times while its clock stood still.
        Hang: one callback or task step took 2 s of CPU time or 10 s in all (in the main thread).

    >>> run_virtual(asyncio.sleep(86_400, "tomorrow"), loop="asyncio")
    'tomorrow'
    """
    clock = VirtualClock(tie_seed=tie_seed)
    with asyncio.Runner(debug=debug, loop_factory=lambda: clock.new_event_loop(loop)) as runner:
        return runner.run(main)
