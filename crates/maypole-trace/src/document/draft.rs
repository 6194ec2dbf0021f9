//! The document while it grows, event by event.
//!
//! Invariant: a task that a row names is in the document's tasks, or the row names 0.
//! Invariant: the steps of a task do not overlap, and each was ready between the end of the one before and its beginning.

use std::collections::{BTreeMap, HashMap};

use super::build::Recording;
use super::group::{
    Callback, Cancel, Job, Mark, Pause, Poll, Readiness, Site, Stall, Step, Task, Timer, Turn, Wait,
};
use super::{Document, Index, NONE};
use crate::record::Record;
use crate::sites::SiteId;
use crate::texts::TextId;
use crate::words::Outcome;

/// What the events say about one task.
#[derive(Default)]
pub(super) struct Told {
    pub(super) function: SiteId,
    /// When, by which task, its name, by which line.
    pub(super) created: Option<(u64, u32, TextId, SiteId)>,
    pub(super) ended: Option<(u64, Outcome, TextId)>,
}

/// The document, and what was put into it already.
pub(super) struct Draft<'a, F> {
    recording: Recording<'a>,
    to_ns: F,
    document: Document,
    strings: HashMap<String, Index>,
    texts: HashMap<TextId, Index>,
    sites: HashMap<SiteId, Index>,
    /// The end of each known task's newest step.
    ran_until: HashMap<u32, u64>,
    /// The end of the newest event.
    told_until: u64,
}

impl<'a, F: Fn(u64) -> u64> Draft<'a, F> {
    pub(super) fn new(recording: Recording<'a>, to_ns: F) -> Self {
        Self {
            recording,
            to_ns,
            document: Document::default(),
            strings: HashMap::new(),
            texts: HashMap::new(),
            sites: HashMap::new(),
            ran_until: HashMap::new(),
            told_until: 0,
        }
    }

    /// The table of tasks. First, because the rows that follow name only these.
    pub(super) fn describe_tasks(&mut self, tasks: BTreeMap<u32, Told>) {
        self.ran_until = tasks.keys().map(|id| (*id, 0)).collect();
        for (id, told) in tasks {
            let task = self.describe(id, &told);
            self.document.tasks.push(task);
        }
    }

    fn describe(&mut self, id: u32, told: &Told) -> Task {
        let mut task = Task::unknown(id);
        task.function = self.site(told.function);
        let mut name = None;
        if let Some((at, parent, text, made_at)) = told.created {
            task.created_ns = (self.to_ns)(at);
            task.created_at = self.site(made_at);
            task.parent = self.known(parent);
            name = self.recording.texts.text(text);
        }
        task.name = self.string(name.unwrap_or_default().into_owned());
        if let Some((at, outcome, error)) = told.ended {
            let ended_ns = (self.to_ns)(at).max(task.created_ns);
            task.ended_ns = i64::try_from(ended_ns).unwrap_or(i64::MAX);
            task.outcome = outcome;
            task.error = self.text(error);
            self.told_until = self.told_until.max(ended_ns);
        }
        task
    }

    /// Writes what one event told. Events come in the order of their end.
    pub(super) fn tell(&mut self, record: Record) {
        match record {
            // The table of tasks tells these.
            Record::Created { at, .. } | Record::Ended { at, .. } => {
                self.until(at);
            }
            Record::Step { .. } => self.tell_step(record),
            Record::Wait { .. } | Record::Cancel { .. } | Record::Mark { .. } | Record::Stall { .. } => {
                self.tell_of_tasks(record);
            }
            _ => self.tell_of_the_loop(record),
        }
    }

    fn tell_step(&mut self, record: Record) {
        let Record::Step {
            task,
            ready,
            begin,
            end,
            waker,
            waker_task,
            ..
        } = record
        else {
            return;
        };
        let (ready_ns, begin_ns, end_ns) = self.span(ready, begin, end);
        let Some(ran_until) = self.ran_until.get_mut(&task) else {
            return;
        };
        let begin_ns = begin_ns.max(*ran_until);
        let ready_ns = ready_ns.clamp(*ran_until, begin_ns);
        *ran_until = end_ns;
        let waker_task = self.known(waker_task);
        self.document.steps.push(Step {
            task,
            ready_ns,
            begin_ns,
            end_ns,
            waker,
            waker_task,
        });
    }

    fn tell_of_tasks(&mut self, record: Record) {
        match record {
            Record::Wait {
                at,
                task,
                kind,
                site,
                on_task,
                operation,
            } if self.known(task) != 0 => {
                let (begin_ns, site, on_task) = (self.until(at), self.site(site), self.known(on_task));
                let operation = self.text(operation);
                self.document.waits.push(Wait {
                    task,
                    begin_ns,
                    kind,
                    site,
                    on_task,
                    operation,
                });
            }
            Record::Cancel { at, task, by } if self.known(task) != 0 => {
                let (at_ns, by_task) = (self.until(at), self.known(by));
                self.document.cancels.push(Cancel { at_ns, task, by_task });
            }
            Record::Mark {
                at,
                task,
                text,
                source,
            } => {
                let (at_ns, task) = (self.until(at), self.known(task));
                let (text, source) = (self.text(text), self.text(source));
                self.document.marks.push(Mark {
                    at_ns,
                    task,
                    text,
                    source,
                });
            }
            Record::Stall {
                begin,
                end,
                task,
                kind,
                stack,
            } => {
                let (_, begin_ns, end_ns) = self.span(begin, begin, end);
                let kind = self.recording.texts.text(kind).unwrap_or_default().into_owned();
                let stack = self
                    .recording
                    .stacks
                    .stack(stack)
                    .iter()
                    .map(|site| self.site(*site))
                    .collect();
                let task = self.known(task);
                self.document.stalls.push(Stall {
                    begin_ns,
                    end_ns,
                    task,
                    kind,
                    stack,
                });
            }
            _ => {}
        }
    }

