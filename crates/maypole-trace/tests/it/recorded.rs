//! A recording by hand, for tests: the parts that a loop would own.

use maypole_trace::{
    Document, Ended, Event, LiveTask, Recording, Ring, SiteId, Sites, Stacks, TextId, Texts, WaitKind,
    Waiting, Waker,
};
use proptest::prelude::*;

pub(crate) struct Recorded {
    pub(crate) ring: Ring,
    pub(crate) texts: Texts,
    pub(crate) sites: Sites,
    pub(crate) stacks: Stacks,
    pub(crate) live: Vec<LiveTask>,
}

impl Recorded {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ring: Ring::new(capacity),
            texts: Texts::new(100),
            sites: Sites::new(100),
            stacks: Stacks::new(10),
            live: vec![],
        }
    }

    pub(crate) fn with(events: impl IntoIterator<Item = Event>) -> Self {
        let mut recorded = Self::new(1000);
        events.into_iter().for_each(|event| recorded.ring.push(event));
        recorded
    }

    pub(crate) fn document_by(&self, to_ns: impl Fn(u64) -> i64, end: u64) -> Document {
        let Self {
            ring,
            texts,
            sites,
            stacks,
            live,
        } = self;
        Recording {
            ring,
            texts,
            sites,
            stacks,
            live,
        }
        .document(to_ns, end)
    }

    /// The document, one nanosecond a tick, from tick `begin` on.
    pub(crate) fn document_from(&self, begin: u64, end: u64) -> Document {
        self.document_by(|ticks| ticks as i64 - begin as i64, end)
    }

    pub(crate) fn document(&self, end: u64) -> Document {
        self.document_from(0, end)
    }
}

pub(crate) fn json(document: &Document) -> Vec<u8> {
    let mut json = vec![];
    document.write_json(&mut json).unwrap();
    json
}

/// Any event, also one that no loop would write.
pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let small = || 0_u32..6;
    (
        0_usize..15,
        (0_u64..100, 0_u64..100, 0_u64..100),
        (small(), small(), small()),
        0_usize..12,
    )
        .prop_map(|(kind, (x, y, z), (task, other, index), word)| {
            let (site, text) = (SiteId(index), TextId(index));
            let waker = Waker::ALL[word % Waker::ALL.len()];
            match kind {
                0 => Event::created(x, task, other, site, text, SiteId::NONE),
                1 | 14 => Event::step(task, site.short(), x, y, z, waker, other),
                2 => Event::wait(x, task, WaitKind::ALL[word], site, other),
                3 => Event::ended(x, task, Ended::ALL[word % 3], text),
                4 => Event::cancel(x, task, other),
                5 => Event::callback(x, y, z, text, waker, task),
                6 => Event::turn(x, y, index),
                7 => Event::poll(x, y, index, word > 5),
                8 => Event::timer_set(x, y, task),
                9 => Event::timer_fired(x, y, task),
                10 => Event::io(x, index as i32, word > 5, true),
                11 => Event::executor(task, x, y, z, text),
                12 => Event::stall(x, y, task, text, index),
                _ => Event::mark(x, task, text, TextId::numbered(other)),
            }
        })
}

/// A recording of them, in which some texts, places and a stack can be named.
pub(crate) fn recorded_of(events: Vec<Event>, capacity: usize, live: &[u32]) -> Recorded {
    let mut recorded = Recorded::new(capacity);
    for text in ["a", "b", "c"] {
        recorded.texts.intern(text);
        recorded.sites.intern(text, 1, "function");
    }
    recorded.stacks.push(&[SiteId(0), SiteId(2), SiteId(9)]);
    events.into_iter().for_each(|event| recorded.ring.push(event));
    let waiting = Some(Waiting {
        since_ticks: 40,
        kind: WaitKind::Lock,
        site: SiteId(1),
        on_task: 3,
    });
    recorded.live = live
        .iter()
        .map(|task| LiveTask {
            task: *task,
            waiting,
            ..LiveTask::default()
        })
        .collect();
    recorded
}
