//! A recording by hand, for tests: the parts that a loop would own.

use maypole_trace::{Document, Event, LiveTask, Recording, Ring, Sites, Stacks, Texts};

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

    /// The document, one nanosecond a tick, from tick `begin` on.
    pub(crate) fn document_from(&self, begin: u64, end: u64) -> Document {
        let Self {
            ring,
            texts,
            sites,
            stacks,
            live,
        } = self;
        let recording = Recording {
            ring,
            texts,
            sites,
            stacks,
            live,
        };
        recording.document(|ticks| ticks as i64 - begin as i64, end)
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
