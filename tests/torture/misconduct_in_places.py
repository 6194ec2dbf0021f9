"""Let user code misbehave in every way in every place, and say what came of it.

Run as ``python -m torture.misconduct_in_places LOOP`` or with places and kinds of misconduct behind it.
Prints one JSON object for each pair, and the pair itself before it begins, so that a process that dies shows
where.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import re
import sys
import threading
import warnings
from typing import Any

from harness.outcome import plain
from torture.misconduct import MISCONDUCTS, Case
from torture.protocol_places import PLACES

PATIENCE_S = 5.0
ARGUMENTS = re.compile(r"\(.*\)")
TRANSPORTS = re.compile(r"\b\w+Transport\.")


class Log(logging.Handler):
    """Notes what the ``asyncio`` logger says."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Closing a transport may reap its child before the watcher does, on any loop.
        if "child process" not in record.getMessage():
            self.lines.append(shown(record.getMessage()))


def shown(text: object) -> str:
    """The first line of a text, without what differs between two runs."""
    return TRANSPORTS.sub("Transport.", plain(str(text)).strip().partition("\n")[0])


def describe(context: dict[str, Any]) -> str:
    """What an exception handler was told."""
    kinds = ", ".join(sorted(set(context) - {"message", "exception", "source_traceback"}))
    # Python 3.11 and 3.12 show the arguments, and among them the transport.
    message = ARGUMENTS.sub("()", shown(context["message"]))
    return f"{message}: {context.get('exception')!r} ({kinds})"


def run(new_loop: Any, place: str, kind: str) -> dict[str, list[str]]:
    """One pair on a loop of its own."""
    loop = new_loop()
    told: list[str] = []
    unraisable: list[str] = []
    log = Log()
    logging.getLogger("asyncio").addHandler(log)
    sys.unraisablehook = lambda given: unraisable.append(repr(given.exc_value))
    threading.excepthook = lambda given: None
    loop.set_exception_handler(lambda _, context: told.append(describe(context)))
    case = Case(loop, MISCONDUCTS[kind])

    async def main() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await PLACES[place](case)

    try:
        try:
            loop.run_until_complete(main())
        except BaseException as error:
            case.seen.append(f"the run ended with {type(error).__name__}: {shown(error)}")
        for _ in range(3):  # what was interrupted may interrupt again
            try:
                loop.run_until_complete(clean_up(case))
                case.seen.append("alive")
                break
            except BaseException as error:
                case.seen.append(f"cleaning up ended with {type(error).__name__}: {shown(error)}")
    finally:
        loop.close()
        case.transport = None
        gc.collect()
        logging.getLogger("asyncio").removeHandler(log)
    return {"seen": case.seen, "told": told, "logged": log.lines, "unraisable": unraisable}


async def clean_up(case: Case) -> None:
    """End what the scenario has left."""
    if case.transport is not None:
        case.transport.abort()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=1)
    others.clear()
    await case.loop.shutdown_asyncgens()
    await case.loop.shutdown_default_executor()
    await asyncio.sleep(0.002)


def main(spec: str, places: list[str], kinds: list[str]) -> None:
    """All pairs."""
    module, _, attribute = spec.partition(":")
    new_loop = getattr(importlib.import_module(module), attribute)
    for place in places:
        for kind in kinds:
            sys.stdout.write(f"{json.dumps([place, kind])}\t")
            sys.stdout.flush()
            sys.stdout.write(f"{json.dumps(run(new_loop, place, kind))}\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("asyncio").propagate = False
    given = sys.argv[2:]
    main(
        sys.argv[1],
        [name for name in PLACES if not given or name in given or not set(given) & set(PLACES)],
        [name for name in MISCONDUCTS if not given or name in given or not set(given) & set(MISCONDUCTS)],
    )
