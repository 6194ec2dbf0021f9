"""Ten thousand open connections on each loop: every byte comes back, and what a connection costs in memory.

    python benches/connections.py               10,000 connections; writes docs/reference/connections.md
    python benches/connections.py --count 500 --loops asyncio,maypole --kinds protocol

Server and clients are processes of their own. Each connection sends 1 KiB that no other sends, first while
they are opened, then three times on all connections at once. The server's resident memory is read before the
first connection and when all are open and have been answered. The exit code is 1 when a byte was missing or a
connection failed on maypole.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from many.client import MESSAGE_BYTES
from measuring.contestant import Contestant, ContestantError, load_factory, parse, version_of

HERE = Path(__file__).resolve().parent
RESULT = HERE.parent / "docs" / "reference" / "connections.md"
LOOPS = "asyncio,uvloop,maypole,maypole+native"
KINDS = {
    "protocol": "echo by `asyncio.Protocol`",
    "streams": "echo by streams",
    "websocket": "FastAPI WebSocket under uvicorn",
}
ROUNDS = 3


@dataclass
class Outcome:
    """What one run came to."""

    bytes_back: int
    errors: list[str]
    kib_each: float
    resident_mib: float

    @property
    def shown(self) -> str:
        """The cell of the table."""
        return f"**failed**: {self.errors[0]}" if self.errors else f"{self.kib_each:.1f}"


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise OSError("smaps_rollup has no Rss line")


def start(module: str, *words: str) -> subprocess.Popen[str]:
    """A process of ours that talks through pipes."""
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def heard(child: subprocess.Popen[str]) -> dict[str, Any]:
    """One JSON object of a client.

    Raises:
        RuntimeError: the client has ended instead.
    """
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(child.communicate()[1].strip()[-300:] or "the process ended")
    found: dict[str, Any] = json.loads(line)
    return found


def run(contestant: Contestant, kind: str, count: int, source: str) -> Outcome:
    """One kind of server on one loop."""
    server = start("many.server", contestant.factory, kind, contestant.native)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        if not port:
            raise RuntimeError(server.communicate()[1].strip()[-300:])
        # What is imported or made once is no connection's.
        exchange(kind, port, min(count, 100), f"{source}1")
        before = resident_bytes(server.pid)
        outcome = exchange(kind, port, count, f"{source}2", server.pid)
        outcome.kib_each = (outcome.resident_mib * 2**20 - before) / count / 1024
        server.kill()
        _, err = server.communicate()
        if err.strip():
            outcome.errors.append(err.strip().splitlines()[-1])
        return outcome
    finally:
        server.kill()
        server.communicate()


def exchange(kind: str, port: str, count: int, source: str, pid: int = 0) -> Outcome:
    """Open the connections, look at the server, exchange on all of them."""
    clients = start("many.client", kind, port, str(count), str(ROUNDS), source)
    try:
        opened = heard(clients)
        resident = resident_bytes(pid) if pid else 0
        assert clients.stdin is not None
        clients.stdin.write("go\n")
        clients.stdin.flush()
        done = heard(clients)
        errors = opened["errors"] + done["errors"]
        expected = count * (ROUNDS + 1) * MESSAGE_BYTES
        if not errors and done["bytes_back"] != expected:
            errors.append(f"{done['bytes_back']} of {expected} bytes came back")
        return Outcome(done["bytes_back"], errors, 0.0, resident / 2**20)
    finally:
        clients.kill()
        clients.communicate()


def table(loops: list[Contestant], found: dict[tuple[str, str], Outcome | str], count: int) -> str:
    """The report as Markdown."""
    lines = [
        f"# {count:,} connections",
        "",
        "Server and clients in separate processes on one machine. Each connection sent 1 KiB that no other",
        f"sends, {ROUNDS + 1} times, {ROUNDS} of them on all connections at once. Where a number stands,",
        "every byte came back and no error was reported. The numbers are KiB of resident memory of the",
        "server for each open connection, without what the kernel keeps for a socket.",
        "",
        "```",
        "python benches/connections.py",
        "```",
        "",
        "| server | " + " | ".join(loop.name for loop in loops) + " |",
        "|---|" + "---:|" * len(loops),
    ]
    for kind, text in KINDS.items():
        cells = [found.get((kind, loop.name)) for loop in loops]
        if any(cell is not None for cell in cells):
            shown = (cell.shown if isinstance(cell, Outcome) else cell or "–" for cell in cells)  # noqa: RUF001
            lines.append(f"| {text} | " + " | ".join(shown) + " |")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = ", ".join(f"{loop.name} {version_of(loop.factory)}".strip() for loop in loops)
    lines += ["", f"{python}, Linux {platform.release()}; {versions}."]
    lines += ["`maypole+native` is maypole's loop with `maypole.start_server` in the place of asyncio's.", ""]
    return "\n".join(lines)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="connections (10000)")
    parser.add_argument("--loops", default=LOOPS, help=f"comma-separated ({LOOPS})")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated: " + ", ".join(KINDS))
    parser.add_argument("--no-write", action="store_true", help="only print")
    arguments = parser.parse_args()
    loops = [parse(name) for name in arguments.loops.split(",")]
    found: dict[tuple[str, str], Outcome | str] = {}
    place = 0
    for kind in arguments.kinds.split(","):
        for loop in loops:
            place += 1
            if loop.native and kind != "streams":
                continue  # the helpers change nothing there
            try:
                load_factory(loop.factory)
                found[kind, loop.name] = run(loop, kind, arguments.count, f"127.0.{place}.")
            except (ContestantError, RuntimeError) as error:
                found[kind, loop.name] = f"not run: {error}"
            print(f"{kind} {loop.name}: {found[kind, loop.name]}", file=sys.stderr, flush=True)
    report = table(loops, found, arguments.count)
    print(report)
    if not arguments.no_write:
        RESULT.write_text(report)
    ours = [outcome for (_, name), outcome in found.items() if name.startswith("maypole")]
    return int(any(isinstance(outcome, str) or outcome.errors for outcome in ours))


if __name__ == "__main__":
    sys.exit(main())
