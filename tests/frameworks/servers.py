"""Real servers for the tests: free loopback ports, throw-away data folders, ended by process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.kinds import ASYNCIO, LoopKind

APPS = Path(__file__).resolve().parent / "apps"
START_S = 30


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path, word: str) -> None:
    """Wait until the server takes connections and has logged the word by which it says that it is ready."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            if word in log.read_text():
                return
            time.sleep(0.02)
        except OSError:
            assert process.poll() is None, f"the server ended at once:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"the server does not listen:\n{log.read_text()}"
            time.sleep(0.02)


@contextmanager
def running(
    command: list[str], port: int, log: Path, word: str = "", **arguments: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; then ask it to end, and after a while end it and its workers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **arguments,  # type: ignore[call-overload]
        )
    try:
        wait_until_it_listens(process, port, log, word)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def uvicorn(
    kind: LoopKind, app: str, log: Path, *options: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Serve one of the applications below ``apps`` with uvicorn on this kind of loop."""
    port = free_port()
    loop = "asyncio" if kind == ASYNCIO else kind.spec
    command = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(APPS), "--loop", loop]
    command += ["--port", str(port), "--log-level", "warning", *options]
    with running(command, port, log) as process:
        yield process, port


def find(*names: str) -> str | None:
    """A server's program: on PATH, or where Debian keeps PostgreSQL."""
    folders = [
        *os.environ.get("PATH", "").split(os.pathsep),
        *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
    ]
    return next(
        (found for name in names if (found := shutil.which(name, path=os.pathsep.join(folders)))), None
    )


@contextmanager
def redis_server(program: str) -> Iterator[int]:
    """A Redis without persistence; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with running([*command, "--dir", folder], port, Path(folder) / "log"):
            yield port


def unprivileged_user() -> str | None:
    """PostgreSQL does not run as root: the user to run it as then."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Postgres:
    """A PostgreSQL with one empty database, which can be stopped and started again on its port.

    Attributes:
        url: of the database.
    """

    def __init__(self, postgres: str, initdb: str, folder: str) -> None:
        port, self._user = free_port(), unprivileged_user()
        self._folder, self._port = folder, port
        data = Path(folder) / "data"
        if self._user is not None:
            shutil.chown(folder, self._user)
        options = ["-U", "tester", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [initdb, "-D", str(data), *options],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._user,
            cwd=folder,
        )
        self._command = [postgres, "-D", str(data), "-p", str(port), "-k", folder, "-F"]
        self._command += ["-c", "listen_addresses=127.0.0.1"]
        self.url = f"postgresql://tester@127.0.0.1:{port}/postgres"

    @contextmanager
    def up(self) -> Iterator[str]:
        """Run it until the block ends; then its connections are cut. Its URL."""
        log, ready = Path(self._folder) / "log", "ready to accept connections"
        with running(self._command, self._port, log, ready, user=self._user, cwd=self._folder):
            yield self.url


@contextmanager
def postgres_server(postgres: str, initdb: str) -> Iterator[str]:
    """A PostgreSQL with one empty database; its URL."""
    with tempfile.TemporaryDirectory() as folder, Postgres(postgres, initdb, folder).up() as url:
        yield url
