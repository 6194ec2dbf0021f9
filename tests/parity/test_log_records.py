"""What Python says about awaitables that were forgotten: the same records and warnings as on asyncio."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import warnings

import pytest
from harness.children import RunScript
from harness.children import run_script as run_on
from harness.kinds import ASYNCIO, Loop, LoopKind, NewLoop
from harness.outcome import SameAsAsyncio, plain

SCRIPTS = {
    "a coroutine is never awaited": """
        async def forgotten(): pass
        async def main():
            forgotten()
        asyncio.Runner(loop_factory=new_loop).run(main())
    """,
    "an exception is never retrieved": """
        async def fails(): raise ValueError("lost")
        async def main():
            task = asyncio.create_task(fails(), name="failing")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        asyncio.Runner(loop_factory=new_loop).run(main())
    """,
    "a future's exception is never retrieved": """
        async def main():
            asyncio.get_running_loop().create_future().set_exception(KeyError("lost"))
        asyncio.Runner(loop_factory=new_loop).run(main())
    """,
    "a task is destroyed while it is pending": """
        import gc
        async def waits(): await loop.create_future()
        loop = new_loop()
        task = loop.create_task(waits(), name="pending")
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        del task, loop
        gc.collect()
    """,
    "a task never started": """
        import gc
        async def never(): pass
        loop = new_loop()
        task = loop.create_task(never(), name="never started")
        loop.close()
        del task, loop
        gc.collect()
    """,
    "an unhandled exception at the top": """
        async def main(): raise LookupError("at the top")
        asyncio.Runner(loop_factory=new_loop).run(main())
    """,
    "sys.exit in a task": """
        async def main(): sys.exit(7)
        asyncio.Runner(loop_factory=new_loop).run(main())
    """,
    "sys.exit in a callback": """
        loop = new_loop()
        loop.call_soon(sys.exit, 5)
        loop.run_forever()
    """,
    "a loop that is not closed": """
        import gc
        loop = new_loop()
        del loop
        gc.collect()
    """,
    "a blocking step in debug mode": """
        import logging, time
        logging.basicConfig()
        async def main():
            time.sleep(0.2)
        with asyncio.Runner(loop_factory=new_loop, debug=True) as runner:
            runner.run(main())
    """,
}

# Where asyncio's own frames and maypole's differ: a traceback names other files below the user's.
FRAME = re.compile(r'^ *File ".*", line .*\n(?: {4}.*\n)+', re.MULTILINE)
SECONDS = re.compile(r"\d+\.\d+ seconds")


def said(text: str) -> list[str]:
    """The lines of standard error without frames, addresses, durations and the name of the loop's class."""
    return [
        line for line in SECONDS.sub("… seconds", FRAME.sub("", plain(text))).splitlines() if line.strip()
    ]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("setting", ["default", "error"])
def test_scripts_end_with_the_same_words_as_on_asyncio(
    loop_kind: LoopKind, script: str, setting: str
) -> None:
    expected = run_on(ASYNCIO, script, PYTHONWARNINGS=setting, MAYPOLE_TEST_MODE="")
    found = run_on(loop_kind, script, PYTHONWARNINGS=setting)
    assert (said(found.err), found.out, found.exit_code) == (
        said(expected.err),
        expected.out,
        expected.exit_code,
    )


def test_nothing_is_said_about_a_clean_program(run_script: RunScript) -> None:
    finished = run_script(
        """
        async def main():
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(10)))
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
        PYTHONWARNINGS="error",
        PYTHONDEVMODE="1",
    )
    assert (finished.out, finished.err, finished.exit_code) == ("", "", 0)


def test_a_transport_that_is_not_closed_is_warned_about(new_loop: NewLoop) -> None:
    async def main() -> socket.socket:
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        return theirs

    loop = new_loop()
    theirs = loop.run_until_complete(main())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.close()
        gc.collect()
    theirs.close()
    assert any("unclosed transport <" in str(warning.message) for warning in caught)


@pytest.mark.debug
def test_the_record_of_a_lost_exception_is_that_of_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> None:
        async def fails() -> None:
            raise ValueError("lost")

        async def main() -> None:
            task = loop.create_task(fails(), name="failing")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            del task
            gc.collect()

        loop.run_until_complete(main())

    gc.collect()  # what earlier tests left behind is not to be told here
    assert same_as_asyncio(scenario).logged
