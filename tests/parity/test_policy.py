"""Ways to choose a loop: factories first, a policy where Python still has policies, and no side effects."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings

import maypole
import pytest
from harness.children import RunScript
from harness.kinds import Loop, NewLoop


def test_a_runner_takes_the_factory(loop_factory: NewLoop) -> None:
    made: list[Loop] = []

    def factory() -> Loop:
        made.append(loop_factory())
        return made[-1]

    async def main() -> Loop:
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(main()) is made[0]
        assert runner.run(main()) is made[0]
    assert made[0].is_closed()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.run(loop_factory=) is new in Python 3.12")
def test_asyncio_run_takes_the_factory(loop_factory: NewLoop) -> None:
    async def main() -> str:
        return type(asyncio.get_running_loop()).__name__

    name = asyncio.run(main(), loop_factory=loop_factory)  # type: ignore[call-arg]
    loop = loop_factory()
    assert name == type(loop).__name__
    loop.close()


def test_maypole_run_uses_its_loop_and_closes_it() -> None:
    async def main() -> Loop:
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    loop = maypole.run(main())
    assert isinstance(loop, maypole.EventLoop)
    assert loop.is_closed()


def test_maypole_run_knows_debug_mode() -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert maypole.run(main(), debug=True) is True
    assert maypole.run(main(), debug=False) is False


def test_maypole_run_refuses_what_asyncio_run_refuses() -> None:
    with pytest.raises((TypeError, ValueError), match="a coroutine") as expected:
        asyncio.run(3)  # type: ignore[arg-type]
    with pytest.raises(expected.type) as found:
        maypole.run(3)  # type: ignore[arg-type]
    assert str(found.value) == str(expected.value)

    async def inside() -> str:
        coroutine = asyncio.sleep(0)
        try:
            maypole.run(coroutine)
        except RuntimeError as error:
            return str(error)
        finally:
            coroutine.close()
        return ""

    assert "cannot be called from a running event loop" in maypole.run(inside())


@pytest.mark.skipif(sys.version_info >= (3, 16), reason="Python 3.16 has no policies")
def test_the_policy_makes_maypole_loops_and_can_be_undone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(maypole.EventLoopPolicy())
        try:
            loop = asyncio.new_event_loop()
            assert isinstance(loop, maypole.EventLoop)
            loop.close()

            async def main() -> bool:
                return isinstance(asyncio.get_running_loop(), maypole.EventLoop)

            assert asyncio.run(main())
        finally:
            asyncio.set_event_loop_policy(None)
        loop = asyncio.new_event_loop()
        assert not isinstance(loop, maypole.EventLoop)
        loop.close()


def test_importing_maypole_changes_nothing() -> None:
    script = """
import asyncio, signal, sys, threading
def state():
    names = {name: getattr(asyncio, name) for name in asyncio.__all__ if "awaited_by" not in name}
    return names, signal.getsignal(signal.SIGINT), threading.active_count(), sys.getswitchinterval()
before = state()
import maypole, maypole.loop
assert state() == before
loop = asyncio.new_event_loop()
assert type(loop).__module__.startswith("asyncio"), type(loop)
loop.close()
# From Python 3.14 on the functions that name who awaits a future learn of native ones with the first loop.
awaited_by = getattr(asyncio, "future_add_to_awaited_by", None)
assert awaited_by is getattr(asyncio.futures, "_c_future_add_to_awaited_by", None)
maypole.new_event_loop().close()
assert state() == before
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_loop_may_be_subclassed(loop: Loop) -> None:
    class Mine(type(loop)):  # type: ignore[misc]
        """A loop with something of one's own."""

        calls = 0

        def call_soon(self, *arguments: object, **keywords: object) -> asyncio.Handle:
            self.calls += 1
            handle: asyncio.Handle = super().call_soon(*arguments, **keywords)
            return handle

    mine = Mine()
    try:
        mine.attribute = 3
        mine.run_until_complete(asyncio.sleep(0.001))
        assert mine.calls > 0
        assert mine.attribute == 3
    finally:
        mine.close()


def test_a_loop_is_what_asyncio_says_it_is(loop: Loop) -> None:
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)


def test_a_thousand_loops_open_and_close_without_a_trace(run_script: RunScript) -> None:
    finished = run_script(
        """
        import gc, threading
        async def main():
            await asyncio.sleep(0)
            reader, writer = os.pipe()
            asyncio.get_running_loop().add_reader(reader, print)
            asyncio.get_running_loop().remove_reader(reader)
            os.close(reader), os.close(writer)
        def cycle():
            loop = new_loop()
            loop.run_until_complete(main())
            loop.close()
        def count():
            gc.collect()
            return len(os.listdir("/proc/self/fd")), threading.active_count(), len(gc.get_objects())
        for _ in range(50):
            cycle()
        before = count()
        for _ in range(1000):
            cycle()
        fds, threads, objects = (now - then for now, then in zip(count(), before, strict=True))
        print(fds, threads, "few" if objects < 100 else objects)
        """
    )
    assert finished.lines == ["0 0 few"], finished
