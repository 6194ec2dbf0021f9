"""The native half of maypole: loop, handles, tasks, futures, and the decisions of `maypole.patterns`.

Import from `maypole` and `maypole.patterns` instead: names with an underscore, here and in the classes, are
for the Python half of the package and for CPython's inherited code, and may change with any release.

Times are seconds in `float` on the clock of `Loop.time()`.
"""

import asyncio
import socket
import sys
from asyncio.events import _TaskFactory
from asyncio.tasks import as_completed as as_completed  # these two are the native ones, with the types of
from asyncio.tasks import gather as gather  # their namesakes
from asyncio.transports import _FlowControlMixin
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextvars import Context
from traceback import StackSummary
from types import FrameType, GenericAlias
from typing import (
    Any,
    Generic,
    Literal,
    Self,
    SupportsIndex,
    TextIO,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Unpack,
    final,
    overload,
    type_check_only,
)

from typing_extensions import disjoint_base

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Ts = TypeVarTuple("_Ts")
_Who = TypeVar("_Who")
_BreakerState = Literal["closed", "open", "half_open", "forced_open", "disabled", "metrics_only"]

@type_check_only
class _BuildInfo(TypedDict):
    version: str
    profile: Literal["release", "debug"]
    trained: bool
    python: str
    backend: Literal["epoll"]
    target: str

@type_check_only
class _HasFileno:
    def fileno(self) -> int: ...

def trace_to_perfetto(document: bytes) -> bytes:
    """Turn a trace document into a trace that Perfetto and ``chrome://tracing`` open.

    Args:
        document: one JSON document of the trace format.

    Raises:
        ValueError: for what is no document of this version, with one sentence that says why.
    """

def trace_diagnoses(document: bytes) -> str:
    """Say what a trace document shows, as JSON: tables, worst turns, stalls, lost tasks, Little's law.

    Args:
        document: one JSON document of the trace format.

    Raises:
        ValueError: for what is no document of this version, with one sentence that says why.
    """

def build_info() -> _BuildInfo:
    """Say how the native module was built.

    Returns:
        `version` of maypole, `profile` of the build, `trained` if it was optimised by a
        profile of how it is used, `python` it was built for, `backend` that waits for
        descriptors, `target` as architecture and system.

    Example:
        >>> from maypole._maypole import build_info
        >>> build_info()["backend"]
        'epoll'
    """

def _has_exact_timeouts() -> bool:
    """Say whether the kernel has `epoll_pwait2`, with timeouts in nanoseconds; else they are milliseconds.

    Raises:
        OSError: when no descriptors are left.
    """

def _getaddrinfo_now(
    host: object, port: object, family: object, type: object, proto: object, flags: object, /
) -> Any:
    """Answer as `socket.getaddrinfo` if no server has to be asked.

    Returns:
        The list; None if it needs a thread, NotImplemented if only `socket` can judge the arguments.

    Raises:
        socket.gaierror: if the C library knows no answer.
        UnicodeError: if the host cannot be encoded by IDNA.
    """

def _getnameinfo_now(sockaddr: object, flags: object, /) -> Any:
    """Answer as `socket.getnameinfo` if no server has to be asked; otherwise as `_getaddrinfo_now`."""

def _future_add_to_awaited_by(fut: asyncio.Future[Any], waiter: asyncio.Future[Any], /) -> None:
    """Record that a future is awaited by another one; asyncio's function, which knows native futures too."""

def _future_discard_from_awaited_by(fut: asyncio.Future[Any], waiter: asyncio.Future[Any], /) -> None:
    """Record that a future is awaited by another one no longer."""

def _pending_tasks() -> list[Task[Any]]:
    """List the native tasks that are not done, newest first, whatever loop they belong to."""

