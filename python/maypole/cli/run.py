"""``maypole run``: any program, as ``python`` runs it, with maypole behind ``asyncio.run``.

Invariant: what the program sees of its start (``sys.argv``, ``sys.path[0]``, ``__main__``) and what the user
sees of its end (exit code, traceback) is what ``python`` would have shown.
"""

from __future__ import annotations

import functools
import os
import pkgutil
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import maypole
from maypole import versions
from maypole.attendants import OFF
from maypole.cli.traceback_trim import trim

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import TracebackType

USAGE = "%(prog)s [-h] [--clock {monotonic,virtual}] [--agent] (FILE | -m MODULE) [ARGS ...]"


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = verbs.add_parser(
        "run",
        help="run a program on maypole",
        usage=USAGE,
        description="Run a program as python does; its asyncio.run(...) uses maypole.",
        epilog="FILE is a script, a folder or zip file with a __main__.py, or - for standard input.",
    )
    parser.add_argument(
        "--clock",
        choices=("monotonic", "virtual"),
        default="monotonic",
        help="virtual: waiting takes no time, and the time module's clocks follow",
    )
    parser.add_argument(
        "--agent",
        action="store_true",
        help="let maypole top, tree and trace --attach look into the program, as MAYPOLE_AGENT=1 does",
    )
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    target: list[str] = arguments.target
    check_target(parser, target)
    if arguments.agent and os.environ.get("MAYPOLE_AGENT", "") in OFF:
        os.environ["MAYPOLE_AGENT"] = "1"  # for the program's children too, as if it had been set outside
    use_maypole(arguments.clock)
    run_program(target)
    return 0


def check_target(parser: argparse.ArgumentParser, target: list[str]) -> None:
    """End the command with a sentence if no program is named."""
    if not target:
        parser.error("FILE or -m MODULE is needed")
    if target == ["-m"]:
        parser.error("Argument expected for the -m option")


def run_program(target: list[str]) -> None:
    """Run a script or ``-m MODULE`` with its arguments, to its end.

    Raises:
        BaseException: what the program raises; the interpreter is made to report it without our frames.
    """
    try:
        if target[0] == "-m":
            _run_module(target[1], target[2:])
        else:
            _run_path(target[0], target[1:])
    except SystemExit:
        raise
    except BaseException:
        # The interpreter itself reports it, sets the exit code and, for Ctrl-C, ends by the signal.
        sys.excepthook = functools.partial(_report_without_us, sys.excepthook)
        raise


def use_maypole(clock: str) -> None:
    """Make maypole the default until the process ends: threads and exit functions may outlive the script."""
    if clock == "monotonic":
        versions.make_default(maypole.new_event_loop)
        return
    from maypole.testing import VirtualClock

    virtual = VirtualClock()
    versions.make_default(virtual.new_event_loop)
    virtual.time_module().__enter__()


def _run_module(name: str, args: list[str]) -> None:
    sys.argv = ["-m", *args]  # the module's file takes the place of -m once it is found
    _set_first_path(os.getcwd())
    _fresh_main()
    # The function behind python -m; it knows every message that goes with it.
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def _run_path(path: str, args: list[str]) -> None:
    sys.argv = [path, *args]
    absolute = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    if path != "-" and pkgutil.get_importer(absolute) is not None:
        _set_first_path(absolute)
        _fresh_main()
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return
    if path == "-":
        _set_first_path("")
        code = compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True)
        _execute("<stdin>", code, BuiltinImporter)
        return
    code = _read_code(absolute)
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    loader = SourcelessFileLoader if absolute.endswith(".pyc") else SourceFileLoader
    _execute(absolute, code, loader("__main__", absolute))


def _execute(file: str, code: CodeType, loader: object) -> None:
    main = _fresh_main()
    main.__dict__.update(__file__=file, __loader__=loader)
    exec(code, main.__dict__)


def _read_code(path: str) -> CodeType:
    """Read a script, compiled or not.

    Raises:
        SystemExit: 2, after python's own message, when the file cannot be opened.
        SyntaxError: as the file is.
    """
    try:
        with open(path, "rb") as file:
            compiled = pkgutil.read_code(file) if path.endswith(".pyc") else None
            return compiled or compile(file.read(), path, "exec", dont_inherit=True)
    except OSError as error:
        program = sys.orig_argv[0] if sys.orig_argv else sys.executable
        print(f"{program}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None


def _set_first_path(folder: str) -> None:
    """Put the program's folder where ours stands in ``sys.path``."""
    if sys.flags.safe_path:
        return
    sys.path[0] = folder


_replaced_main: list[ModuleType] = []


def _fresh_main() -> ModuleType:
    """Make the module that the program is; the one that it replaces lives on, as our own frames use it."""
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], **versions.MAIN_FIELDS)
    _replaced_main.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    return main


def _report_without_us(
    hook: Callable[[type[BaseException], BaseException, TracebackType | None], object],
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    trim(error)
    hook(kind, error, error.__traceback__)
