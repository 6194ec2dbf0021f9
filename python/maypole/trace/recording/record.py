"""`record`: a recording as a context manager."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from maypole import _maypole
from maypole.trace.recording.all_loops import AllLoops
from maypole.trace.recording.one_loop import CAPACITY
from maypole.trace.recording.outputs import Outputs

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

logger = logging.getLogger("maypole")


class record:  # a context manager is named as a function
    """Record what the loops of maypole do, as a timeline.

    Around ``maypole.run(...)`` every loop that runs meanwhile is recorded, in a coroutine the running loop
    is, and others that begin to run. ``with`` and ``async with`` both work. Several loops become one
    document on one time axis.

    Args:
        path: where the timeline page is written to at the end, or the document for a name that ends in
            ``.json``; None for nowhere.
        capacity: how many events are kept of each loop, 40 bytes each; of more the oldest are dropped and
        counted. perfetto: where a trace for Perfetto is written to at the end.

    Raises:
        OSError: if a file cannot be written: when the recording begins, if that can be seen then.
        RuntimeError: if a recording runs in this process already, if the running loop is not maypole's, or,
        at
            the end, if no loop of maypole ran.
        ValueError: for a capacity that is no number above 0.

    What the block raises goes on as it is; a file that cannot be written then is only logged.

    Example:
        >>> import asyncio, json, maypole, maypole.trace
        >>> with maypole.trace.record() as recording:
        ...     maypole.run(asyncio.sleep(0.01))
        >>> document = json.loads(recording.document)
        >>> document["format"], document["waits"]["kind"].count("sleep")
        ('maypole-trace', 1)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        capacity: int = CAPACITY,
        perfetto: str | os.PathLike[str] | None = None,
    ) -> None:
        self._path, self._perfetto, self._capacity = path, perfetto, capacity
        self._loops: AllLoops | None = None
        self._inside = False
        self._document: bytes | None = None

    @property
    def document(self) -> bytes:
        """The recording as JSON, see docs/reference/trace-format.md; there once the block has ended.

        Raises:
            RuntimeError: before that.
        """
        if self._document is None:
            raise RuntimeError("the recording is not over: its document is there when the block has ended")
        return self._document

    def __enter__(self) -> Self:
        """Begin to record."""
        if self._loops is not None or self._document is not None:
            raise RuntimeError("a recording is made once: call record() again for another")
        loop = asyncio._get_running_loop()
        if loop is not None and not isinstance(loop, _maypole.Loop):
            kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
            raise RuntimeError(f"record() needs a loop of maypole, and a {kind} runs here: use maypole.run()")
        self._outputs = Outputs(page=self._path, perfetto=self._perfetto)
        loops = AllLoops(self._capacity)
        if loop is not None:
            self._inside = True
            try:
                loops.add(loop)
            except BaseException:
                loops.end("running")
                raise
        self._loops = loops
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the recording and write what was asked for."""
        loops, self._loops = self._loops, None
        if loops is None:
            raise RuntimeError("the recording has not begun")
        ended = "running" if self._inside else _ended(error)
        self._document = loops.end(ended)
        failures = [found for found in self._outputs.write(self._document) if isinstance(found, OSError)]
        if error is not None:
            for failure in failures:
                logger.error("the recording was not written: %s", failure)
            return
        if failures:
            raise failures[0]
        if not loops.count:
            raise RuntimeError("no loop of maypole ran: there is nothing in the recording; use maypole.run()")

    async def __aenter__(self) -> Self:
        """Begin to record, as ``with`` does."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the recording, as ``with`` does."""
        self.__exit__(kind, error, traceback)


def _ended(error: BaseException | None) -> str:
    if error is None:
        return "returned"
    return "exited" if isinstance(error, SystemExit) else "raised"
