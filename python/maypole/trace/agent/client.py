"""The other end of an agent's socket: find the process, ask, say in one sentence why that is not possible."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maypole.trace.agent.place import listening_path, peer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TIMEOUT_S = 10.0
"""How long an answer may take; an agent answers at once unless its process is stopped."""

HOW_TO_START = (
    "start it with MAYPOLE_AGENT=1, with `maypole run --agent`, or with maypole.run(..., agent=True)"
)


class AgentError(Exception):
    """There is no answer; the text is the sentence for the user."""


class Agent:
    """A connection to the agent of a process.

    Args:
        where: the number of the process; or its TCP port as (host, port), with the token in
            ``MAYPOLE_AGENT_TOKEN``.

    Raises:
        AgentError: if there is no such process, it belongs to another user, runs no maypole, has no agent, or
            does not answer; if the token is wrong.

    Example:
        >>> Agent(2**22 + 1)
        Traceback (most recent call last):
        maypole.trace.agent.client.AgentError: there is no process 4194305
    """

    def __init__(self, where: int | tuple[str, int]) -> None:
        self._received = bytearray()
        if isinstance(where, tuple):
            self._who = f"the agent at {where[0]}:{where[1]}"
            self._socket = _connect_by_tcp(where, self._who)
            try:
                self.ask("enter", token=os.environ.get("MAYPOLE_AGENT_TOKEN", ""))
            except BaseException:
                self.close()
                raise
        else:
            self._who = f"process {where}"
            self._socket = _connect(where)

    def ask(self, do: str, *, wait_s: float = 0.0, **arguments: object) -> dict[str, Any]:
        """Send a request and return the answer.

        Args:
            do: what is asked: ``hello``, ``metrics``, ``tree`` or ``trace``.
            wait_s: how many seconds the answer takes by its nature.
            arguments: what belongs to the request.

        Raises:
            AgentError: if the answer is a refusal, or there is none.
        """
        line = json.dumps({"do": do, **arguments}).encode() + b"\n"
        try:
            self._socket.settimeout(TIMEOUT_S + wait_s)
            self._socket.sendall(line)
            answer = json.loads(self._line())
        except TimeoutError:
            raise AgentError(
                f"{self._who} does not answer: it is stopped, or C code keeps the interpreter lock"
            ) from None
        except (OSError, ValueError):
            raise AgentError(f"{self._who} has hung up: it has ended, or its agent has") from None
        if not isinstance(answer, dict) or not answer.get("ok"):
            reason = answer.get("error") if isinstance(answer, dict) else None
            raise AgentError(f"{self._who} refuses: {reason}")
        return answer

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            data = self._socket.recv(1 << 20)
            if not data:
                raise ConnectionResetError
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return bytes(line)

    def close(self) -> None:
        """Hang up; a second call does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hang up."""
        self.close()


def _connect(pid: int) -> socket.socket:
    """Reach the agent of a process, and nobody else."""
    _check_process(pid)
    path = listening_path(pid)
    if path is None:
        raise AgentError(_why_silent(pid))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(os.fspath(path))
        except OSError as error:
            raise AgentError(f"the agent of process {pid} cannot be reached: {error.strerror}") from None
        if peer(connection) != (pid, os.geteuid()):
            raise AgentError(f"{path} is not the socket of process {pid}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_by_tcp(address: tuple[str, int], who: str) -> socket.socket:
    try:
        return socket.create_connection(address, TIMEOUT_S)
    except OSError as error:
        raise AgentError(f"{who} cannot be reached: {error.strerror or error}") from None


def _check_process(pid: int) -> None:
    try:
        owner = Path("/proc", str(pid)).stat().st_uid
    except OSError:
        raise AgentError(f"there is no process {pid}") from None
    if owner != os.geteuid():
        raise AgentError(f"process {pid} belongs to another user; only its own user may look into it")


def _why_silent(pid: int) -> str:
    """Say why a process has no socket: it knows nothing of maypole, or has no agent."""
    try:
        maps = Path("/proc", str(pid), "maps").read_text(errors="replace")
    except OSError:
        maps = "/maypole/_maypole."  # not to be read: say what is true in any case
    if "/_maypole." not in maps:
        return f"process {pid} runs no maypole"
    return f"process {pid} has no agent of maypole: {HOW_TO_START}"
