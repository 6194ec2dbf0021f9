"""The agent: a thread that answers questions about the loops of this process, also while they are stuck.

It listens on a Unix socket that only the same user can reach, and only where somebody asked for it:
``maypole.run(..., agent=True)``, ``MAYPOLE_AGENT=1``, ``maypole run --agent``. ``MAYPOLE_AGENT=tcp:PORT``
opens a port on the loopback too, for those who know ``MAYPOLE_AGENT_TOKEN``. One line of JSON is a request,
one is its answer.

- `serving`: an agent for one loop; `attend`: for every loop, as ``MAYPOLE_AGENT`` asks for it;
- `server`: the thread and its clients; `place`: where the socket lies;
- `answers`: what is answered;
- `client`: the other end.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from maypole.trace.agent.answers import Answers
from maypole.trace.agent.server import Door, Server

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

__all__ = ["attend", "serving"]

logger = logging.getLogger("maypole")


class _Agent:
    """The one agent of this process, while somebody wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._for_good = False
        self._failed = False
        self._server: Server | None = None
        self._answers = Answers()

    def begin(self, loop: Any) -> None:
        """Serve a loop, and the others with it, until `end` was called as often."""
        with self._lock:
            self._start()
            self._users += 1
        self._answers.add(loop)

    def end(self, loop: Any) -> None:
        """Serve this loop no longer; the last one ends the agent."""
        self._answers.remove(loop)
        with self._lock:
            self._users -= 1
            if not self._users and not self._for_good:
                self._stop()

    def serve_for_good(self, loop: Any) -> None:
        """Serve a loop from now on; a process in which no agent can be has none, and says so once."""
        with self._lock:
            if self._failed:
                return
            try:
                self._start()
            except (OSError, RuntimeError, ValueError) as error:
                self._failed = True
                logger.warning("maypole's agent cannot serve this process: %s", error)
                return
            if not self._for_good:
                self._for_good = True
                atexit.register(self.stop)
        self._answers.add(loop)

    def stop(self) -> None:
        """End the agent, whoever wants it."""
        with self._lock:
            self._stop()

    def forget(self) -> None:
        """Be without an agent in a child of ``fork``: the thread and the socket are the parent's."""
        server, self._server = self._server, None
        self.__init__()  # type: ignore[misc]  # every field as in a new process, the lock too
        if server is not None:
            server.abandon()

    def _start(self) -> None:
        if self._server is None:
            self._server = Server(self._answers.respond, _wanted_door())

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()


TOKEN_LENGTH_MIN = 16


def _wanted_door() -> Door | None:
    """Read from the environment whether a TCP port is asked for.

    Raises:
        ValueError: for a port that is none, or a token that is missing or short.
    """
    kind, _, port = os.environ.get("MAYPOLE_AGENT", "").partition(":")
    if kind != "tcp":
        return None
    if not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"MAYPOLE_AGENT=tcp:PORT needs a port from 0 to 65535, not {port!r}")
    token = os.environ.get("MAYPOLE_AGENT_TOKEN", "")
    if len(token) < TOKEN_LENGTH_MIN:
        raise ValueError(
            "MAYPOLE_AGENT=tcp:PORT needs a secret in MAYPOLE_AGENT_TOKEN,"
            f" of at least {TOKEN_LENGTH_MIN} characters"
        )
    return Door(int(port), token)


_agent = _Agent()
os.register_at_fork(after_in_child=_agent.forget)


@contextlib.contextmanager
def serving(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Serve a loop of maypole while the context lasts.

    Raises:
        OSError: if there is no place for the agent's socket.
        RuntimeError: if no thread can be started.
    """
    _agent.begin(loop)
    try:
        yield
    finally:
        _agent.end(loop)


def attend(loop: asyncio.AbstractEventLoop) -> None:
    """Serve a loop that begins to run, until the process ends."""
    _agent.serve_for_good(loop)
