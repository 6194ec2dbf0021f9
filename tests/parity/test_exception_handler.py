"""What happens to exceptions that nobody catches: the handler, the log, and what ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio, plain


def fail(error: BaseException) -> None:
    raise error


def contexts_of(loop: Loop) -> list[dict[str, Any]]:
    """Give the loop a handler that keeps every context."""
    found: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    return found


@pytest.mark.debug
def test_the_context_of_a_failed_callback_is_that_of_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> list[list[str]]:
        contexts = contexts_of(loop)
        loop.call_soon(fail, ValueError("soon"))
        loop.call_later(0, fail, LookupError("later"))
        loop.call_later(0.002, loop.stop)
        loop.run_forever()
        return [
            [f"{key}={plain(repr(value))}" for key, value in context.items() if key != "source_traceback"]
            for context in contexts
        ]

    same_as_asyncio(scenario)


@pytest.mark.debug
def test_the_default_handler_logs_what_asyncio_logs(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> None:
        loop.call_soon(fail, ValueError("unhandled"))
        run_once(loop)

    assert same_as_asyncio(scenario).logged


def test_the_loop_goes_on_after_a_failed_callback(loop: Loop) -> None:
    contexts = contexts_of(loop)
    seen: list[str] = []
    loop.call_soon(fail, ValueError())
    loop.call_soon(seen.append, "next")
    run_once(loop)
    assert seen == ["next"]
    assert len(contexts) == 1


def test_the_handler_gets_the_loop_and_can_be_taken_away(loop: Loop) -> None:
    seen: list[Loop] = []

    def handler(where: Loop, context: dict[str, Any]) -> None:
        seen.append(where)

    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    loop.call_soon(fail, ValueError())
    run_once(loop)
    assert seen == [loop]
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None


@pytest.mark.debug
def test_a_handler_that_fails_is_logged_as_in_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def handler(_: Loop, context: dict[str, Any]) -> None:
        raise ZeroDivisionError("in the handler")

    def scenario(loop: Loop) -> None:
        loop.set_exception_handler(handler)
        loop.call_soon(fail, ValueError("first"))
        run_once(loop)

    assert same_as_asyncio(scenario).logged


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["callback", "timer", "task", "handler"])
def test_exit_and_interrupt_end_the_run_and_lose_nothing(
    same_as_asyncio: SameAsAsyncio, where: str, kind: type[BaseException]
) -> None:
    def scenario(loop: Loop) -> list[str]:
        error = kind(3)

        async def main() -> None:
            fail(error)

        def handler(_: Loop, context: dict[str, Any]) -> None:
            raise error

        seen: list[str] = []
        task = None
        if where == "callback":
            loop.call_soon(fail, error)
        elif where == "timer":
            loop.call_later(-1, fail, error)
        elif where == "task":
            task = loop.create_task(main())
        else:
            loop.set_exception_handler(handler)
            loop.call_soon(fail, ValueError())
        loop.call_soon(seen.append, "behind")
        loop.call_later(0.002, loop.stop)
        try:
            loop.run_forever()
        except BaseException as caught:
            seen.append(repr(caught))
        if task is not None:
            task.exception()
        loop.set_exception_handler(None)
        for _ in range(3):
            run_once(loop)
        return [*sorted(seen), f"running={loop.is_running()}"]

    same_as_asyncio(scenario)


BASE_ERRORS = [
    asyncio.CancelledError("odd"),
    GeneratorExit(),
    StopIteration(1),
    BaseExceptionGroup("g", [KeyError()]),
]


@pytest.mark.parametrize("error", BASE_ERRORS, ids=repr)
def test_odd_exceptions_of_a_callback_are_treated_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, error: Callable[[], BaseException]
) -> None:
    def scenario(loop: Loop) -> None:
        loop.call_soon(fail, error())
        run_once(loop)

    same_as_asyncio(scenario)


CALLS: dict[str, Callable[[Loop], Any]] = {
    "handler that is no callable": lambda loop: loop.set_exception_handler(3),  # type: ignore[arg-type]
    "context of a wrong type": lambda loop: loop.call_exception_handler(None),  # type: ignore[arg-type]
    "context without a message": lambda loop: loop.call_exception_handler({}),
    "message alone": lambda loop: loop.call_exception_handler({"message": "spoken"}),
    "default handler": lambda loop: loop.default_exception_handler({"message": "m", "other": [1]}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_handler_calls_do_what_they_do_in_asyncio(
    same_as_asyncio: SameAsAsyncio, call: Callable[[Loop], Any]
) -> None:
    same_as_asyncio(call)


def test_the_handler_runs_in_the_context_of_the_callback_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio,
) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def scenario(loop: Loop) -> list[str]:
        seen: list[str] = []
        loop.set_exception_handler(lambda _, context: seen.append(variable.get()))

        def callback() -> None:
            variable.set("of the callback")
            raise ValueError

        loop.call_soon(callback)
        run_once(loop)
        return seen

    same_as_asyncio(scenario)