    fn tell_of_the_loop(&mut self, record: Record) {
        match record {
            Record::Callback {
                ready,
                begin,
                end,
                name,
                waker,
                waker_task,
            } => {
                let (ready_ns, begin_ns, end_ns) = self.span(ready, begin, end);
                let (name, waker_task) = (self.text(name), self.known(waker_task));
                self.document.callbacks.push(Callback {
                    ready_ns,
                    begin_ns,
                    end_ns,
                    name,
                    waker,
                    waker_task,
                });
            }
            Record::Turn { begin, end, ready } => {
                let (_, begin_ns, end_ns) = self.span(begin, begin, end);
                self.document.turns.push(Turn {
                    begin_ns,
                    end_ns,
                    ready,
                });
            }
            Record::Poll {
                begin,
                end,
                events,
                blocking,
            } => {
                let (_, begin_ns, end_ns) = self.span(begin, begin, end);
                self.document.polls.push(Poll {
                    begin_ns,
                    end_ns,
                    events,
                    blocking: blocking.into(),
                });
            }
            Record::Executor {
                task,
                submitted,
                begin,
                end,
                name,
            } => {
                let (submitted_ns, begin_ns, end_ns) = self.span(submitted, begin, end);
                let (task, name) = (self.known(task), self.text(name));
                self.document.executor.push(Job {
                    task,
                    submitted_ns,
                    begin_ns,
                    end_ns,
                    name,
                });
            }
            Record::Gc {
                begin,
                end,
                generation,
            } => {
                let (_, begin_ns, end_ns) = self.span(begin, begin, end);
                self.document.gc.push(Pause {
                    begin_ns,
                    end_ns,
                    generation,
                });
            }
            _ => self.tell_moment(record),
        }
    }

    fn tell_moment(&mut self, record: Record) {
        match record {
            Record::Timer { at, due, fired, task } => {
                let (at_ns, due_ns, task) = (self.until(at), (self.to_ns)(due), self.known(task));
                self.document.timers.push(Timer {
                    at_ns,
                    due_ns,
                    fired: fired.into(),
                    task,
                });
            }
            Record::Io {
                at,
                fd,
                readable,
                writable,
            } => {
                let at_ns = self.until(at);
                let (readable, writable) = (readable.into(), writable.into());
                self.document.io.push(Readiness {
                    at_ns,
                    fd,
                    readable,
                    writable,
                });
            }
            _ => {}
        }
    }

    /// The document, which lasts until `end_ticks`, or longer if an event did.
    pub(super) fn finish(mut self, end_ticks: u64) -> Document {
        let end_ns = self.until(end_ticks);
        self.document.duration_ns = self.told_until.max(end_ns);
        self.document.dropped_events = self.recording.ring.dropped();
        self.document
    }

    /// The moment of an event, which the recording lasts for at least.
    fn until(&mut self, at: u64) -> u64 {
        let at_ns = (self.to_ns)(at);
        self.told_until = self.told_until.max(at_ns);
        at_ns
    }

    /// Ready, begin and end, in this order whatever the clocks of two threads said.
    fn span(&mut self, ready: u64, begin: u64, end: u64) -> (u64, u64, u64) {
        let end_ns = self.until(end);
        let begin_ns = (self.to_ns)(begin).min(end_ns);
        ((self.to_ns)(ready).min(begin_ns), begin_ns, end_ns)
    }

    /// The task, or 0 when nothing else is known of it.
    fn known(&self, task: u32) -> u32 {
        if self.ran_until.contains_key(&task) {
            task
        } else {
            0
        }
    }

    fn string(&mut self, string: String) -> Index {
        let next = index(self.document.strings.len());
        let found = *self.strings.entry(string.clone()).or_insert(next);
        if found == next && next != NONE {
            self.document.strings.push(string);
        }
        found
    }

    fn text(&mut self, id: TextId) -> Index {
        if let Some(&found) = self.texts.get(&id) {
            return found;
        }
        let found = match self.recording.texts.text(id) {
            Some(text) => self.string(text.into_owned()),
            None => NONE,
        };
        self.texts.insert(id, found);
        found
    }

    fn site(&mut self, id: SiteId) -> Index {
        if let Some(&found) = self.sites.get(&id) {
            return found;
        }
        let found = match self.recording.sites.site(id) {
            Some((file, line, function)) => {
                let (file, function) = (self.string(file), self.string(function));
                self.document.sites.push(Site { file, line, function });
                index(self.document.sites.len() - 1)
            }
            None => NONE,
        };
        self.sites.insert(id, found);
        found
    }
}

/// The index of the row that comes next; none past two thousand million.
fn index(len: usize) -> Index {
    Index::try_from(len).unwrap_or(NONE)
}
