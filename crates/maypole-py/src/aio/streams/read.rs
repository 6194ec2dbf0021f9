//! `read`, `readexactly`, `readuntil`, `readline` and iteration.
//!
//! Source: `asyncio.streams.StreamReader`, whose order of checks and texts this follows.

use pyo3::ffi;

use super::super::operation::{self, Operation, Step, Steps};
use super::super::stdlib;
use super::buffer::find;
use super::reader::ReaderObject;
use crate::capi::class::{Class, fast, noargs};
use crate::capi::error::{check, raise, restore, type_error, value_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, call};

pub(super) fn declare(class: Class) -> Class {
    class
        .fast(c"read", fast!(ReaderObject, read), c"read($self, n=-1)\n--\n\nAwait it: returns up to n bytes, b'' at the end; all of them if n is negative.")
        .fast(c"readexactly", fast!(ReaderObject, readexactly), c"readexactly($self, n)\n--\n\nAwait it: returns n bytes, or raises IncompleteReadError.")
        .fast(c"readuntil", fast!(ReaderObject, readuntil), c"readuntil($self, separator=b'\\n')\n--\n\nAwait it: returns everything up to the separator, and the separator.")
        .noargs(c"readline", noargs!(ReaderObject, readline), c"Await it: returns a line with its end, or what is left.")
        .noargs(c"__aiter__", noargs!(ReaderObject, itself), c"Iterate over lines.")
        .noargs(c"__anext__", noargs!(ReaderObject, next_line), c"Await it: returns the next line.")
        .fast(c"_wait_for_data", fast!(ReaderObject, wait_for_data), c"Await it: returns once something came.")
}

/// Steps that look at the buffer again and again until there is enough; the first look also checks the arguments.
macro_rules! repeated {
    ($name:literal, $attempt:expr) => {
        Steps {
            name: $name,
            begin: |this, operation| $attempt(this, operation, true),
            resume: |this, operation, _| {
                this.stop_waiting(operation);
                $attempt(this, operation, false)
            },
            abandon: |this, operation| {
                this.stop_waiting(operation);
                Ok(())
            },
        }
    };
}

static READ: Steps<ReaderObject> = Steps {
    name: c"StreamReader.read",
    begin: begin_to_read,
    resume: |this, operation, _| {
        this.stop_waiting(operation);
        if operation.mark() == ALL {
            this.check_exception()?;
            return try_to_read_all(this, operation);
        }
        take_some(this, &operation.value())
    },
    abandon: |this, operation| {
        this.stop_waiting(operation);
        Ok(())
    },
};
static READ_EXACTLY: Steps<ReaderObject> = repeated!(c"StreamReader.readexactly", try_to_read_exactly);
static READ_UNTIL: Steps<ReaderObject> = repeated!(c"StreamReader.readuntil", try_to_read_until);
static READ_LINE: Steps<ReaderObject> = repeated!(c"StreamReader.readline", try_to_read_line);
static NEXT_LINE: Steps<ReaderObject> = repeated!(c"StreamReader.__anext__", try_to_get_next_line);
static WAIT_FOR_DATA: Steps<ReaderObject> = Steps {
    name: c"StreamReader._wait_for_data",
    begin: |this, operation| this.wait(operation, &stdlib::string_of(&operation.value())?),
    resume: |this, operation, _| {
        this.stop_waiting(operation);
        Ok(Step::Return(none()))
    },
    abandon: |this, operation| {
        this.stop_waiting(operation);
        Ok(())
    },
};

fn read(this: &ReaderObject, args: Args<'_>) -> Result<Owned> {
    let count = match (args.positional(), args.has_keywords()) {
        ([], false) => None,
        ([count], false) => Some(*count),
        _ => {
            let [count] = args.bind("read", [&*call::interned("n")?], 0)?;
            count
        }
    };
    match count {
        Some(count) => operation::new(&READ, this, Some(count)),
        None => operation::new(&READ, this, Some(&*call::integer(-1)?)),
    }
}

fn readexactly(this: &ReaderObject, args: Args<'_>) -> Result<Owned> {
    operation::new(&READ_EXACTLY, this, Some(args.single("readexactly", "n")?))
}

fn readuntil(this: &ReaderObject, args: Args<'_>) -> Result<Owned> {
    let separator = match (args.positional(), args.has_keywords()) {
        ([separator], false) => Some(*separator),
        _ => {
            let [separator] = args.bind("readuntil", [&*call::interned("separator")?], 0)?;
            separator
        }
    };
    match separator {
        Some(separator) => operation::new(&READ_UNTIL, this, Some(separator)),
        None => operation::new(&READ_UNTIL, this, Some(&*call::bytes(b"\n")?)),
    }
}

fn readline(this: &ReaderObject) -> Result<Owned> {
    operation::new(&READ_LINE, this, None)
}

fn itself(this: &ReaderObject) -> Result<Owned> {
    use crate::capi::class::Native;
    Ok(this.as_obj().own())
}

