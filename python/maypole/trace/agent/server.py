"""The thread that answers: one line of JSON in, one line of JSON out, for each client.

Invariant: the thread calls nothing that waits for a loop; it holds no loop alive; and what a client sends or
leaves out costs that client alone.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import os
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maypole.attendants import AttendantThread
from maypole.trace.agent.place import peer, remove_stale, socket_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

logger = logging.getLogger("maypole")

LINE_BYTES_MAX = 65_536
"""The longest request; a client that sends a longer line is sent away."""

CLIENTS_MAX = 32
"""How many clients are served at once; one more is sent away with a sentence."""

PATIENCE_S = 60.0
"""How long a client may leave an answer unread before it is sent away."""

Answer = dict[str, Any] | bytes
"""An object for JSON, or a line of JSON that is made already."""


@dataclass(frozen=True, slots=True)
class Door:
    """A TCP port on the loopback, 0 for any, and the token of those who may come in."""

    port: int
    token: str = field(repr=False)


@dataclass(slots=True)
class Later:
    """An answer that takes time: `finish` makes it at `due_s` (monotonic), or as the client goes."""

    due_s: float
    finish: Callable[[], Answer]


@dataclass(slots=True, eq=False)
class Client:
    """One connection: what it has sent, what it has not read yet, and what it waits for."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    later: Later | None = None
    sent_s: float = 0.0
    closing: bool = False
    trusted: bool = True


