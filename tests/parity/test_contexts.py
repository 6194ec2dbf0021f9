"""Context variables: what a callback or a task changes nobody else sees, however many were made at once."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from typing import Any

import pytest
from harness.kinds import NewLoop

MANY = 12

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable", default="default")

needs_get_context = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="asyncio's handles and tasks show their context from Python 3.12 on"
)


def context_of(holder: Any) -> contextvars.Context:
    """The context of a handle or a task; asyncio's types know of it from Python 3.12 on."""
    context: contextvars.Context = holder.get_context()
    return context


class Value:
    """Something that can be watched."""


def run(new_loop: NewLoop, main: Any) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


def test_callbacks_do_not_see_what_others_set(new_loop: NewLoop) -> None:
    seen: list[Any] = []

    def look_and_set(number: int) -> None:
        seen.append(variable.get())
        variable.set(number)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        variable.set("outer")
        for number in range(MANY):
            loop.call_soon(look_and_set, number)
        for number in range(MANY):
            loop.call_later(0, look_and_set, number)
        await asyncio.sleep(0.001)
        assert variable.get() == "outer"

    run(new_loop, main)
    assert seen == ["outer"] * 2 * MANY


def test_callbacks_see_what_was_set_when_they_were_made(new_loop: NewLoop) -> None:
    seen: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for value in ("first", "second", "first"):
            token = variable.set(value)
            for _ in range(MANY):
                loop.call_soon(lambda: seen.append(variable.get()))
            variable.reset(token)
        loop.call_soon(lambda: seen.append(variable.get()))
        await asyncio.sleep(0)

    run(new_loop, main)
    assert seen == ["first"] * MANY + ["second"] * MANY + ["first"] * MANY + ["default"]


def test_tasks_keep_what_they_set_and_show_it_to_nobody(new_loop: NewLoop) -> None:
    async def work(number: int) -> list[Any]:
        seen = [variable.get()]
        token = variable.set(number)
        await asyncio.sleep(0)
        seen.append(variable.get())
        variable.reset(token)
        await asyncio.sleep(0)
        seen.append(variable.get())
        variable.set(-number)
        await asyncio.sleep(0.001)
        seen.append(variable.get())
        return seen

    async def main() -> list[Any]:
        variable.set("outer")
        results = await asyncio.gather(*map(work, range(MANY)))
        assert variable.get() == "outer"
        return results

    expected = [["outer", number, "outer", -number] for number in range(MANY)]
    assert run(new_loop, main) == expected


def test_done_callbacks_see_what_was_set_when_they_were_added(new_loop: NewLoop) -> None:
    seen: list[Any] = []

    def look_and_set(_: object) -> None:
        seen.append(variable.get())
        variable.set("changed")

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        for _ in range(MANY):
            future.add_done_callback(look_and_set)
        variable.set("later")
        future.set_result(None)
        await asyncio.sleep(0)

    run(new_loop, main)
    assert seen == ["default"] * MANY


def test_a_given_context_is_the_one_that_is_used(new_loop: NewLoop) -> None:
    given = contextvars.copy_context()

    async def child(number: int) -> None:
        variable.set(number)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(MANY):
            loop.call_soon(variable.set, number, context=given)
            await asyncio.sleep(0)
            assert given[variable] == number
            await loop.create_task(child(-number), context=given)
            assert given[variable] == -number

    run(new_loop, main)


@needs_get_context
def test_the_context_of_a_task_is_its_own_and_stays_the_same(new_loop: NewLoop) -> None:
    async def look() -> Any:
        task = asyncio.current_task()
        assert task is not None
        first = context_of(task)
        assert variable not in first or first[variable] == variable.get()
        await asyncio.sleep(0)
        variable.set("inner")
        assert context_of(task) is first
        assert first[variable] == "inner"
        await asyncio.sleep(0)
        return variable.get()

    async def main() -> None:
        tasks = [asyncio.create_task(look()) for _ in range(MANY)]
        contexts = [context_of(task) for task in tasks]
        assert len({id(context) for context in contexts}) == MANY
        contexts[3].run(variable.set, "from outside")
        await asyncio.gather(*tasks)
        assert [context_of(task) for task in tasks] == contexts
        assert {context[variable] for context in contexts} == {"inner"}

    run(new_loop, main)


@needs_get_context
def test_the_context_of_a_waiting_task_can_be_changed_from_outside(new_loop: NewLoop) -> None:
    async def wait(go: asyncio.Event) -> Any:
        await go.wait()
        return variable.get()

    async def main() -> list[Any]:
        go = asyncio.Event()
        tasks = [asyncio.create_task(wait(go)) for _ in range(MANY)]
        await asyncio.sleep(0)
        context_of(tasks[3]).run(variable.set, "from outside")
        go.set()
        return await asyncio.gather(*tasks)

    assert run(new_loop, main) == ["default"] * 3 + ["from outside"] + ["default"] * (MANY - 4)


@needs_get_context
def test_the_context_of_a_handle_is_the_one_that_it_runs_in(new_loop: NewLoop) -> None:
    seen: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        handles: list[asyncio.Handle] = []

        def look(number: int) -> None:
            seen.append(variable.get())
            variable.set(number)
            assert context_of(handles[number])[variable] == number

        handles += [loop.call_soon(look, number) for number in range(MANY)]
        context_of(handles[3]).run(variable.set, "from outside")
        await asyncio.sleep(0)
        assert [context_of(handle)[variable] for handle in handles] == list(range(MANY))

    run(new_loop, main)
    assert seen == ["default"] * 3 + ["from outside"] + ["default"] * (MANY - 4)


def test_a_token_is_good_in_later_steps_of_its_task(new_loop: NewLoop) -> None:
    async def work() -> Any:
        token = variable.set("inner")
        for _ in range(3):
            await asyncio.sleep(0)
        variable.reset(token)
        return variable.get()

    async def main() -> list[Any]:
        return await asyncio.gather(*[work() for _ in range(MANY)])

    assert run(new_loop, main) == ["default"] * MANY


def test_values_live_no_longer_than_who_could_see_them(new_loop: NewLoop) -> None:
    async def main() -> bool:
        value = Value()
        watched = weakref.ref(value)

        async def child(held: Value) -> None:
            variable.set(held)
            loop = asyncio.get_running_loop()
            for _ in range(MANY):
                loop.call_soon(variable.get)
                await asyncio.create_task(asyncio.sleep(0))

        await asyncio.create_task(child(value))
        del value
        await asyncio.sleep(0.001)
        gc.collect()
        return watched() is None

    assert run(new_loop, main)