fn next_line(this: &ReaderObject) -> Result<Owned> {
    operation::new(&NEXT_LINE, this, None)
}

fn wait_for_data(this: &ReaderObject, args: Args<'_>) -> Result<Owned> {
    let name = args.single("_wait_for_data", "func_name")?;
    operation::new(&WAIT_FOR_DATA, this, Some(name))
}

/// The mark of a `read` that reads everything; its value is the list of what was read.
const ALL: usize = 1;

fn begin_to_read(this: &ReaderObject, operation: &Operation) -> Result<Step> {
    this.check_exception()?;
    let count = operation.value();
    let number = count.as_clamped_i64()?;
    if number < 0 {
        operation.set_value(call::list(Vec::new())?);
        operation.set_mark(ALL);
        return try_to_read_all(this, operation);
    }
    if number > 0 && this.buffer.len() == 0 && !this.eof.get() {
        return this.wait(operation, "read");
    }
    take_some(this, &count)
}

fn take_some(this: &ReaderObject, count: &Obj) -> Result<Step> {
    let count = usize::try_from(count.as_clamped_i64()?).unwrap_or(0);
    let data = this.buffer.take(count)?;
    this.resume_if_room()?;
    Ok(Step::Return(data))
}

fn try_to_read_all(this: &ReaderObject, operation: &Operation) -> Result<Step> {
    let blocks = operation.value();
    if this.buffer.len() > 0 {
        let block = this.buffer.take(usize::MAX)?;
        // SAFETY: the value is the list that `begin_to_read` made.
        check(unsafe { ffi::PyList_Append(blocks.as_ptr(), block.as_ptr()) })?;
        this.resume_if_room()?;
    }
    if !this.eof.get() {
        return this.wait(operation, "read");
    }
    let joined = call::bytes(b"")?.call_method(&stdlib::names().join, &[&blocks])?;
    Ok(Step::Return(joined))
}

fn try_to_read_exactly(this: &ReaderObject, operation: &Operation, first: bool) -> Result<Step> {
    let given = operation.value();
    let Ok(count) = usize::try_from(given.as_clamped_i64()?) else {
        return Err(value_error("readexactly size can not be less than zero"));
    };
    if first {
        this.check_exception()?;
    }
    if this.buffer.len() >= count {
        let data = this.buffer.take(count)?;
        if count > 0 {
            this.resume_if_room()?;
        }
        return Ok(Step::Return(data));
    }
    if this.eof.get() {
        return Err(incomplete(this, Some(&given)));
    }
    this.wait(operation, "readexactly")
}

/// `IncompleteReadError(everything that is left, expected)`.
#[cold]
fn incomplete(this: &ReaderObject, expected: Option<&Obj>) -> Raised {
    let make = || {
        let partial = this.buffer.take(usize::MAX)?;
        let expected = expected.map_or_else(none, Obj::own);
        stdlib::get().incomplete_read.call(&[&partial, &expected])
    };
    match make() {
        Ok(exception) => restore(exception),
        Err(raised) => raised,
    }
}

/// What looking for a separator ends with.
enum Search {
    /// It was found: where it begins, and where it ends.
    Found { start: usize, end: usize },
    /// The next look begins here.
    Later(usize),
}

/// Looks for the separator that ends first, as `readuntil` does. Nobody looks before the shortest of them can be there.
fn search(data: &[u8], separators: &[&[u8]], from: usize) -> Search {
    let lengths = || separators.iter().map(|separator| separator.len());
    if data.len() < from + lengths().min().unwrap_or(0) {
        return Search::Later(from);
    }
    let mut found: Option<(usize, usize)> = None;
    for separator in separators {
        if let Some(start) = find(data, separator, from) {
            let end = start + separator.len();
            if found.is_none_or(|(_, first)| end < first) {
                found = Some((start, end));
            }
        }
    }
    match found {
        Some((start, end)) => Search::Found { start, end },
        None => Search::Later((data.len() + 1).saturating_sub(lengths().max().unwrap_or(0))),
    }
}

/// Everything up to the first of the separators, with it; `None` if more must come.
fn take_until(this: &ReaderObject, operation: &Operation, separators: &[&[u8]]) -> Result<Option<Owned>> {
    let (from, limit) = (operation.mark(), this.limit.get());
    match this.buffer.look(|data| search(data, separators, from)) {
        Search::Found { start, end } if start <= limit => {
            let line = this.buffer.take(end)?;
            this.resume_if_room()?;
            Ok(Some(line))
        }
        Search::Found { start, .. } => Err(overrun(
            "Separator is found, but chunk is longer than limit",
            start,
        )),
        Search::Later(next) if next > limit => Err(overrun(
            "Separator is not found, and chunk exceed the limit",
            next,
        )),
        Search::Later(next) => {
            operation.set_mark(next);
            Ok(None)
        }
    }
}

