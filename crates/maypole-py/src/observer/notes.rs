//! Events of a recording that the Python half saw: pauses of the collector, jobs in threads, stalls, marks.

use maypole_trace::{Event, SiteId, Stacks, TextId};
use pyo3::ffi;

use super::recording::Recording;
use crate::capi::error::{type_error, value_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, call};
use crate::event_loop::LoopObject;

/// `_trace_note(group, begin_ns, end_ns, text, number, stack)`; without a recording it does nothing.
pub(super) fn trace_note(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let wanted = ["group", "begin_ns", "end_ns", "text", "number", "stack"];
    let (given, _) = args.at_least("_trace_note", &wanted, 6)?;
    let group = call::text_of(given[0])?;
    let ns = |value: &Obj| -> Result<u64> { Ok(u64::try_from(value.as_i64()?).unwrap_or(0)) };
    let (begin_ns, end_ns, number) = (ns(given[1])?, ns(given[2])?, ns(given[4])?);
    let text = call::text_of(given[3])?;
    let stack = frames_of(given[5])?;
    let mut known = true;
    this.observer.record(|recording| {
        known = recording.note(&group, [begin_ns, end_ns, number], &text, &stack);
    });
    if known {
        Ok(none())
    } else {
        Err(value_error(&format!("no group is called '{group}'")))
    }
}

/// `[(file, line, function), …]`, or `None`.
fn frames_of(stack: &Obj) -> Result<Vec<(String, u32, String)>> {
    if stack.is_none() {
        return Ok(Vec::new());
    }
    // SAFETY: a live object; the function takes any iterable.
    let rows = unsafe { Owned::steal(ffi::PySequence_List(stack.as_ptr()))? };
    // SAFETY: the list was made just now.
    let count = unsafe { ffi::PyList_GET_SIZE(rows.as_ptr()) };
    let mut frames = Vec::new();
    for place in 0..count {
        // SAFETY: `place` is within the list, which nobody else has.
        let row = unsafe { Obj::from_ptr(ffi::PyList_GET_ITEM(rows.as_ptr(), place)) };
        // SAFETY: a live object; the function takes any iterable.
        let row = unsafe { Owned::steal(ffi::PySequence_Tuple(row.as_ptr()))? };
        // SAFETY: the tuple was made just now.
        if unsafe { ffi::PyTuple_GET_SIZE(row.as_ptr()) } != 3 {
            return Err(type_error("a frame of a stack is (file, line, function)"));
        }
        // SAFETY: the tuple has three items.
        let [file, line, function] =
            [0, 1, 2].map(|item| unsafe { Obj::from_ptr(ffi::PyTuple_GET_ITEM(row.as_ptr(), item)) });
        let line = u32::try_from(line.as_i64()?).unwrap_or(0);
        frames.push((call::text_of(file)?, line, call::text_of(function)?));
    }
    Ok(frames)
}

impl Recording {
    /// Writes an event that the Python half saw; `false` for a group that is none.
    fn note(&mut self, group: &str, numbers: [u64; 3], text: &str, stack: &[(String, u32, String)]) -> bool {
        let task = self.running_task();
        let [begin, end] = [numbers[0], numbers[1]].map(|since_ns| self.ticks_since(since_ns));
        let event = match group {
            "gc" => Event::gc(begin, end, u8::try_from(numbers[2]).unwrap_or(u8::MAX)),
            "executor" => {
                let (name, task) = match text.split_once('\0') {
                    Some((name, number)) => (name, number.parse().unwrap_or(0)),
                    None => (text, task),
                };
                let (began, name) = (self.ticks_since(numbers[2]), self.texts.intern(name));
                Event::executor(task, begin, began, end, name)
            }
            "stalls" => {
                let sites: Vec<SiteId> = stack
                    .iter()
                    .map(|(file, line, function)| self.sites.intern(file, *line, function))
                    .collect();
                let stack = if sites.is_empty() {
                    Stacks::NONE
                } else {
                    self.stacks.push(&sites)
                };
                let task = u32::try_from(numbers[2]).unwrap_or(0);
                Event::stall(begin, end, task, self.texts.intern(text), stack)
            }
            "marks" => {
                let (source, text) = text.split_once('\0').unwrap_or(("", text));
                let source = if source.is_empty() {
                    TextId::NONE
                } else {
                    self.texts.intern(source)
                };
                Event::mark(begin, task, self.texts.intern(text), source)
            }
            _ => return false,
        };
        self.ring.push(event);
        true
    }
}