class Server:
    """Listens on a private Unix socket and answers, in a thread of its own.

    Args:
        respond: makes the answer to a request, or a `Later`; what it raises becomes an answer.
        door: a TCP port on the loopback that is open too, for those who know the token.

    Raises:
        OSError: if there is no place for the socket, or it cannot be made.
        RuntimeError: if no thread can be started.
    """

    def __init__(
        self, respond: Callable[[Mapping[str, Any]], Answer | Later], door: Door | None = None
    ) -> None:
        self._respond = respond
        self._door = door
        self._selector = selectors.DefaultSelector()
        self._clients: set[Client] = set()
        self._over = False
        self.path: Path = socket_path(os.getpid())
        remove_stale(self.path.parent)
        self._listener = _listen(self.path)
        self._tcp_listener = None if door is None else _listen_on(door.port, self._listener, self.path)
        self._bell, self._ear = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._ear, selectors.EVENT_READ)
        if self._tcp_listener is not None:
            self._selector.register(self._tcp_listener, selectors.EVENT_READ)
        self._thread = AttendantThread(target=self._serve, name="maypole-agent", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self.abandon()
            self.path.unlink(missing_ok=True)
            raise

    def stop(self) -> None:
        """Send all clients away, end the thread and remove the socket."""
        self._over = True
        with contextlib.suppress(OSError):
            self._bell.send(b".")
        self._thread.join()

    def abandon(self) -> None:
        """Close what a child of ``fork`` has inherited; the parent's socket stays where it is."""
        for client in self._clients:
            client.socket.close()
        self._selector.close()
        for one in (self._listener, self._tcp_listener, self._bell, self._ear):
            if one is not None:
                one.close()

    def _serve(self) -> None:
        """Answer until it is over; in the agent's thread."""
        try:
            while not self._over:
                for key, events in self._selector.select(self._pause_s()):
                    if key.fileobj in (self._listener, self._tcp_listener):
                        self._accept(key.fileobj)
                    elif key.data is not None:
                        self._attend(key.data, events)
                self._finish_what_is_due()
        except Exception:
            logger.exception("maypole's agent failed; it answers no more")
        finally:
            self.path.unlink(missing_ok=True)
            for client in tuple(self._clients):
                self._send_away(client)
            self.abandon()

    def _pause_s(self) -> float | None:
        """How long nothing can happen unless a client moves."""
        due = [client.later.due_s for client in self._clients if client.later is not None]
        due += [client.sent_s + PATIENCE_S for client in self._clients if client.unsent]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _finish_what_is_due(self) -> None:
        now = time.monotonic()
        for client in tuple(self._clients):
            if client.later is not None and client.later.due_s <= now:
                later, client.later = client.later, None
                self._send(client, _guarded(later.finish))
                self._take_requests(client)
            elif client.unsent and client.sent_s + PATIENCE_S <= now:
                self._send_away(client)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # the client has gone again, or there is no descriptor left
            time.sleep(0.01)
            return
        connection.setblocking(False)
        client = Client(connection, trusted=listener is self._listener)
        if client.trusted and peer(connection)[1] != os.geteuid():
            connection.close()
            return
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, client)
        if len(self._clients) > CLIENTS_MAX:
            self._refuse(client, f"the agent serves {CLIENTS_MAX} clients already")

    def _attend(self, client: Client, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush(client)
            self._take_requests(client)
        if client in self._clients and events & selectors.EVENT_READ:
            self._receive(client)

    def _receive(self, client: Client) -> None:
        try:
            data = client.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(client.received) > 2 * LINE_BYTES_MAX:  # gone, or asks more than it reads
            self._send_away(client)
            return
        client.received += data
        self._take_requests(client)

    def _take_requests(self, client: Client) -> None:
        """Answer the lines that are there, one after the other; the next when the last answer is read."""
        while client in self._clients and client.later is None and not client.unsent and not client.closing:
            line, end, rest = client.received.partition(b"\n")
            if len(line) > LINE_BYTES_MAX:
                self._refuse(client, f"a request is one line of at most {LINE_BYTES_MAX} bytes")
                return
            if not end:
                return
            client.received = rest
            if not client.trusted:
                self._admit(client, bytes(line))
                continue
            answer = _guarded(lambda line=bytes(line): self._respond(_request(line)))  # type: ignore[misc]
            if isinstance(answer, Later):
                client.later = answer
            else:
                self._send(client, answer)

    def _admit(self, client: Client, line: bytes) -> None:
        """Let a client in whose first request carries the token."""
        with contextlib.suppress(RequestRefused):
            token = _request(line).get("token")
            if self._door is not None and isinstance(token, str):
                client.trusted = hmac.compare_digest(token.encode(), self._door.token.encode())
        if client.trusted:
            self._send(client, {"ok": True})
        else:
            self._refuse(client, "the first request carries the token: MAYPOLE_AGENT_TOKEN")

    def _refuse(self, client: Client, sentence: str) -> None:
        client.closing = True
        self._send(client, {"ok": False, "error": sentence})

    def _send(self, client: Client, answer: Answer | Later) -> None:
        if isinstance(answer, Later):
            raise TypeError("a late answer cannot be late again")
        line = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        client.unsent = memoryview(line + b"\n")
        client.sent_s = time.monotonic()
        self._flush(client)

    def _flush(self, client: Client) -> None:
        """Send what the client takes, and listen to it again once it has taken all."""
        try:
            while client.unsent:
                sent = client.socket.send(client.unsent)
                client.unsent = client.unsent[sent:]
                client.sent_s = time.monotonic()
        except BlockingIOError:
            self._selector.modify(client.socket, selectors.EVENT_WRITE, client)
            return
        except OSError:
            self._send_away(client)
            return
        client.unsent = memoryview(b"")
        if client.closing:
            self._send_away(client)
        else:
            self._selector.modify(client.socket, selectors.EVENT_READ, client)

    def _send_away(self, client: Client) -> None:
        self._clients.discard(client)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client.socket)
        client.socket.close()
        if client.later is not None:
            later, client.later = client.later, None
            _guarded(later.finish)


def _guarded(make: Callable[[], Answer | Later]) -> Answer | Later:
    """Turn what an answer raises into an answer."""
    try:
        return make()
    except RequestRefused as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:
        logger.debug("maypole's agent could not answer", exc_info=True)
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


class RequestRefused(Exception):
    """The request asks for what there is not; the text says it to the client."""


def _request(line: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestRefused("a request is one JSON object on one line") from None
    if not isinstance(request, dict):
        raise RequestRefused("a request is one JSON object on one line")
    return request


def _listen(path: Path) -> socket.socket:
    """Make the socket; nobody else can reach it before its mode is set, as nobody else enters its folder."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(CLIENTS_MAX)
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_on(port: int, unix: socket.socket, path: Path) -> socket.socket:
    """Listen on the loopback too; without it there is no server at all."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(CLIENTS_MAX)
    except BaseException:
        listener.close()
        unix.close()
        path.unlink(missing_ok=True)
        raise
    return listener
