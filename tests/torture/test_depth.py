"""What nests without end raises `RecursionError` or goes through; it never uses up the stack."""

from __future__ import annotations

import pytest
from harness.children import RunScript
from harness.kinds import MAYPOLE, MODE, LoopKind

WAITING_TASKS = """
async def wait_for(waited):
    await waited

async def main():
    end = asyncio.get_running_loop().create_future()
    tasks = [asyncio.create_task(wait_for(end))]
    for _ in range({length}):
        tasks.append(asyncio.create_task(wait_for(tasks[-1])))
    await asyncio.sleep(0)
    try:
        print(tasks[-1].cancel("over"), tasks[0].cancelling())
    except RecursionError:
        print("RecursionError")
    end.cancel("over")
    await asyncio.wait(tasks)
    print(all(task.cancelled() for task in tasks))

loop = new_loop()
loop.run_until_complete(main())
loop.close()
"""


def test_a_short_row_of_waiting_tasks_is_cancelled_whole(run_script: RunScript) -> None:
    assert run_script(WAITING_TASKS.format(length=50)).lines == ["True 1", "True"]


def test_a_long_row_of_waiting_tasks_is_cancelled_or_refused(
    run_script: RunScript, loop_kind: LoopKind
) -> None:
    done = run_script(WAITING_TASKS.format(length=60_000))
    assert done.exit_code == 0, done.err[-3000:]
    native = loop_kind == MAYPOLE and MODE != "c"
    assert done.lines == ["True 1" if native else "RecursionError", "True"]


def test_tasks_in_a_circle_cannot_be_cancelled(run_script: RunScript) -> None:
    done = run_script("""
        async def wait_for(place):
            await tasks[place]

        async def main():
            tasks.extend(asyncio.create_task(wait_for((place + 1) % 7)) for place in range(7))
            await asyncio.sleep(0)
            try:
                tasks[3].cancel()
            except RecursionError:
                print("RecursionError")
            for task in tasks:
                task._log_destroy_pending = False

        tasks = []
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
    """)
    assert (done.exit_code, done.lines) == (0, ["RecursionError"]), done.err[-3000:]


@pytest.mark.parametrize("name", ["Lock", "Semaphore"])
def test_an_acquire_that_awaits_itself_raises(run_script: RunScript, loop_kind: LoopKind, name: str) -> None:
    package = "maypole" if loop_kind == MAYPOLE else "asyncio"
    done = run_script(f"""
        import {package} as api

        class Endless(api.{name}):
            def acquire(self):
                return self.__aenter__()

        async def main():
            try:
                async with Endless():
                    pass
            except RecursionError:
                print("RecursionError")

        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
    """)
    assert (done.exit_code, done.lines) == (0, ["RecursionError"]), done.err[-3000:]


def test_a_row_of_handles_is_freed(run_script: RunScript) -> None:
    done = run_script("""
        loop = new_loop()
        handle = None
        for _ in range(200_000):
            handle = loop.call_later(1000, handle)
        loop.close()
        del handle
        print("freed")
    """)
    assert (done.exit_code, done.lines) == (0, ["freed"]), done.err[-3000:]
