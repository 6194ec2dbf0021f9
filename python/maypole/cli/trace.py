"""``maypole trace``: run a program and write down what its loops do, or look at one that runs already."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from maypole.cli import run
from maypole.cli.live import Where, ask, process

if TYPE_CHECKING:
    from maypole.trace.recording.outputs import Outputs

USAGE = """%(prog)s [-h] [-o PAGE] [--perfetto FILE] [--json FILE] [--capacity N]
                     [--clock {monotonic,virtual}] (FILE | -m MODULE) [ARGS ...]
       %(prog)s [-o PAGE] [--perfetto FILE] [--json FILE] [--capacity N] --attach PID [--seconds S]"""
DEFAULT_PAGE = "trace.html"
SECONDS = 5.0


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = verbs.add_parser(
        "trace",
        help="run a program and write the timeline of its loops",
        usage=USAGE,
        description="Run a program as maypole run does, and write down what its loops do: a page that opens"
        " from disk, a trace for Perfetto, a JSON document. With --attach the program runs already.",
        epilog="The outputs may be named behind the program's arguments too; after -- all is the program's.",
    )
    parser.add_argument("-o", "--output", metavar="PAGE", help=f"the timeline page ({DEFAULT_PAGE})")
    parser.add_argument("--perfetto", metavar="FILE", help="a trace that Perfetto opens")
    parser.add_argument("--json", metavar="FILE", help="the trace itself, in maypole's format")
    parser.add_argument(
        "--capacity", type=_capacity, metavar="N", help="how many events are kept of each loop (1,000,000)"
    )
    parser.add_argument("--clock", choices=("monotonic", "virtual"), default="monotonic", help="as for run")
    parser.add_argument("--attach", type=process, metavar="PID", help="record a program that runs already")
    parser.add_argument("--seconds", type=_seconds, metavar="S", help=f"how long to record it ({SECONDS:g})")
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))


def _capacity(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 100_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events between 1 and 100,000,000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and at most 600")
    return value


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from maypole.trace.recording.one_loop import CAPACITY
    from maypole.trace.recording.outputs import Outputs

    if arguments.attach is not None and arguments.target:
        parser.error("with --attach there is no program to run")
    if arguments.attach is None:
        run.check_target(parser, arguments.target)
        if arguments.seconds is not None:
            parser.error("--seconds goes with --attach")
    page = arguments.output
    if page is None and arguments.perfetto is None and arguments.json is None:
        page = DEFAULT_PAGE
    try:
        outputs = Outputs(page=page, perfetto=arguments.perfetto, document=arguments.json)
    except OSError as error:
        _say(f"cannot write {error.filename}: {error.strerror}")
        return 2
    capacity = arguments.capacity or CAPACITY
    if arguments.attach is not None:
        return _attach(arguments.attach, arguments.seconds or SECONDS, capacity, outputs)
    _run_and_record(arguments.target, arguments.clock, capacity, outputs)
    return 0


def _run_and_record(target: list[str], clock: str, capacity: int, outputs: Outputs) -> None:
    from maypole.trace.recording.whole_program import WholeProgram

    run.use_maypole(clock)
    recording = WholeProgram(capacity, lambda document, loops: _save(document, loops, outputs))
    try:
        run.run_program(target)
    except SystemExit:
        recording.ended = "exited"
        raise
    except BaseException:
        recording.ended = "raised"
        raise


def _attach(where: Where, seconds: float, capacity: int, outputs: Outputs) -> int:
    from maypole.trace.recording.documents import merged_as_they_are

    answer = ask("trace", where, "trace", wait_s=seconds, seconds=seconds, capacity=capacity)
    if answer is None:
        return 1
    document = merged_as_they_are(answer["documents"])
    return 0 if _save(document, len(answer["documents"]), outputs) else 1


def _save(document: bytes, loops: int, outputs: Outputs) -> bool:
    """Write the files and say on standard error what is in them; nothing that goes wrong ends the program."""
    if not loops:
        _say("no loop of maypole ran: there is nothing to see")
    written = True
    for found in outputs.write(document):
        if isinstance(found, OSError):
            written = False
            _say(f"cannot write {found.filename}: {found.strerror}")
        else:
            _say(f"wrote {found}")
    if loops:
        for line in _summary(document):
            _say(line)
    return written


def _summary(document: bytes) -> list[str]:
    from maypole.trace.recording.summary import summary

    try:
        return summary(document)
    except Exception as error:  # the program's end is not to be disturbed
        return [f"there is no summary: {type(error).__name__}: {error}"]


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error may be closed or full
        print(f"maypole trace: {text}", file=sys.stderr, flush=True)
