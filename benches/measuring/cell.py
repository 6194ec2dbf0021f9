"""One cell of the table: one scenario on one contestant, once, in fresh processes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring.process import ProcessFailed, Started, whole_life

if TYPE_CHECKING:
    from measuring.contestant import Contestant
    from measuring.scenario import Load, Scenario

HERE = Path(__file__).resolve().parent.parent
CHILD = HERE / "measuring" / "child.py"
AUTHORITY = HERE / "scenarios" / "certificates" / "ca.pem"
#: Seconds in which a server has to listen.
READY_S = 15.0
#: How long a load generator with a CPU of its own stays awake: longer than any reply should take. A sleeping
#: client would have to be woken by the server, and the server's CPU time would include it.
SPIN_US = 5_000
#: Requests before the measured ones, as a share of them.
WARM_SHARE = 10


@dataclass(frozen=True)
class Settings:
    """What holds for every cell of a run.

    Args:
        python: the interpreter of the measured processes.
        load_folder: where the load generator and the floor servers are, or None when they could not be built.
        scale: factor on every scenario's number of operations.
        pinned: whether server and load generator get a CPU each.
        services: addresses of the servers that were started, by name; a reason instead when one is missing.
    """

    python: str
    load_folder: Path | None
    scale: float = 1.0
    pinned: bool = True
    services: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What one cell gave.

    Args:
        status: `ok`, `failed` (it ran and went wrong), `unsupported` (the loop says so itself), `not run`
            (something the scenario needs is missing) or `does not apply`.
        reason: why it is not `ok`.
        metrics: the process's value of each metric: the median of its samples.
        samples: every sample.
        said: what the measured process wrote to standard error although it succeeded.
    """

    status: str
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    samples: list[dict[str, float]] = field(default_factory=list)
    said: str = ""


def measure(scenario: Scenario, contestant: Contestant, settings: Settings) -> Outcome:
    """Measures one cell; never raises for what the contestant does."""
    if (contestant.is_floor and not scenario.floor) or (contestant.native and not scenario.uses):
        return Outcome("does not apply")
    reason = why_not(scenario, settings)
    if reason:
        return Outcome("not run", reason)
    try:
        if scenario.program:
            return of_samples(run_program(scenario, contestant, settings))
        if scenario.load:
            return run_served(scenario, scenario.load, contestant, settings)
        return run_inside(scenario, contestant, settings)
    except ProcessFailed as error:
        # The one word a loop has for what it does not offer; everything else went wrong.
        return Outcome("unsupported" if "NotImplementedError" in str(error) else "failed", str(error))


def why_not(scenario: Scenario, settings: Settings) -> str:
    """What a scenario needs and has not, or an empty string."""
    if scenario.load and settings.load_folder is None:
        return "the load generator is not built"
    if scenario.service and scenario.service not in settings.services:
        return settings.missing.get(scenario.service, f"no {scenario.service} server")
    return ""


def of_samples(samples: list[dict[str, float]], said: str = "") -> Outcome:
    """The outcome of a cell that succeeded."""
    metrics = {name: statistics.median(one[name] for one in samples) for name in samples[0]}
    return Outcome("ok", "", metrics, samples, said)


def child_words(scenario: Scenario, contestant: Contestant, settings: Settings, **more: Any) -> list[str]:
    """The command line of a measured Python process."""
    request = {
        "scenario": scenario.name,
        "factory": contestant.factory,
        "native": contestant.native,
        "scale": settings.scale,
        "limit_s": scenario.limit_s,
        "address": "",
        "service": settings.services.get(scenario.service or "", ""),
        **more,
    }
    return [settings.python, str(CHILD), json.dumps(request)]


def run_inside(scenario: Scenario, contestant: Contestant, settings: Settings) -> Outcome:
    """A scenario that is measured by its own process."""
    with Started(child_words(scenario, contestant, settings)) as child:
        answer = child.finish(scenario.limit_s)
        return of_samples(answer["samples"], child.errors())


def run_program(scenario: Scenario, contestant: Contestant, settings: Settings) -> list[dict[str, float]]:
    """A scenario that is a whole process; the first of its runs fills the file cache and is dropped."""
    words = [settings.python, str(HERE / "scenarios" / str(scenario.program)), contestant.factory]
    runs = [whole_life(words, scenario.limit_s) for _ in range(1 + scenario.samples)]
    return runs[1:]


