"""``create_task`` and what tasks are: names, contexts, factories, eager tasks, cancellation."""

from __future__ import annotations

import asyncio
import contextvars
import re
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio, plain

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def value(result: Any = 1) -> Any:
    await asyncio.sleep(0)
    return result


def test_a_task_is_an_asyncio_task(loop: Loop) -> None:
    task = loop.create_task(value())
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, asyncio.Future)
    assert asyncio.isfuture(task)
    assert task.get_loop() is loop
    assert loop.run_until_complete(task) == 1
    future = loop.create_future()
    assert isinstance(future, asyncio.Future)
    assert future.get_loop() is loop


def test_tasks_have_names(loop: Loop) -> None:
    task = loop.create_task(value(), name="mine")
    assert task.get_name() == "mine"
    task.set_name("yours")
    assert task.get_name() == "yours"
    other = loop.create_task(value())
    assert other.get_name().startswith("Task-")
    loop.run_until_complete(asyncio.wait([task, other]))


def test_a_task_runs_in_the_context_it_is_given(loop: Loop) -> None:
    async def read() -> str:
        await asyncio.sleep(0)
        return variable.get()

    context = contextvars.Context()
    context.run(variable.set, "given")
    assert loop.run_until_complete(loop.create_task(read(), context=context)) == "given"
    assert loop.run_until_complete(loop.create_task(read())) == "unset"


def test_the_current_task_and_all_tasks_are_known(loop: Loop) -> None:
    async def main() -> None:
        me = asyncio.current_task()
        assert me is not None
        other = asyncio.create_task(value())
        assert asyncio.all_tasks() == {me, other}
        await other
        assert asyncio.all_tasks() == {me}

    loop.run_until_complete(main())
    assert asyncio.current_task(loop) is None
    assert asyncio.all_tasks(loop) == set()


def test_a_task_factory_of_two_arguments_is_used(loop: Loop) -> None:
    made: list[str] = []

    def factory(where: Loop, coroutine: Coroutine[Any, Any, Any], **extra: Any) -> asyncio.Task[Any]:
        made.append(getattr(coroutine, "__name__", ""))
        return asyncio.Task(coroutine, loop=where, **extra)

    loop.set_task_factory(factory)  # type: ignore[arg-type]
    assert loop.get_task_factory() is factory
    assert loop.run_until_complete(loop.create_task(value())) == 1
    assert made == ["value"]
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None


