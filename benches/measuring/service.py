"""Servers that some scenarios talk to: started once for a run, in a temporary folder, and gone with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds in which a server has to answer.
READY_S = 30.0


class ServiceMissing(Exception):
    """A server that cannot be had here; the message says why."""


@contextmanager
def service(name: str) -> Iterator[str]:
    """Starts `redis` or `postgres`, gives its address, and ends it.

    Raises:
        ServiceMissing: the program is not installed, or does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"maypole-bench-{name}-"))
    try:
        with {"redis": redis, "postgres": postgres}[name](folder) as address:
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis server on a Unix socket, without persistence."""
    program = find("redis-server")
    path = folder / "redis.sock"
    words = [
        program,
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    with running(words, path, None):
        yield f"unix://{path}"


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A Postgres server on a Unix socket, with a new and empty cluster."""
    program = find("postgres")
    user = ordinary_user()
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"
    words = [sibling(program, "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync"]
    made = subprocess.run(
        words, capture_output=True, text=True, timeout=60, user=user and user.pw_uid, cwd=folder
    )
    if made.returncode:
        raise ServiceMissing(f"initdb failed: {made.stderr.strip().splitlines()[-1:]}")
    words = [program, "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    with running(words, folder / ".s.PGSQL.5432", user):
        yield f"postgresql://bench@/postgres?host={folder}"


@contextmanager
def running(words: list[str], socket: Path, user: pwd.struct_passwd | None) -> Iterator[None]:
    """Runs a server while the block runs; it is ready when its socket exists."""
    log = socket.parent / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user and user.pw_uid,
            cwd=socket.parent,
        )
        try:
            deadline = time.monotonic() + READY_S
            while not socket.exists():
                if server.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text(errors="replace").strip().splitlines()
                    raise ServiceMissing(
                        f"{words[0]} did not start: {said[-1] if said else 'it said nothing'}"
                    )
                time.sleep(0.05)
            # A socket is there a moment before it is answered.
            time.sleep(0.5)
            yield
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def find(program: str) -> str:
    """Where a program is.

    Raises:
        ServiceMissing: it is not installed.
    """
    found = shutil.which(program)
    if found is None:
        raise ServiceMissing(f"{program} is not on PATH")
    return found


def sibling(program: str, name: str) -> str:
    """Another program of the same installation."""
    beside = Path(program).resolve().parent / name
    return str(beside) if beside.exists() else find(name)


def ordinary_user() -> pwd.struct_passwd | None:
    """Whom a server runs as that refuses to run as root; None when we are not root.

    Raises:
        ServiceMissing: there is no ordinary user to run as.
    """
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceMissing("Postgres refuses to run as root, and there is no other user")