/// `LimitOverrunError(text, consumed)`.
#[cold]
fn overrun(text: &str, consumed: usize) -> Raised {
    let make = || {
        let (text, consumed) = (call::text(text)?, call::unsigned(consumed as u64)?);
        stdlib::get().limit_overrun.call(&[&text, &consumed])
    };
    match make() {
        Ok(exception) => restore(exception),
        Err(raised) => raised,
    }
}

fn try_to_read_until(this: &ReaderObject, operation: &Operation, first: bool) -> Result<Step> {
    let given = operation.value();
    let separators = separators_of(&given)?;
    if first {
        this.check_exception()?;
    }
    let parts: Vec<&[u8]> = separators.iter().map(|one| one.as_slice()).collect();
    if let Some(chunk) = take_until(this, operation, &parts)? {
        return Ok(Step::Return(chunk));
    }
    if this.eof.get() {
        return Err(incomplete(this, None));
    }
    this.wait(operation, "readuntil")
}

/// A separator, or a tuple of them, none of which is empty.
fn separators_of(given: &Obj) -> Result<Vec<Vec<u8>>> {
    // SAFETY: a live object.
    let is_tuple = unsafe { ffi::PyTuple_Check(given.as_ptr()) } != 0;
    let mut separators = Vec::new();
    if is_tuple && cfg!(Py_3_13) {
        // SAFETY: a tuple has a size.
        let count = unsafe { ffi::PyTuple_GET_SIZE(given.as_ptr()) };
        for place in 0..count {
            // SAFETY: `place` is within the tuple.
            let one = unsafe { Obj::from_ptr(ffi::PyTuple_GET_ITEM(given.as_ptr(), place)) };
            separators.push(separator_of(one)?);
        }
    } else {
        separators.push(separator_of(given)?);
    }
    if separators.is_empty() {
        return Err(value_error("Separator should contain at least one element"));
    }
    if separators.iter().any(Vec::is_empty) {
        return Err(value_error("Separator should be at least one-byte string"));
    }
    Ok(separators)
}

fn separator_of(given: &Obj) -> Result<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the type object is a static of the interpreter.
    if given.type_ptr() != &raw mut ffi::PyBytes_Type {
        // SAFETY: a live object; the function raises for what has no buffer of bytes.
        let copy = unsafe { Owned::steal(ffi::PyBytes_FromObject(given.as_ptr())) };
        return match copy {
            // SAFETY: text has a length and no bytes.
            Ok(_) if unsafe { ffi::PyUnicode_Check(given.as_ptr()) } != 0 => {
                Err(type_error("separator must be bytes"))
            }
            Ok(copy) => separator_of(&copy),
            Err(raised) => Err(raised),
        };
    }
    // SAFETY: a bytes object and two places.
    check(unsafe { ffi::PyBytes_AsStringAndSize(given.as_ptr(), &mut data, &mut size) })?;
    // SAFETY: the function gave the memory of the object and its size.
    Ok(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size as usize) }.to_vec())
}

/// The next line; what is left at the end. A line that is too long is dropped.
fn line(this: &ReaderObject, operation: &Operation) -> Result<Option<Owned>> {
    let (from, limit) = (operation.mark(), this.limit.get());
    match this.buffer.look(|data| search(data, &[b"\n"], from)) {
        Search::Found { start, end } if start <= limit => {
            let line = this.buffer.take(end)?;
            this.resume_if_room()?;
            Ok(Some(line))
        }
        Search::Found { end, .. } => {
            this.buffer.discard(end)?;
            this.resume_if_room()?;
            Err(value_error("Separator is found, but chunk is longer than limit"))
        }
        Search::Later(next) if next > limit => {
            this.buffer.clear()?;
            this.resume_if_room()?;
            Err(value_error("Separator is not found, and chunk exceed the limit"))
        }
        Search::Later(next) => {
            operation.set_mark(next);
            if this.eof.get() {
                return this.buffer.take(usize::MAX).map(Some);
            }
            Ok(None)
        }
    }
}

fn try_to_read_line(this: &ReaderObject, operation: &Operation, first: bool) -> Result<Step> {
    if first {
        this.check_exception()?;
    }
    match line(this, operation)? {
        Some(line) => Ok(Step::Return(line)),
        None => this.wait(operation, "readuntil"),
    }
}

fn try_to_get_next_line(this: &ReaderObject, operation: &Operation, first: bool) -> Result<Step> {
    if first {
        this.check_exception()?;
    }
    match line(this, operation)? {
        // SAFETY: a bytes object.
        Some(line) if unsafe { ffi::PyBytes_Size(line.as_ptr()) } == 0 => {
            // SAFETY: the exception types exist while the interpreter does.
            Err(raise(unsafe { ffi::PyExc_StopAsyncIteration }, ""))
        }
        Some(line) => Ok(Step::Return(line)),
        None => this.wait(operation, "readuntil"),
    }
}