def test_a_task_factory_without_extra_arguments_works_as_in_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def factory(where: Loop, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.Task(coroutine, loop=where)

    def scenario(loop: Loop) -> list[object]:
        loop.set_task_factory(factory)  # type: ignore[arg-type]
        return [loop.run_until_complete(loop.create_task(value(2)))]

    same_as_asyncio(scenario)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_eager_tasks_run_to_their_first_wait_at_once(loop: Loop) -> None:
    seen: list[str] = []

    async def eager() -> str:
        seen.append("began")
        await asyncio.sleep(0)
        seen.append("ended")
        return "done"

    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        task = asyncio.create_task(eager())
        assert seen == ["began"]
        assert await task == "done"
        assert seen == ["began", "ended"]

    loop.run_until_complete(main())


def test_cancelling_reaches_the_innermost_wait(loop: Loop) -> None:
    seen: list[str] = []

    async def inner() -> None:
        try:
            await loop.create_future()
        finally:
            seen.append("inner")

    async def outer() -> None:
        try:
            await asyncio.create_task(inner())
        finally:
            seen.append("outer")

    async def main() -> None:
        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task
        assert task.cancelled()
        assert task.cancelling() == 1

    loop.run_until_complete(main())
    assert seen == ["inner", "outer"]


def orders(loop: Loop) -> list[str]:
    """The order in which tasks, futures, callbacks and timers take turns."""
    seen: list[str] = []

    async def step(name: str, count: int) -> None:
        for number in range(count):
            seen.append(f"{name}{number}")
            await asyncio.sleep(0)

    async def waits(future: asyncio.Future[None]) -> None:
        await future
        seen.append("woken")

    async def main() -> None:
        future = loop.create_future()
        future.add_done_callback(lambda _: seen.append("callback"))
        tasks = [asyncio.create_task(step("a", 3)), asyncio.create_task(waits(future))]
        loop.call_soon(seen.append, "soon")
        tasks.append(asyncio.create_task(step("b", 2)))
        loop.call_soon(future.set_result, None)
        await asyncio.gather(*tasks)
        async with asyncio.TaskGroup() as group:
            group.create_task(step("c", 2))
            group.create_task(step("d", 1))
        seen.append("end")

    loop.run_until_complete(main())
    return seen


def test_everything_takes_turns_in_asyncios_order(same_as_asyncio: SameAsAsyncio) -> None:
    assert same_as_asyncio(orders).value[-1] == "end"


@pytest.mark.debug
def test_reprs_of_tasks_and_futures_are_those_of_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> list[str]:
        made_at = re.compile(r" created at [^>]*:\d+")

        async def waits() -> None:
            await future

        future = loop.create_future()
        task = loop.create_task(waits(), name="a task")
        texts = [repr(future), repr(task)]
        loop.call_soon(loop.stop)
        loop.run_forever()
        texts += [repr(future), repr(task)]
        future.set_result("x" * 10)
        loop.run_until_complete(task)
        # asyncio names the line in its own create_future, maypole the line that called it.
        return [made_at.sub("", plain(text)) for text in (*texts, repr(future), repr(task))]

    same_as_asyncio(scenario)


async def gather_with_an_error() -> None:
    async def fail() -> None:
        raise KeyError("one")

    await asyncio.gather(value(), fail(), value())


async def group_with_errors() -> None:
    async def fail(number: int) -> None:
        raise KeyError(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(fail(1))
        group.create_task(fail(2))


async def timed_out() -> None:
    async with asyncio.timeout(0.001):
        await asyncio.get_running_loop().create_future()


async def waits_for_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    await task


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("by myself")
    await asyncio.sleep(0)


async def awaits_a_future_of_another_loop() -> None:
    loop = asyncio.new_event_loop()
    try:
        await loop.create_future()
    finally:
        loop.close()


async def yields_rubbish() -> None:
    class Rubbish:
        def __await__(self) -> Any:
            yield 42

    await Rubbish()


FAILING: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
    "gather": gather_with_an_error,
    "group": group_with_errors,
    "timeout": timed_out,
    "itself": waits_for_itself,
    "cancelled": cancels_itself,
    "another loop": awaits_a_future_of_another_loop,
    "rubbish": yields_rubbish,
}


@pytest.mark.parametrize("main", FAILING.values(), ids=FAILING.keys())
def test_failures_are_those_of_asyncio(
    same_as_asyncio: SameAsAsyncio, main: Callable[[], Coroutine[Any, Any, Any]]
) -> None:
    assert same_as_asyncio(lambda loop: loop.run_until_complete(main())).error is not None


@pytest.mark.not_in_debug_mode("debug mode runs asyncio's own tasks")
@pytest.mark.not_in_mode("c", "asyncio's own tasks are lost before Python 3.15")
@pytest.mark.parametrize("eager", [False, True])
def test_what_is_no_context_is_refused(loop: Loop, eager: bool) -> None:
    if type(loop).__module__.startswith("asyncio") and sys.version_info < (3, 15):
        pytest.skip("asyncio loses such a task before Python 3.15")

    async def main() -> None:
        coroutine = value()
        kind: Any = type(loop.create_task(value()))
        options = {"eager_start": True} if eager else {}
        with pytest.raises(TypeError, match=r"a contextvars\.Context was expected, got int"):
            kind(coroutine, loop=loop, context=3, **options)
        with pytest.raises(TypeError, match=r"a contextvars\.Context was expected, got int"):
            loop.create_task(coroutine, context=3)  # type: ignore[arg-type]
        coroutine.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_a_second_init_is_that_of_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> Any:
        def again(future: Any, *arguments: Any) -> str:
            try:
                future.__init__(*arguments, loop=loop)
            except RuntimeError as error:
                return str(error)
            return repr(future)

        async def main() -> Any:
            future = loop.create_future()
            future.set_result(1)
            task = loop.create_task(value())
            await task
            coroutine = value()
            texts = [again(future), again(task, coroutine)]
            coroutine.close() if "initialized" in texts[1] else await task
            return [plain(text) for text in texts]

        return loop.run_until_complete(main())

    same_as_asyncio(scenario)


def test_a_future_says_what_is_wrong(loop: Loop) -> None:
    future = loop.create_future()
    with pytest.raises(asyncio.InvalidStateError, match=r"^Result is not set\.$"):
        future.result()
    with pytest.raises(asyncio.InvalidStateError, match=r"^Exception is not set\.$"):
        future.exception()
    with pytest.raises(TypeError, match=r"^invalid exception object$"):
        future.set_exception(3)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="Python 3.15 refuses a second __init__")
def test_a_second_init_forgets_name_and_cancellation(loop: Loop) -> None:
    async def sleep() -> None:
        await asyncio.sleep(10)

    async def value() -> int:
        return 1

    async def main() -> None:
        loop.set_exception_handler(lambda *_: None)  # the step that was queued before finds the task done
        task = loop.create_task(sleep(), name="first")
        await asyncio.sleep(0)
        task.cancel()
        task.__init__(value(), loop=loop)  # type: ignore[misc]  # what is tested
        assert task.get_name() != "first"
        assert task.cancelling() == 0
        await asyncio.wait([task])

    loop.run_until_complete(main())
