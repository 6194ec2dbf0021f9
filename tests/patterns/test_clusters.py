"""Stages on real clusters with two worker processes, where a killed worker loses no item.

They run where Dask's distributed or Ray is installed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.kinds import ASYNCIO, MAYPOLE, LoopKind
from harness.stage_work import die_always, die_once, fail_on_three, square
from maypole.patterns.clusters import Dask, Ray
from maypole.patterns.errors import WorkerDied
from maypole.patterns.pipeline import source

# Both packages keep threads, descriptors and warnings of their own.
pytestmark = [pytest.mark.leaks("fds", "threads", "loops", "logs"), pytest.mark.filterwarnings("ignore")]

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def workers_find_our_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))


async def stages_on(place: Any, marker: Path) -> Any:
    """Squares, a failure, and a worker that is killed; returns the report of the last."""
    assert await source(range(10)).map(square, on=place, concurrency=4).collect() == [
        n * n for n in range(10)
    ]
    report = await source(range(6)).map(fail_on_three, on=place, concurrency=2, on_error="skip").run()
    assert [(letter.item, str(letter.error)) for letter in report.dead_letters] == [(3, "three")]
    assert report.given == 5
    pairs = [(number, str(marker)) for number in range(10)]
    async with source(pairs).map(die_once, on=place, concurrency=4).stream() as numbers:
        assert [number async for number in numbers] == list(range(10))
    assert marker.exists()
    return numbers.report()


@pytest.mark.parametrize("kind", [ASYNCIO, MAYPOLE], ids=lambda kind: kind.name)
def test_dask_runs_a_stage_and_a_killed_worker_is_reported(kind: LoopKind, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")

    async def main() -> None:
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, asynchronous=True, dashboard_address=None, host="127.0.0.1"
        )
        async with cluster, distributed.Client(cluster, asynchronous=True) as client:
            report = await stages_on(Dask(client), tmp_path / "died")
            assert report.stages[0].deaths == 1

    with asyncio.Runner(loop_factory=kind.new_loop) as runner:
        runner.run(main())


def test_dask_needs_an_asynchronous_client() -> None:
    with pytest.raises(TypeError, match="asynchronous=True"):
        Dask(object())


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
        _node_ip_address="127.0.0.1",
    )
    yield ray
    ray.shutdown()


@pytest.mark.parametrize("kind", [ASYNCIO, MAYPOLE], ids=lambda kind: kind.name)
def test_ray_runs_a_stage_and_a_killed_worker_loses_nothing(kind: LoopKind, tmp_path: Path, ray: Any) -> None:
    async def main() -> None:
        await stages_on(Ray(ray), tmp_path / "died")
        place = Ray(ray, max_retries=0)
        async with (
            source(range(5)).map(die_always, on=place, concurrency=2, on_error="skip").stream() as numbers
        ):
            assert [number async for number in numbers] == [0, 1, 2, 4]
        (letter,) = numbers.report().dead_letters
        assert isinstance(letter.error, WorkerDied)
        assert place.deaths == 1

    with asyncio.Runner(loop_factory=kind.new_loop) as runner:
        runner.run(main())