def run_served(scenario: Scenario, load: Load, contestant: Contestant, settings: Settings) -> Outcome:
    """A scenario that is a server under load."""
    folder = Path(tempfile.mkdtemp(prefix="maypole-bench-"))
    address = address_for(load, folder)
    wanted = max(load.connections, round(scenario.count * settings.scale))
    server_cpus, load_cpus = split_cpus() if settings.pinned else (None, None)
    try:
        with Started(server_words(scenario, contestant, settings, address), server_cpus) as server:
            pid = server.line(READY_S)["pid"]
            spin_us = SPIN_US if load_cpus else 0
            words = load_words(scenario, load, settings, address, requests=wanted, pid=pid, spin_us=spin_us)
            with Started(words, load_cpus) as generator:
                try:
                    report = generator.finish(scenario.limit_s)
                except ProcessFailed as error:
                    server.stop()
                    raise ProcessFailed(f"{error}; {server.failure()}") from error
            server.stop()
            return of_report(report, wanted, server.errors())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def address_for(load: Load, folder: Path) -> str:
    """Where a server is to listen: a socket in `folder`, or a free port."""
    return f"unix:{folder / 'echo.sock'}" if load.over == "unix" else f"tcp:127.0.0.1:{free_port(load.mode)}"


def server_words(
    scenario: Scenario, contestant: Contestant, settings: Settings, address: str, **more: Any
) -> list[str]:
    """The command line of the server under load."""
    if contestant.is_floor:
        limit_s = more.get("limit_s", scenario.limit_s)
        return [str(program(settings, contestant.name)), address, str(int(limit_s))]
    return child_words(scenario, contestant, settings, address=address, **more)


def program(settings: Settings, name: str) -> Path:
    """One of the programs that come with the load generator.

    Raises:
        ProcessFailed: they were not built.
    """
    if settings.load_folder is None:
        raise ProcessFailed("the load generator is not built")
    return settings.load_folder / name


def load_words(
    scenario: Scenario,
    load: Load,
    settings: Settings,
    address: str,
    *,
    requests: int,
    warmup: int | None = None,
    pid: int | None = None,
    limit_s: float | None = None,
    spin_us: int = 0,
) -> list[str]:
    """The command line of the load generator."""
    options: dict[str, object] = {
        "size": load.size,
        "connections": load.connections,
        "idle": load.idle,
        "requests": requests,
        "warmup": max(load.connections, requests // WARM_SHARE) if warmup is None else warmup,
        "path": load.path,
        "spin-us": spin_us,
        "timeout-s": max(1, int(limit_s or scenario.limit_s) - 5),
    }
    if pid is not None:
        options["server-pid"] = pid
    if load.over == "tls":
        options["tls-authority"] = AUTHORITY
    words = [str(program(settings, "maypole-load")), load.mode, address]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words


def of_report(report: dict[str, Any], wanted: int, said: str) -> Outcome:
    """The outcome that the load generator's report stands for."""
    if report["errors"] or report["timed_out"] or report["requests"] != wanted:
        late = "the time ran out; " if report["timed_out"] else ""
        first = report["first_error"] or "no error seen"
        return Outcome(
            "failed", f"{late}{report['requests']} of {wanted} answered, {report['errors']} errors: {first}"
        )
    metrics = {
        "cpu_ns": report["server_cpu_ns"] / wanted,
        "wall_ns": report["wall_ns"] / wanted,
        "latency_p50_ns": report["latency_p50_ns"],
        "latency_p99_ns": report["latency_p99_ns"],
        "resent": report["resent"],
    }
    if report["server_bytes_connected"] is not None and report["connections"]:
        grown = report["server_bytes_connected"] - report["server_bytes_before"]
        metrics["bytes"] = grown / report["connections"]
    if report["left_open"]:
        said += f"\nleft {report['left_open']} connections open after the client's end"
    return of_samples([metrics], said)


def split_cpus() -> tuple[set[int] | None, set[int] | None]:
    """One CPU for the server and another for the load generator; nothing when there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return ({allowed[0]}, {allowed[-1]}) if len(allowed) > 1 else (None, None)


_last_port = 20_000


def free_port(mode: str) -> int:
    """A port nobody uses, below the range the kernel takes clients' ports from, and another each time.

    Raises:
        ProcessFailed: none is free.
    """
    global _last_port
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    kind = socket.SOCK_DGRAM if mode == "udp" else socket.SOCK_STREAM
    for _ in range(1000):
        _last_port = _last_port + 1 if _last_port + 1 < min(lowest, 32_000) else 20_001
        with socket.socket(socket.AF_INET, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", _last_port))
            except OSError:
                continue
            return _last_port
    raise ProcessFailed("no free port below the ephemeral range")
