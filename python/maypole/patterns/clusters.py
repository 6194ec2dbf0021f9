"""Pipeline stages on a cluster: Dask and Ray, which you install and start yourself.

Nothing is imported here: the adapters work through the client, or the module, that they are given.
"""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any, Self, TypeVar

from maypole.patterns.errors import WorkerDied

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

T = TypeVar("T")
R = TypeVar("R")


class Dask:
    """The workers of a Dask cluster.

    Args:
        client: a `distributed.Client` with ``asynchronous=True``, on the loop on which the pipeline runs. It
            is not closed.

    When a worker dies, Dask's scheduler runs its items again on another one, as often as its setting
    ``distributed.scheduler.allowed-failures`` allows; then the item fails with `WorkerDied`. A function must
    bear being run twice.

    Attributes:
        deaths: how many workers were lost while they had an item; known when the run has ended.

    Raises:
        TypeError: the client is not asynchronous.

    Source: https://distributed.dask.org/en/stable/asynchronous.html
    """

    def __init__(self, client: Any) -> None:
        if not getattr(client, "asynchronous", False):
            raise TypeError("Dask needs a client made with asynchronous=True, on the running loop")
        self._client = client
        self._run = ""
        self._numbers = itertools.count()
        self.deaths = 0

    def submit(self, fn: Callable[[T], R], item: T, /) -> Awaitable[R]:
        """Run ``fn(item)`` on one of the workers.

        Cancel safety: when the caller is cancelled, the cluster is told to forget the item.
        """
        if not self._run:
            raise RuntimeError("the cluster is used inside `async with` only")
        # A key of its own for each item: equal calls are not one call.
        key = f"{self._run}-{next(self._numbers)}"
        return self._result(self._client.submit(fn, item, key=key, pure=False))

    async def _result(self, future: Any) -> Any:
        try:
            return await future
        except Exception as error:
            if type(error).__name__ != "KilledWorker":
                raise
            raise WorkerDied(f"workers died while they ran this item: {error}") from error
        finally:
            future.release()

    async def __aenter__(self) -> Self:
        self._run = f"maypole-{uuid.uuid4().hex}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        run, self._run = self._run, ""
        for _, event in await self._client.get_events("all"):
            if event.get("action") == "remove-worker" and not event.get("expected"):
                self.deaths += any(str(key).startswith(run) for key in event.get("processing-tasks", ()))

    def __repr__(self) -> str:
        return f"<Dask {self._client!r}, {self.deaths} died>"


class Ray:
    """The workers of a Ray cluster.

    Args:
        ray: the module ``ray``, after ``ray.init()``.
        options: for ``ray.remote``: ``num_cpus``, ``max_retries``, …

    When a worker dies, Ray runs its item again, ``max_retries`` times; then the item fails with `WorkerDied`.

    Attributes:
        deaths: how many items failed because their workers died; Ray does not tell of those it ran again.

    Source: https://docs.ray.io/en/latest/ray-core/actors/async_api.html#objectrefs-as-asyncio-futures
    """

    def __init__(self, ray: Any, **options: Any) -> None:
        self._ray = ray
        self._options = options
        self._remotes: dict[Any, Any] = {}
        self.deaths = 0

    def submit(self, fn: Callable[[T], R], item: T, /) -> Awaitable[R]:
        """Run ``fn(item)`` on one of the workers.

        Cancel safety: when the caller is cancelled, the cluster is told to cancel the item.
        """
        remote = self._remotes.get(fn)
        if remote is None:
            remote = self._ray.remote(**self._options)(fn) if self._options else self._ray.remote(fn)
            self._remotes[fn] = remote
        return self._result(remote.remote(item))

    async def _result(self, reference: Any) -> Any:
        done = False
        try:
            result = await reference
            done = True
            return result
        except Exception as error:
            done = True
            if isinstance(error, self._ray.exceptions.WorkerCrashedError):
                self.deaths += 1
                raise WorkerDied(f"workers died while they ran this item: {error}") from error
            cause = getattr(error, "cause", None)  # what the function raised, without Ray's text around it
            if isinstance(error, self._ray.exceptions.RayTaskError) and isinstance(cause, Exception):
                raise cause from error
            raise
        finally:
            if not done:
                self._ray.cancel(reference)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._remotes.clear()

    def __repr__(self) -> str:
        return f"<Ray {self._options}, {self.deaths} died>"
