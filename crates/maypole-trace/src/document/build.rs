//! From a recording to its document.
//!
//! Owns [`Recording`]. What the ring holds is what is known: events arrive nearly, not fully, in the order of their end,
//! the beginning of a task may be overwritten, and clocks of threads differ by a few ticks. The document is in order,
//! names only tasks that it knows, and no task runs twice at once.

use std::collections::{BTreeMap, HashMap};

use super::Document;
use super::draft::{Draft, Told};
use crate::event::Event;
use crate::record::Record;
use crate::ring::Ring;
use crate::sites::{SiteId, Sites, Stacks};
use crate::texts::{TextId, Texts};
use crate::words::{Kind, WaitKind};

/// A task that is not done when the recording ends.
///
/// ```
/// let task = maypole_trace::LiveTask { task: 4, ..Default::default() };
/// assert!(task.waiting.is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiveTask {
    /// Its id.
    pub task: u32,
    /// The task that made it, or 0.
    pub parent: u32,
    /// Its coroutine function.
    pub function: SiteId,
    /// Its name.
    pub name: TextId,
    /// The line that made it.
    pub made_at: SiteId,
    /// When.
    pub created_ticks: u64,
    /// What it waits for, if that is known.
    pub waiting: Option<Waiting>,
}

/// What a task waits for when the recording ends.
///
/// ```
/// use maypole_trace::{SiteId, WaitKind, Waiting};
///
/// let waiting = Waiting { since_ticks: 0, kind: WaitKind::Queue, site: SiteId::NONE, on_task: 0 };
/// assert_eq!(waiting.kind.name(), "queue");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Since when.
    pub since_ticks: u64,
    /// For what.
    pub kind: WaitKind,
    /// The line of the program that waits.
    pub site: SiteId,
    /// The task waited for, or 0.
    pub on_task: u32,
}

/// All that was recorded.
///
/// ```
/// use maypole_trace::{Event, Recording, Ring, SiteId, Sites, Stacks, Texts, Waker};
///
/// let (mut ring, mut texts, mut sites) = (Ring::new(1000), Texts::new(1000), Sites::new(1000));
/// let main = sites.intern("app.py", 12, "main");
/// ring.push(Event::created(100, 1, 0, main, texts.intern("Task-1"), SiteId::NONE));
/// ring.push(Event::step(1, main.short(), 100, 110, 150, Waker::Start, 0));
///
/// let recording = Recording { ring: &ring, texts: &texts, sites: &sites, stacks: &Stacks::new(0), live: &[] };
/// let document = recording.document(|ticks| (ticks as i64 - 100) * 10, 200);
/// assert_eq!(document.duration_ns, 1_000);
/// assert_eq!(document.steps.row(0).end_ns, 500);
/// assert_eq!(document.string(document.tasks.row(0).name), "Task-1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// The events.
    pub ring: &'a Ring,
    /// Their texts.
    pub texts: &'a Texts,
    /// Their places.
    pub sites: &'a Sites,
    /// The stacks of the stalls.
    pub stacks: &'a Stacks,
    /// The tasks that are not done.
    pub live: &'a [LiveTask],
}

impl Recording<'_> {
    /// The document, without its `program`. `to_ns` says how many nanoseconds after the beginning of the recording a tick
    /// is, and never less for a later tick; what was before the beginning counts as its first moment. The recording ended
    /// at `end_ticks`.
    #[must_use]
    pub fn document(&self, to_ns: impl Fn(u64) -> i64, end_ticks: u64) -> Document {
        let to_ns = |ticks| u64::try_from(to_ns(ticks)).unwrap_or(0);
        let mut events: Vec<Event> = self.ring.iter().copied().chain(self.last_waits()).collect();
        events.sort_by_key(|event| to_ns(event.at_ticks));
        let mut draft = Draft::new(*self, to_ns);
        draft.describe_tasks(self.tasks(&events));
        for record in events.iter().filter_map(Event::read) {
            draft.tell(record);
        }
        draft.finish(end_ticks)
    }

    /// What the living wait for, where the ring no longer tells it.
    fn last_waits(&self) -> impl Iterator<Item = Event> {
        let mut waits: HashMap<u32, bool> = HashMap::new();
        for event in self
            .ring
            .iter()
            .filter(|event| matches!(event.kind, Kind::Step | Kind::Wait))
        {
            waits.insert(event.task, event.kind == Kind::Wait);
        }
        self.live.iter().filter_map(move |live| {
            let Waiting {
                since_ticks,
                kind,
                site,
                on_task,
            } = live.waiting?;
            let told = waits.get(&live.task).copied().unwrap_or(false);
            (!told).then(|| Event::wait(since_ticks, live.task, kind, site, on_task))
        })
    }

    /// Every task of which something is told, with what its own events say.
    fn tasks(&self, events: &[Event]) -> BTreeMap<u32, Told> {
        let mut tasks: BTreeMap<u32, Told> = BTreeMap::new();
        for record in events.iter().filter_map(Event::read) {
            match record {
                Record::Created {
                    at,
                    task,
                    parent,
                    function,
                    name,
                    made_at,
                } => {
                    let told = tasks.entry(task).or_default();
                    // Told once more, it has another name.
                    told.created.get_or_insert((at, parent, name, made_at)).2 = name;
                    told.function = function;
                }
                Record::Step { task, function, .. } => {
                    let told = tasks.entry(task).or_default();
                    if told.function == SiteId::NONE {
                        told.function = function;
                    }
                }
                Record::Ended { at, task, how, error } => {
                    tasks
                        .entry(task)
                        .or_default()
                        .ended
                        .get_or_insert((at, how.into(), error));
                }
                Record::Wait { task, .. } | Record::Cancel { task, .. } => {
                    tasks.entry(task).or_default();
                }
                _ => {}
            }
        }
        for live in self.live {
            let told = tasks.entry(live.task).or_default();
            told.created
                .get_or_insert((live.created_ticks, live.parent, live.name, live.made_at));
            if told.function == SiteId::NONE {
                told.function = live.function;
            }
        }
        tasks.remove(&0);
        tasks
    }
}
