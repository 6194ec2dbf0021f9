//! Interned strings: attribute and keyword names that the hot paths compare by identity.

use pyo3::ffi;

use super::cell::GilOnce;
use super::error::Result;
use super::object::{Obj, Owned};

macro_rules! names {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// One interned string per name.
        pub(crate) struct Names { $(pub(crate) $name: Owned,)* }

        impl Names {
            fn new() -> Result<Names> {
                Ok(Names { $($name: intern(concat!($text, "\0"))?,)* })
            }
        }
    };
}

names! {
    all_sent = "_all_sent",
    append = "append",
    append_left = "appendleft",
    call_eof_received = "_call_eof_received",
    control_app_writing = "_control_app_writing",
    do_flush = "_do_flush",
    do_handshake = "_do_handshake",
    do_read = "_do_read",
    do_shutdown = "_do_shutdown",
    sslobj = "_sslobj",
    list_of_data = "list_of_data",
    pause_reading = "pause_reading",
    pending = "pending",
    pop_left = "popleft",
    read = "read",
    resume_reading = "resume_reading",
    ssl_protocol = "_ssl_protocol",
    start_shutdown = "_start_shutdown",
    write = "write",
    write_appdata = "_write_appdata",
    write_after_close = "_write_after_close",
    addr = "addr",
    add_done_callback = "add_done_callback",
    blocking = "_asyncio_future_blocking",
    buffer_updated = "buffer_updated",
    call_exception_handler = "call_exception_handler",
    call_soon = "call_soon",
    cancel = "cancel",
    cancelled_field = "_cancelled",
    check_callback = "_check_callback",
    check_thread = "_check_thread",
    close = "close",
    co_filename = "co_filename",
    co_firstlineno = "co_firstlineno",
    co_qualname = "co_qualname",
    cr_await = "cr_await",
    cr_code = "cr_code",
    cr_frame = "cr_frame",
    context = "context",
    data = "data",
    data_received = "data_received",
    dunder_await = "__await__",
    done = "done",
    datagram_received = "datagram_received",
    dunder_func = "__func__",
    dunder_file = "__file__",
    dunder_name = "__name__",
    dunder_qualname = "__qualname__",
    eof_received = "eof_received",
    error_received = "error_received",
    fileno = "fileno",
    log_slow_task = "_log_slow_task",
    fatal_error = "_fatal_error",
    get_buffer = "get_buffer",
    pause_writing = "pause_writing",
    resume_writing = "resume_writing",
    warn_lost = "_warn_lost",
    get_debug = "get_debug",
    get_loop = "get_loop",
    gi_code = "gi_code",
    gi_frame = "gi_frame",
    gi_yieldfrom = "gi_yieldfrom",
    is_running = "is_running",
    loop_field = "_loop",
    msg = "msg",
    name = "name",
    result = "result",
    task_wakeup = "task_wakeup",
    throw = "throw",
    value = "value",
    report_failure = "_report_callback_failure",
    set_exception = "set_exception",
    set_result = "set_result",
    send_through_socket = "_send_through_socket",
    run = "_run",
    run_debug = "_run_handle_in_debug",
    virtual_deadlock = "_virtual_deadlock",
    virtual_outstanding = "_virtual_outstanding",
    virtual_spin = "_virtual_spin",
    virtual_watched = "_virtual_watched",
    time = "time",
    timer_handle_cancelled = "_timer_handle_cancelled",
    detach_socket = "detach",
    shutdown = "shutdown",
    tell_empty_waiter = "_tell_empty_waiter",
    warn_unclosed = "_warn_unclosed",
    sockname = "sockname",
    socket = "socket",
    shut_down = "_shut_down",
    share_socket = "_share_socket",
    peername = "peername",
    open_socket = "_open_socket",
    get = "get",
    fail_empty_waiter = "_fail_empty_waiter",
    default = "default",
    connection_made = "connection_made",
    connection_lost = "connection_lost",
    call_connection_lost = "_call_connection_lost",
    detach = "_detach",
    attach = "_attach",
}

static NAMES: GilOnce<Names> = GilOnce::new();

fn intern(text: &str) -> Result<Owned> {
    // SAFETY: `text` ends with a zero byte, added by the macro above.
    unsafe { Owned::steal(ffi::PyUnicode_InternFromString(text.as_ptr().cast())) }
}

/// Makes the strings; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if !NAMES.is_set() {
        NAMES.set(Names::new()?);
    }
    Ok(())
}

#[inline(always)]
pub(crate) fn get() -> &'static Names {
    NAMES.get()
}

/// Whether a keyword's name is `name`: by identity first, since both are usually interned.
#[inline]
pub(crate) fn same(given: &Obj, name: &Obj) -> bool {
    if given.is(name) {
        return true;
    }
    // SAFETY: both are live strings; comparing two strings does not raise.
    unsafe { ffi::PyUnicode_Compare(given.as_ptr(), name.as_ptr()) == 0 }
}