@disjoint_base
class Loop:
    """The native half of `maypole.EventLoop`: queue, timers, poller.

    It is a mixin before ``asyncio.SelectorEventLoop`` and no whole loop by itself.

    Raises:
        ValueError: for another clock or implementation of tasks.
        OSError: when descriptors have run out.
    """

    def __new__(
        cls,
        clock: Literal["monotonic", "virtual"] = "monotonic",
        task_impl: Literal["native", "c"] = "native",
    ) -> Self: ...

    # What asyncio documents.

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> Handle:
        """Run ``callback(*args)`` in the next turn, behind what is queued already.

        Args:
            callback: what to call.
            args: its positional arguments.
            context: the context to run it in; None for a copy of the current one.

        Returns:
            The handle that cancels it.

        Raises:
            RuntimeError: if the loop is closed; in debug mode also in a thread that is not the loop's.
            TypeError: in debug mode, if `callback` is a coroutine or cannot be called.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.call_soon
        """

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> Handle:
        """As `call_soon`, from any thread or signal handler; wakes the loop if it waits.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.call_soon_threadsafe
        """

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Run ``callback(*args)`` once, `delay` seconds from now or a little later, never earlier.

        Raises:
            TypeError: if `delay` is None or no number.
            RuntimeError: as `call_soon`.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.call_later
        """

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Run ``callback(*args)`` once, when the loop's clock has reached `when` seconds.

        Timers run in the order of their times, those of one time in the order in which they were set.

        Raises:
            TypeError: if `when` is None or no number.
            RuntimeError: as `call_soon`.

        Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.call_at
        """

    def time(self) -> float:
        """Return the loop's clock in seconds; ``time.monotonic()`` unless the clock is virtual."""

    def create_future(self) -> asyncio.Future[Any]:
        """Return a new pending future of this loop: native, or asyncio's own with ``task_impl="c"``."""

    if sys.version_info >= (3, 14):
        def create_task(
            self,
            coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
            *,
            name: object = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> asyncio.Task[_T]:
            """Run a coroutine as a task.

            The task is native, unless there is a task factory, the loop is in debug mode or was made with
            ``task_impl="c"``.

            Raises:
                RuntimeError: if the loop is closed.
                TypeError: if `coro` is no coroutine.

            Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_task
            """
    else:
        def create_task(
            self,
            coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
            *,
            name: object = None,
            context: Context | None = None,
        ) -> asyncio.Task[_T]:
            """Run a coroutine as a task; see the signature for later Pythons."""

    def stop(self) -> None:
        """Let `run_forever` return after the turn that is under way, or the next one."""

    def is_running(self) -> bool:
        """Say whether the loop runs, in whatever thread."""

    def is_closed(self) -> bool:
        """Say whether the loop was closed."""

    def get_debug(self) -> bool:
        """Say whether the loop is in debug mode."""

    # What the Python half calls.

    def _run_turns(self) -> None:
        """Take turns until `stop`; the heart of `run_forever`.

        Raises:
            BaseException: SystemExit and KeyboardInterrupt of a callback, and what the exception handler lets
            through.
        """

    def _run_once(self) -> None:
        """Take one turn."""

    def _close_native(self) -> None:
        """Give up poller, queue and timers; the loop does not run."""

    def _follow_time(self) -> None:
        """Let the timers follow a `time` that a subclass has replaced."""

    def _watched_fds(self) -> list[int]:
        """List the watched descriptors."""

    def _accept_burst(
        self,
        sock: socket.socket,
        family: int,
        proto: int,
        factory: Callable[[], asyncio.BaseProtocol],
        server: Any,
        context: Context | None,
        transport_class: type[StreamTransport],
        backlog: int,
        /,
    ) -> None:
        """Accept what waits at a listening socket, at most `backlog` connections.

        Raises:
            OSError: for what is wrong with that socket, or when descriptors have run out.
        """

    def _transport_at(self, fd: int, /) -> StreamTransport | None:
        """Return the native transport of a connected stream socket."""

    def _keep_transport(self, fd: int, transport: asyncio.BaseTransport, /) -> bool:
        """Note that a transport has a descriptor; return False if it is no native one with that."""

    def _forget_transport(self, fd: int, /) -> bool:
        """Forget the native transport of a descriptor; return False if there is none."""

    def _transport_fds(self) -> list[int]:
        """List the descriptors of the native transports."""

    def _interest(self, fd: int | _HasFileno, /) -> int:
        """Return the watched events of a descriptor, as the ``selectors`` module numbers them; 0 for none."""

    def _advance_time(self, seconds: float, /) -> None:
        """Move the virtual clock by what a blocking call took.

        Raises:
            RuntimeError: if the clock is not virtual.
        """

    def _permute_ties(self, seed: int, /) -> None:
        """Give equal deadlines and the descriptors of one poll another order, the same one for the same seed.

        Raises:
            RuntimeError: if the clock is not virtual.
        """

    def _metrics(self) -> dict[str, Any]:
        """Return the counters and histograms of the loop, which are always on; times in nanoseconds."""

    def _running_since(self) -> tuple[int, int, Task[Any] | None, int]:
        """Return what runs, for another thread: turn, ns of the batch, the task, ns of the item (0: unknown).

        Task and item are known only while items are stamped.
        """

    def _watch_items(self, on: bool, /) -> None:
        """Stamp the beginning of each item from now on, or stop that."""

    def _trace_number(self, task: object, /) -> int:
        """Return what the recording calls a task; 0 without a recording, and for what is no native task."""

    def _trace_executor(self, future: object, /) -> None:
        """Say that a future is that of a job in an executor: a recording tells waits for it so.

        For what is no native future it does nothing.
        """

    def _set_instrument(self, name: str, function: Callable[..., object] | None, /) -> None:
        """Set the hook of that name, or remove it with None.

        Raises:
            ValueError: if no hook is called so.
        """

    @property
    def _trace_is_on(self) -> bool:
        """Whether the loop is being recorded."""

    def _trace_begin(self, capacity: int, /) -> None:
        """Begin to record at most ``capacity`` events; older ones make room for newer.

        Raises:
            RuntimeError: if the loop is being recorded.
            ValueError: if there is no room for one event.
        """

    def _trace_end(self) -> bytes:
        """Stop recording and return the document of the trace format, with an empty ``program``.

        Raises:
            RuntimeError: if the loop is not being recorded.
        """

    def _trace_now(self) -> int:
        """Return the nanoseconds since the recording began.

        Raises:
            RuntimeError: if the loop is not being recorded.
        """

    def _trace_note(
        self,
        group: str,
        begin_ns: int,
        end_ns: int,
        text: str,
        number: int,
        stack: Iterable[tuple[str, int, str]] | None,
        /,
    ) -> None:
        """Write an event that the Python half saw; without a recording it does nothing.

        Args:
            group: "gc" (number: the generation),
                "executor" (begin_ns: handed in, number: begun, text: its name, a zero
                character, the number of the task that handed it in), "stalls" (text: its kind,
                number: its task's, see `_trace_number`)
                or "marks" (at begin_ns; text: the source, a zero character, the text).

        Raises:
            ValueError: for another group.
        """

    @property
    def _clock(self) -> Literal["monotonic", "virtual"]:
        """The kind of clock."""

    @property
    def _turns(self) -> int:
        """How many turns the loop has begun since it was made."""

    @property
    def _watched(self) -> int:
        """How many descriptors are watched, the wake-up apart."""

    @property
    def _poller_fd(self) -> int:
        """The descriptor of the poller; -1 once the loop is closed."""

    _plain_tasks: bool
    """Whether tasks and futures are asyncio's own."""

    # What CPython's inherited code calls and reads.

    def _add_callback(self, handle: asyncio.Handle) -> None:
        """Queue a handle unless it is cancelled."""

    def _write_to_self(self) -> None:
        """Wake the loop from any thread; does nothing on a closed one."""

    def _add_reader(
        self,
        fd: int | _HasFileno,
        callback: Callable[..., object],
        /,
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call ``callback(*args)`` in every turn in which the descriptor can be read.

        A reader that was there is replaced and cancelled.

        Raises:
            ValueError: for a negative descriptor, or one that is no integer and has no `fileno`.
            OSError: if the kernel refuses the descriptor.
            RuntimeError: if the loop is closed.
        """

    def _add_writer(
        self,
        fd: int | _HasFileno,
        callback: Callable[..., object],
        /,
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As `_add_reader`, for writing."""

    def _until_readable(self, fd: int | _HasFileno, /) -> Coroutine[Any, Any, None]:
        """Await it: returns once the descriptor can be read, has ended or has failed.

        A reader that was there is replaced, and cancelled if it is a handle.

        Raises:
            ValueError: for what is no descriptor.
            OSError: for a descriptor that cannot be watched.
        """

    def _receive_now(self, sock: socket.socket, n: int, /) -> bytes | None:
        """Receive up to `n` bytes, or return None if there is nothing yet, even of a socket that blocks.

        Raises:
            OSError: what the socket answers.
            TypeError, ValueError, OverflowError, MemoryError: for what is no size, as ``sock.recv(n)``.
        """

    def _remove_reader(self, fd: int | _HasFileno, /) -> bool:
        """Stop watching for reading; return whether there was a reader."""

    def _remove_writer(self, fd: int | _HasFileno, /) -> bool:
        """Stop watching for writing; return whether there was a writer."""

    _closed: bool
    _stopping: bool
    _debug: bool
    _thread_id: int | None
    _task_factory: _TaskFactory | None
    @property
    def _ready(self) -> Sequence[asyncio.Handle | Task[Any]]:
        """A copy of the queue; what is assigned is ignored."""
    @_ready.setter
    def _ready(self, value: object, /) -> None: ...
    @property
    def _scheduled(self) -> Sequence[asyncio.TimerHandle]:
        """A copy of the timers, in no order; what is assigned is ignored."""
    @_scheduled.setter
    def _scheduled(self, value: object, /) -> None: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...

class Handle(asyncio.Handle):
    """A callback that a maypole loop will run; an ``asyncio.Handle`` in everything.

    Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.Handle
    """

    def cancel(self) -> None:
        """Cancel the callback; one that is cancelled or was called is left alone."""

    def cancelled(self) -> bool:
        """Say whether the callback was cancelled."""

@disjoint_base
class TimerHandle(asyncio.TimerHandle):
    """A callback that a maypole loop will run at a time; an ``asyncio.TimerHandle`` in everything."""

    def cancel(self) -> None:
        """Cancel the callback; its timer leaves the loop at once."""

    def cancelled(self) -> bool:
        """Say whether the callback was cancelled."""

# Natively a future derives from `object`, and its `__class__` answers `asyncio.Future`, so that `isinstance`
# holds. The stub says what `isinstance` says.
@disjoint_base
class Future(asyncio.Future[_T]):
    """A result that will be there later; asyncio's future, natively.

    Source: https://docs.python.org/3/library/asyncio-future.html#asyncio.Future
    """

    def __init__(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None: ...
    def send(self, value: object, /) -> Any:
        """Go on where the future is awaited; the value is ignored.

        The interpreter calls it where a value is sent into the coroutine or generator that awaits.

        Raises:
            StopIteration: with the result, if there is one.
            BaseException: the one that was set.
        """

    def result(self) -> _T:
        """Return the result.

        Raises:
            InvalidStateError: if the future is pending.
            CancelledError: if it was cancelled.
            BaseException: the one that was set.
        """

    def exception(self) -> BaseException | None:
        """Return the exception, or None if there is a result.

        Raises:
            InvalidStateError: if the future is pending.
            CancelledError: if it was cancelled.
        """

    def set_result(self, result: _T, /) -> None:
        """Finish the future with a result.

        Raises:
            InvalidStateError: if it is done.
        """

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Finish the future with an exception, or an instance of an exception class.

        Raises:
            InvalidStateError: if it is done.
            TypeError: if `exception` is none.
        """

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the future; return False if it is done."""

    def cancelled(self) -> bool:
        """Say whether the future was cancelled."""

    def done(self) -> bool:
        """Say whether the future has a result, an exception, or was cancelled."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the future belongs to."""

    def add_done_callback(self, fn: Callable[[Self], object], /, *, context: Context | None = None) -> None:
        """Call ``fn(future)`` through the loop when the future is done, or soon if it is."""

    def remove_done_callback(self, fn: Callable[[Self], object], /) -> int:
        """Remove every registration of `fn`; return how many there were."""

    def _make_cancelled_error(self) -> asyncio.CancelledError:
        """Make the exception that says why the future was cancelled."""

    def __await__(self) -> Generator[Any, None, _T]: ...
    def __iter__(self) -> Generator[Any, None, _T]: ...
    def __next__(self) -> Self: ...
    def __del__(self) -> None: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    _asyncio_future_blocking: bool
    _cancel_message: Any
    @property
    def _state(self) -> str: ...  # type: ignore[override]  # read-only: asyncio's stub says it can be assigned
    @property
    def _result(self) -> _T | None: ...
    @property
    def _exception(self) -> BaseException | None: ...
    @property
    def _callbacks(self) -> list[tuple[Callable[[Self], Any], Context]]: ...
    @property
    def _asyncio_awaited_by(self) -> frozenset[asyncio.Future[Any]] | None: ...
    @property
    def _loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def _source_traceback(self) -> StackSummary | None: ...
    @property
    def _log_traceback(self) -> bool: ...
    @_log_traceback.setter
    def _log_traceback(self, val: Literal[False], /) -> None: ...

# The two bases do not meet natively; and the variable is covariant as asyncio.Task's is, because `set_result`
# is refused.
@disjoint_base
class Task(Future[_T_co], asyncio.Task[_T_co], Generic[_T_co]):  # type: ignore[type-var,misc]
    """A coroutine that the loop runs; asyncio's task, natively.

    Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.Task
    """

    def __init__(
        self,
        coro: Generator[Any, None, _T_co] | Coroutine[Any, Any, _T_co],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        name: object = None,
        context: Context | None = None,
        eager_start: bool = False,
    ) -> None: ...
    def cancel(self, msg: Any | None = None) -> bool:
        """Have the next step throw `CancelledError` into the coroutine; return False if the task is done."""

    def cancelling(self) -> int:
        """Return how many requests to cancel were not taken back."""

    def uncancel(self) -> int:
        """Take one request to cancel back; return how many are left."""

    def get_name(self) -> str:
        """Return the name, made from a number unless one was given."""

    def set_name(self, value: object, /) -> None:
        """Give the task a name; anything that is no string is converted."""

    def get_coro(self) -> Any:
        """Return the coroutine that the task runs."""

    def get_context(self) -> Context:
        """Return the context that the task runs in."""

    def get_stack(self, *, limit: int | None = None) -> list[FrameType]:
        """Return the frames of the coroutine; of a failed task those of its traceback."""

    def print_stack(self, *, limit: int | None = None, file: TextIO | None = None) -> None:
        """Print the frames of `get_stack` as a traceback is printed."""

    def set_result(self, result: Any, /) -> None:
        """Refuse: a task's result comes from its coroutine.

        Raises:
            RuntimeError: always.
        """

    def set_exception(self, exception: Any, /) -> None:
        """Refuse: a task's exception comes from its coroutine.

        Raises:
            RuntimeError: always.
        """

    def __del__(self) -> None: ...
    _log_destroy_pending: bool
    @property
    def _coro(self) -> Any: ...
    @property
    def _parent(self) -> asyncio.Task[Any] | None:
        """The task that made this one, while it is pending."""

    @property
    def _fut_waiter(self) -> asyncio.Future[Any] | None: ...
    @property
    def _must_cancel(self) -> bool: ...
    @property
    def _num_cancels_requested(self) -> int: ...

@disjoint_base
class StreamTransport(_FlowControlMixin):
    """The native half of `maypole.transports.StreamTransport`: reading and writing.

    Source: https://docs.python.org/3/library/asyncio-protocol.html#transports
    """

    def __new__(
        cls, extra: Mapping[str, Any] | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> Self: ...
    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write bytes; they are sent at the end of the turn at the latest, in the order of the calls.

        Raises:
            TypeError: for anything that is no buffer of bytes.
            RuntimeError: after `write_eof`, or while `sendfile` waits for an empty buffer.
        """

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Write each of them; as `write`."""

    def is_reading(self) -> bool:
        """Say whether the protocol receives."""

    def pause_reading(self) -> None:
        """Receive nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Receive again."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to another protocol."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""

    def is_closing(self) -> bool:
        """Say whether the transport is closing or closed."""

    def close(self) -> None:
        """Stop reading, send what is written, then tell the protocol that the connection is lost."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return an answer about the connection: "socket", "sockname", "peername", or what `extra` held."""

    # What the Python half calls.

    def _begin(
        self,
        loop: Loop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        context: Context | None,
        server: Any,
        /,
    ) -> None:
        """Give the transport its connection; `connection_made` is queued, and then reading.

        Raises:
            RuntimeError: if it has a connection already, or the loop is closed.
            TypeError: if the loop is not maypole's.
        """

    def _force_close(self, exc: BaseException | None, /) -> None:
        """Drop what is not sent; the connection is lost."""

    def _call_connection_lost(self, exc: BaseException | None, /) -> None:
        """Tell the protocol that the connection is lost, and let everything go."""

    def _shut_down(self) -> None:
        """Let the peer read the end of the stream."""

    def _set_limits(self, high: int, low: int, /) -> None:
        """Set the water marks, in bytes."""

    def _flush(self) -> int:
        """Send what can be sent now; return how many bytes are left."""

    def _mark_eof(self) -> bool:
        """Note `write_eof`; return whether everything is sent."""

    def _set_empty_waiter(self, waiter: asyncio.Future[None] | None, /) -> None:
        """Set or clear who is told when everything is sent."""

    _extra: dict[str, Any]
    @property
    def _loop(self) -> Any: ...
    @property
    def _server(self) -> Any: ...
    @property
    def _context(self) -> Context | None: ...
    @property
    def _has_socket(self) -> bool: ...
    @property
    def _sock(self) -> socket.socket | None:
        """The socket object, made now if nobody has asked before; None after the end."""

    @property
    def _protocol(self) -> Any: ...
    @property
    def _sock_fd(self) -> int: ...
    @property
    def _conn_lost(self) -> int: ...
    @property
    def _closing(self) -> bool: ...
    @property
    def _paused(self) -> bool: ...
    @property
    def _eof(self) -> bool: ...
    @property
    def _protocol_paused(self) -> bool: ...
    @property
    def _high_water(self) -> int: ...
    @property
    def _low_water(self) -> int: ...
    @property
    def _empty_waiter(self) -> asyncio.Future[None] | None: ...
    @property
    def _buffer(self) -> list[bytes]:
        """A copy of the chunks that wait to be sent."""

@disjoint_base
class Resolver:
    """The look-ups of one loop that wait for a server, on threads of their own.

    The threads are few, hold nothing of Python, and end when they are idle or the resolver is closed.

    Raises:
        OSError: when descriptors have run out.
    """

    def __new__(cls) -> Self: ...
    def getaddrinfo(
        self,
        future: asyncio.Future[Any],
        host: object,
        port: object,
        family: object,
        type: object,
        proto: object,
        flags: object,
        /,
    ) -> int:
        """Begin a look-up that finishes the future; return its number.

        Raises:
            RuntimeError: if no thread can be started.
        """

    def getnameinfo(self, future: asyncio.Future[Any], sockaddr: object, flags: object, /) -> int:
        """Begin a look-up that finishes the future; return its number."""

    def forget(self, number: int, /) -> None:
        """Give up a look-up: one that has not begun never will."""

    def collect(self) -> None:
        """Finish the futures whose answers have come."""

    def fileno(self) -> int:
        """Return the descriptor that is readable when answers have come; -1 once closed."""

    def close(self) -> None:
        """Let go of threads and futures."""

class TLSTransport:
    """The native half of the transport that an application holds under TLS: writing."""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write bytes; they are encrypted and sent at the end of the turn at the latest.

        Raises:
            TypeError: for anything that is no buffer of bytes.
        """

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Write each of them; as `write`."""

@disjoint_base
class TLSProtocol:
    """The native half of `maypole.transports.tls.SSLProtocol`: the phase in which data flows."""

    def _do_read(self) -> None:
        """Decrypt what has come and give it to the application."""

    def _do_write(self) -> None:
        """Encrypt what the application wrote and send it."""

    def _encrypt(self) -> None:
        """Encrypt what this turn wrote, if the connection is in its data phase."""

    def _process_outgoing(self) -> None:
        """Give what the engine has made to the transport beneath."""

    def _write_appdata(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]], /) -> None:
        """Write a list of bytes."""

    _app_protocol: Any
    _transport: Any
    _incoming: Any
    _outgoing: Any
    _write_backlog: Any
    _state: Any
    _sslobj: Any
    _write_buffer_size: int
    _incoming_high_water: int
    _incoming_low_water: int
    _outgoing_high_water: int
    _outgoing_low_water: int
    _app_protocol_is_buffer: bool
    _app_reading_paused: bool
    _app_writing_paused: bool
    _ssl_reading_paused: bool
    _ssl_writing_paused: bool

@disjoint_base
class DatagramTransport(_FlowControlMixin):
    """The native half of `maypole.transports.DatagramTransport`: receiving and sending.

    Source: https://docs.python.org/3/library/asyncio-protocol.html#datagram-transports
    """

    def __new__(
        cls, extra: Mapping[str, Any] | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> Self: ...
    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """Send a datagram; what the socket does not take waits.

        Raises:
            TypeError: for anything that is no buffer of bytes.
            ValueError: for another address than that of a connected socket.
        """

    def is_reading(self) -> bool:
        """Say whether the protocol receives."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the socket to another protocol."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""

    def is_closing(self) -> bool:
        """Say whether the transport is closing or closed."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the socket has not taken."""

    # What the Python half calls.

    def _begin(
        self,
        loop: Loop,
        fd: int,
        family: int,
        protocol: asyncio.BaseProtocol,
        address: Any,
        connected: bool,
        /,
    ) -> None:
        """Give the transport its socket."""

    def _end(self) -> None:
        """Forget loop and protocol: the socket is closed."""

    def _lose(self) -> None:
        """Drop what is not sent, stop watching, and count the endpoint as lost."""

    def _begin_closing(self) -> bool:
        """Stop receiving; return whether nothing waits to be sent."""

    def _start_reading(self) -> None:
        """Watch for datagrams, unless paused or closing."""

    def _pause_reading(self) -> bool:
        """Stop receiving; return False if that was so already."""

    def _resume_reading(self) -> bool:
        """Receive again; return False if that was so already."""

    def _run_ready(self, reading: bool, /) -> None:
        """Receive, or send what waits, as if the poller had said so."""

    def _set_limits(self, high: int, low: int, /) -> None:
        """Set the water marks, in bytes."""

    _extra: dict[str, Any]
    @property
    def _loop(self) -> Any: ...
    @property
    def _protocol(self) -> Any: ...
    @property
    def _context(self) -> Context | None: ...
    @property
    def _address(self) -> Any: ...
    @property
    def _sock_fd(self) -> int: ...
    @property
    def _conn_lost(self) -> int: ...
    @property
    def _closing(self) -> bool: ...
    @property
    def _paused(self) -> bool: ...
    @property
    def _protocol_paused(self) -> bool: ...
    @property
    def _high_water(self) -> int: ...
    @property
    def _low_water(self) -> int: ...
    @property
    def _buffer(self) -> list[tuple[bytes, Any]]:
        """A copy of the datagrams that wait to be sent, with their addresses."""

# asyncio's helpers. Their methods return an `Operation` where asyncio's are coroutine functions.

@disjoint_base
class Operation(Future[_T], Coroutine[Any, Any, _T]):
    """An operation that can be awaited: a coroutine until it has to wait, a future while it does.

    ``asyncio.create_task`` takes one that has not begun; one that is dropped and was never awaited warns.
    """

    __name__: str
    __qualname__: str
    @property
    def cr_running(self) -> bool: ...
    def send(self, value: Any, /) -> Any:
        """Go on; the value is ignored."""

    def throw(self, type: Any, value: Any = None, traceback: Any = None, /) -> Any:
        """Raise an exception where the await stands."""

    def close(self) -> None:
        """Give the operation up."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the operation; return False if it is done."""

@overload
def sleep(delay: float) -> Operation[None]:
    """Wait so many seconds and return `result`; 0 or less lets everybody else run once.

    Cancel safety: a cancelled sleep takes its timer with it.

    Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.sleep

    Example:
        >>> import maypole
        >>> async def main():
        ...     return await maypole.sleep(0.001, "done")
        >>> maypole.run(main())
        'done'
    """

@overload
def sleep(delay: float, result: _T) -> Operation[_T]: ...

@disjoint_base
class Event:
    """A flag that tasks wait for, as ``asyncio.Event``.

    Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Event
    """

    def __init__(self) -> None: ...
    def is_set(self) -> bool:
        """Say whether the flag is set."""

    def set(self) -> None:
        """Set the flag, and wake everybody who waits for it."""

    def clear(self) -> None:
        """Take the flag back; `wait` waits again."""

    def wait(self) -> Operation[Literal[True]]:
        """Wait until the flag is set."""

    @property
    def _value(self) -> bool: ...
    @property
    def _waiters(self) -> Any: ...
    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None: ...

@disjoint_base
class Lock:
    """A lock for tasks, as ``asyncio.Lock``; it goes to those who wait in the order of their coming.

    Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Lock
    """

    def __init__(self) -> None: ...
    def locked(self) -> bool:
        """Say whether somebody holds the lock."""

    def acquire(self) -> Operation[Literal[True]]:
        """Take the lock, and wait for it if need be. A cancelled wait takes nothing."""

    def release(self) -> None:
        """Give the lock back, and wake the first who waits.

        Raises:
            RuntimeError: if nobody holds it.
        """

    def __aenter__(self) -> Operation[None]: ...
    def __aexit__(self, kind: object, error: object, traceback: object, /) -> Operation[None]: ...
    @property
    def _locked(self) -> bool: ...
    @property
    def _waiters(self) -> Any: ...
    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None: ...

@disjoint_base
class Semaphore:
    """A number of permits for tasks, as ``asyncio.Semaphore``.

    Raises:
        ValueError: for a negative number.

    Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Semaphore
    """

    def __init__(self, value: int = 1) -> None: ...
    def locked(self) -> bool:
        """Say whether `acquire` would wait."""

    def acquire(self) -> Operation[Literal[True]]:
        """Take a permit, and wait for one if need be. A cancelled wait takes nothing."""

    def release(self) -> None:
        """Give a permit back; the first who waits gets it at once."""

    def __aenter__(self) -> Operation[None]: ...
    def __aexit__(self, kind: object, error: object, traceback: object, /) -> Operation[None]: ...
    @property
    def _value(self) -> int: ...
    @property
    def _waiters(self) -> Any: ...
    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None: ...

class BoundedSemaphore(Semaphore):
    """A semaphore that refuses more permits back than it was made with, as ``asyncio.BoundedSemaphore``.

    Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.BoundedSemaphore
    """

    @property
    def _bound_value(self) -> int: ...

@disjoint_base
class Queue(Generic[_T]):
    """A queue of items between tasks, as ``asyncio.Queue``.

    Args:
        maxsize: how many items it holds; 0 or less for any number.

    Source: https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue
    """

    def __init__(self, maxsize: int = 0) -> None: ...
    @property
    def maxsize(self) -> int:
        """How many items the queue holds."""

    def qsize(self) -> int:
        """Return how many items there are."""

    def empty(self) -> bool:
        """Say whether there is no item."""

    def full(self) -> bool:
        """Say whether `put` would wait."""

    def put(self, item: _T) -> Operation[None]:
        """Put an item in, and wait for room if need be. A cancelled wait puts nothing in."""

    def put_nowait(self, item: _T) -> None:
        """Put an item in.

        Raises:
            QueueFull: if there is no room.
        """

    def get(self) -> Operation[_T]:
        """Take an item, and wait for one if need be. A cancelled wait loses none."""

    def get_nowait(self) -> _T:
        """Take an item.

        Raises:
            QueueEmpty: if there is none.
        """

    def join(self) -> Operation[None]:
        """Wait until `task_done` was called for every item."""

    def task_done(self) -> None:
        """Say that an item that was taken is dealt with.

        Raises:
            ValueError: if it was called more often than there were items.
        """

    if sys.version_info >= (3, 13):
        def shutdown(self, immediate: bool = False) -> None:
            """End the queue: `put` raises from now on, and `get` once it is empty, or at once.

            Source: https://docs.python.org/3.13/library/asyncio-queue.html#asyncio.Queue.shutdown
            """

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def _init(self, maxsize: int, /) -> None: ...
    def _get(self) -> _T: ...
    def _put(self, item: _T, /) -> None: ...
    def _format(self) -> str: ...
    def _wakeup_next(self, waiters: Any, /) -> None: ...
    @property
    def _maxsize(self) -> int: ...
    @property
    def _queue(self) -> Any: ...
    @property
    def _getters(self) -> Any: ...
    @property
    def _putters(self) -> Any: ...
    @property
    def _unfinished_tasks(self) -> int: ...
    @property
    def _is_shutdown(self) -> bool: ...
    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None: ...

class PriorityQueue(Queue[_T]):
    """A queue that gives the smallest item first, as ``asyncio.PriorityQueue``."""

# The native halves of the streams. `maypole.natives.streams` puts them over asyncio's own classes, whose
# methods are coroutine functions where these return an `Operation`.

@disjoint_base
class StreamReader:
    """The native half of `maypole.StreamReader`.

    Source: https://docs.python.org/3/library/asyncio-stream.html#streamreader
    """

    def __init__(self, limit: int = 65536, loop: asyncio.AbstractEventLoop | None = None) -> None: ...
    def exception(self) -> Exception | None:
        """Return the exception that was set, or None."""

    def set_exception(self, exc: Exception) -> None:
        """Let reading raise this exception."""

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        """Set the transport that is paused when too much waits to be read."""

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Take bytes in, and wake who waits for them."""

    def feed_eof(self) -> None:
        """Say that no more will come."""

    def at_eof(self) -> bool:
        """Say whether everything was read and no more will come."""

    def read(self, n: int = -1) -> Operation[bytes]:
        """Read up to `n` bytes, ``b""`` at the end; everything if `n` is negative."""

    def readexactly(self, n: int) -> Operation[bytes]:
        """Read `n` bytes.

        Raises:
            IncompleteReadError: if the end comes before.
        """

    def readuntil(self, separator: bytes | tuple[bytes, ...] = b"\n") -> Operation[bytes]:
        """Read up to the separator, and the separator.

        Raises:
            IncompleteReadError: if the end comes before.
            LimitOverrunError: if there is more before it than the limit.
        """

    def readline(self) -> Operation[bytes]:
        """Read a line with its end, or what is left.

        Raises:
            ValueError: if the line is longer than the limit.
        """

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Operation[bytes]: ...
    def _buffered(self) -> int:
        """Return how many bytes were not read."""

    def _wait_for_data(self, func_name: str, /) -> Operation[None]: ...
    def _wakeup_waiter(self) -> None: ...
    def _maybe_resume_transport(self) -> None: ...
    _buffer: bytearray
    _limit: int
    _loop: asyncio.AbstractEventLoop
    _eof: bool
    _waiter: Any
    _exception: Any
    _transport: Any
    _paused: bool

@disjoint_base
class StreamWriter:
    """The native half of `maypole.StreamWriter`.

    Source: https://docs.python.org/3/library/asyncio-stream.html#streamwriter
    """

    def __init__(
        self, transport: Any, protocol: Any, reader: Any, loop: asyncio.AbstractEventLoop
    ) -> None: ...
    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write bytes; await `drain` after it."""

    def writelines(self, data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Write each of them."""

    def drain(self) -> Operation[None]:
        """Wait until writing may go on.

        Raises:
            ConnectionResetError: if the connection was lost.
        """

    def is_closing(self) -> bool:
        """Say whether the transport is closing or closed."""

    @property
    def transport(self) -> Any: ...
    _transport: Any
    _protocol: Any
    _reader: Any
    _loop: asyncio.AbstractEventLoop

@disjoint_base
class StreamProtocol:
    """The native half of `maypole.natives.StreamReaderProtocol`."""

    def data_received(self, data: bytes, /) -> None:
        """Hand bytes to the reader."""

    def _attach(self, reader: Any, /) -> None:
        """Hand what comes to this reader; None for nobody."""

    def _drain_helper(self) -> Operation[None]: ...
    def _resume_drains(self) -> None:
        """Wake everybody who waits until writing may go on."""

    _loop: Any
    _paused: bool
    _connection_lost: bool
    _drain_waiters: Any

class LifoQueue(Queue[_T]):
    """A queue that gives the newest item first, as ``asyncio.LifoQueue``."""

# The decisions of `maypole.patterns`. Each class keeps one value behind a lock, so that its calls are safe
# from any thread. `now` is the caller's clock. Nothing here waits; `who` is whatever the caller keeps in the
# line.

@final
class Rule:
    """One rule of a `Limiter`."""

    @staticmethod
    def bucket(rate: float, burst: float, initial: float | None = None) -> Rule:
        """A rate per second with a burst, of which `initial` are there at the beginning (None: all).

        Raises:
            ValueError: for a number that makes no rule.
        """

    @staticmethod
    def window(limit: float, per: float) -> Rule:
        """At most `limit` in any window of `per` seconds.

        Raises:
            ValueError: for a number that makes no rule.
        """

@final
class Limiter(Generic[_Who]):
    """A rate limit under one rule or several, with a line of whatever waits."""

    def __new__(cls, rules: Sequence[Rule], max_waiting: int | None) -> Self: ...
    def try_acquire(self, now: float, n: float = 1.0) -> bool:
        """Take n now if nobody waits and every rule admits it.

        Raises:
            ValueError: for a weight that can never be granted.
        """

    def enter(self, now: float, n: float = 1.0) -> bool:
        """Take n now, as `try_acquire` does, for somebody who joins the line otherwise: a no is not counted.

        Raises:
            ValueError: for a weight that can never be granted.
        """

    def join(
        self, now: float, n: float, timeout: float | None, who: _Who
    ) -> tuple[int, Literal["never", "full", "late"] | None, float]:
        """Stand in line.

        Returns:
            (ticket, None, 0.0), or (0, why not, seconds until it would be due).
        """

    def serve(self, now: float) -> tuple[list[_Who], int, float | None]:
        """Grant to those whose turn it is.

        Returns:
            They, the instant for `give_back`, and when the next is due (None: nobody waits).
        """

    def leave(self, ticket: int, late: bool) -> bool:
        """Step out of the line, late or cancelled; False when this ticket is not in it any more."""

    def give_back(self, now: float, n: float, granted_at: int) -> None:
        """Give back what was granted at that instant and not used."""

    def pause(self, now: float, seconds: float) -> None:
        """Grant nothing for so many seconds, or for longer where a pause holds already.

        Raises:
            ValueError: for a negative or infinite number.
        """

    def set_rate(self, now: float, rate: float, burst: float | None) -> None:
        """Go on at another rate per second; None keeps the burst.

        Raises:
            ValueError: for a number that makes no rule, or a limiter of several rules.
        """

    def set_window(self, limit: float, per: float) -> None:
        """Go on with another window.

        Raises:
            ValueError: for a number that makes no rule, or a limiter of several rules.
        """

    def refuse_hopeless(self, now: float) -> list[tuple[_Who, float]]:
        """Take out of the line who cannot be granted in time any more, each with the delay in seconds."""

    def delay(self, now: float, n: float) -> float:
        """Return the seconds until n would be granted to somebody who joins now."""

    def delay_of(self, now: float, ticket: int) -> float | None:
        """Return the seconds until it is the turn of a ticket; None when it is not in line."""

    def check_weight(self, n: float) -> None:
        """Refuse a weight that can never be granted.

        Raises:
            ValueError: for such a weight.
        """

    def first(self) -> _Who | None:
        """Return who is first in line, or None."""

    def outlook(self, now: float | None) -> tuple[float, float, float]:
        """Say what is there now; None means when the clock was seen last.

        Returns:
            How many can be granted, the line and a pause apart; seconds until the first in line, or a
            newcomer, gets one; seconds that the pause still lasts.
        """

    @property
    def waiting(self) -> int:
        """How many wait."""

    @property
    def most(self) -> float:
        """The most that can be granted at once."""

    @property
    def rules(self) -> list[tuple[Literal["bucket", "window"], float, float]]:
        """The rules: ("bucket", rate per second, burst) or ("window", limit, seconds)."""

    def tally(self) -> tuple[int, int, int]:
        """Return how many were granted, rejected, cancelled."""

    def waits(self) -> tuple[int, float, float, float, float]:
        """Return how long the granted waited in line: count, sum, longest, median, 99th percentile."""

@final
class Gate(Generic[_Who]):
    """So many places, with a line of whatever waits for each group. Group 0 is everybody."""

    def __new__(cls, limit: int, max_waiting: int | None, shares: Sequence[float]) -> Self: ...
    def try_acquire(self, n: int = 1, group: int = 0) -> bool:
        """Take n places now, unless somebody who came before waits for them."""

    def enter(self, n: int = 1, group: int = 0, priority: int = 0) -> bool:
        """Take n places now, as `try_acquire` does, for somebody who joins the line otherwise."""

    def join(self, now: float, n: int, group: int, who: _Who, priority: int = 0) -> int:
        """Stand in line; return the ticket, or 0 when the line is full."""

    def leave(self, ticket: int, group: int, late: bool) -> bool:
        """Step out of the line, late or cancelled; False when this ticket is not in it any more."""

    def release(self, n: int = 1, group: int = 0) -> bool:
        """Free n places; return whether somebody waits.

        Raises:
            RuntimeError: when the group does not hold as many.
        """

    def give_back(self, n: int, group: int) -> bool:
        """Free n places whose owner was cancelled before it knew of them; return whether somebody waits.

        Raises:
            RuntimeError: when the group does not hold as many.
        """

    def serve(self, now: float) -> list[tuple[_Who, int]]:
        """Grant to those whose turn it is; return them, each with its group."""

    def reject(self) -> None:
        """Count a refusal that was decided elsewhere: somebody would not wait at all."""

    limit: int
    """The number of places; a smaller one takes effect as places are released."""

    @property
    def in_use(self) -> int:
        """How many places are in use."""

    @property
    def waiting(self) -> int:
        """How many wait."""

    def most(self, group: int) -> int:
        """Return the most that a group can ever have at once.

        Raises:
            IndexError: if there is no such group.
        """

    def group_use(self, group: int) -> tuple[int, int]:
        """Return how many places a group has in use, and how many are kept for it.

        Raises:
            IndexError: if there is no such group.
        """

    def tally(self) -> tuple[int, int, int, int]:
        """Return how many were granted, rejected, cancelled; and the most that were ever in use."""

    def waits(self) -> tuple[int, float, float, float, float]:
        """Return how long the granted waited in line: count, sum, longest, median, 99th percentile."""

@final
class Breaker:
    """A circuit breaker.

    The settings are those of `maypole.patterns.CircuitBreaker`; `window_calls` or `window_seconds` is given.

    Raises:
        ValueError: for settings that contradict each other.
        TypeError: for a setting that does not exist.
    """

    def __new__(
        cls,
        *,
        seed: int,
        window_calls: int = ...,
        window_seconds: float = ...,
        min_calls: int = ...,
        failure_rate: float | None = ...,
        consecutive: int | None = ...,
        slow_call: float | None = ...,
        slow_rate: float = ...,
        open_for: float = ...,
        open_max: float = ...,
        backoff: float = ...,
        jitter: float = ...,
        probes: int = ...,
        max_concurrent_probes: int = ...,
        half_open_timeout: float = ...,
    ) -> Self: ...
    def admit(self, now: float) -> Lease | None:
        """Ask to make a call; None when it must not be made, and `blocked` says why."""

    def enter(self) -> Lease | None:
        """Ask for a call of a closed breaker that times none and has nothing to tell; None: ask `admit`."""

    def blocked(self) -> tuple[_BreakerState, float | None]:
        """Return which state blocked the last call, and in how many seconds one may pass (None: unknown)."""

    def tick(self, now: float) -> None:
        """Let time pass: finds calls that hang, and ends half-open."""

    def due(self) -> float | None:
        """Return when the next call under way becomes slow, or None."""

    def force_open(self, now: float) -> None:
        """Let nobody through until somebody says otherwise."""

    def force_close(self, now: float) -> None:
        """Close, with an empty window."""

    def open_for(self, now: float, seconds: float) -> None:
        """Open for so many seconds, because another process found that the remote does not work.

        Does nothing unless it is closed.

        Raises:
            ValueError: for a negative or infinite number.
        """

    def disable(self, now: float) -> None:
        """Let everybody through and judge nothing."""

    def metrics_only(self, now: float) -> None:
        """Let everybody through, count, and never trip."""

    def reset(self, now: float) -> None:
        """Begin anew: closed, and nothing known."""

    @property
    def state(self) -> _BreakerState:
        """The name of the state."""

    @property
    def generation(self) -> int:
        """The generation: it grows with each state."""

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may pass; None where that cannot be known."""

    def window(self) -> tuple[int, int, int]:
        """Return how many calls are in the window, how many of them failed, how many were slow."""

    def calls(self) -> tuple[int, int, int, int, int, int]:
        """Return how many were admitted, rejected, succeeded, failed, cancelled, late."""

    @property
    def changed(self) -> bool:
        """Whether there are transitions to take."""

    def take_transitions(self) -> list[tuple[_BreakerState, _BreakerState, str, float]]:
        """Return the transitions since this was asked last, each as (from, to, reason, when)."""

@final
class Lease:
    """The right to make one call. It ends once: a second end is ignored; dropped, it comes back uncounted."""

    def hold(self, now: float) -> None:
        """The call has not begun: no time runs until `begin`."""

    def begin(self, now: float) -> None:
        """The call begins only now: what was waited for since the admission is not the remote's time."""

    def finish(self, now: float, failed: bool) -> bool:
        """Say how the call ended, unless it had ended before; return whether to take transitions."""

    def succeed(self) -> bool:
        """The call ended well, where that needs no time: closed, no failure in the window."""

    def give_back(self, now: float) -> bool:
        """Give the lease back uncounted; False when it had ended before."""

    @property
    def live(self) -> bool:
        """Whether the call is still to end."""

@final
class AdaptiveLimit:
    """A limit on what is under way that follows what the calls show.

    Raises:
        ValueError: for an unknown algorithm, for "aimd" without a target, or settings that contradict each
        other.
    """

    def __new__(
        cls,
        algorithm: Literal["aimd", "gradient", "vegas"],
        *,
        target: float | None,
        probe_every: float,
        min: int,
        max: int,
        initial: int,
        window: float,
        min_samples: int,
    ) -> Self: ...
    def sample(
        self, now: float, took: float, in_flight: int, kind: Literal["time", "overload", "drop"]
    ) -> int | None:
        """Take in the end of a call; return the limit when it has moved, or None."""

    @property
    def limit(self) -> int:
        """The limit now."""

    @property
    def mean(self) -> float:
        """The mean time of the calls in the last window, in seconds."""

    @property
    def baseline(self) -> float | None:
        """The time of a call without a queue, in seconds; None where the algorithm knows none."""

@final
class RetryTokens:
    """A budget for retries over the last ten seconds.

    Raises:
        ValueError: for a ratio or rate that is negative or not finite.
    """

    def __new__(cls, ratio: float, min_per_s: float) -> Self: ...
    def deposit(self, now: float) -> None:
        """Count a call; not its retries."""

    def try_withdraw(self, now: float) -> bool:
        """Ask to retry once."""

    def balance(self, now: float) -> float:
        """Return how many retries are left now."""

    def tally(self) -> tuple[int, int, int]:
        """Return how many calls are in the window; how many retries were ever allowed, and refused."""

@final
class Shedder:
    """Sheds when measured delays stay above a target for an interval, both in seconds.

    Raises:
        ValueError: for a target or interval that makes no sense.
    """

    def __new__(cls, target: float, interval: float) -> Self: ...
    def observe(self, now: float, delay: float) -> bool:
        """Take in one delay, measured now; return whether new work is to be refused."""

    @property
    def sheds(self) -> bool:
        """Whether new work is to be refused."""

    @property
    def delay(self) -> float:
        """The delay taken in last, in seconds."""

@final
class Ready:
    """An awaitable whose ``await`` returns None at once; one object serves any number of awaits."""

    def __await__(self) -> Generator[Any]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> None: ...
