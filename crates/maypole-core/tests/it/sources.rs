//! The table of sources against a map of descriptor to (reader, writer), and a poller that believes the changes.

use std::collections::{BTreeMap, HashMap};

use maypole_core::{Change, Interest, Key, Sources};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    SetReader(i32),
    SetReaderOnce(i32),
    SetWriter(i32),
    Event(i32),
    RemoveReader(i32),
    RemoveWriter(i32),
    Forget(i32),
    Drain,
}

fn fd() -> impl Strategy<Value = i32> {
    prop_oneof![
        8 => 0..6,
        1 => Just(1 << 20),
        1 => Just(i32::MAX),
        1 => Just(-1),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => fd().prop_map(Step::SetReader),
        6 => fd().prop_map(Step::SetReaderOnce),
        6 => fd().prop_map(Step::SetWriter),
        6 => fd().prop_map(Step::Event),
        5 => fd().prop_map(Step::RemoveReader),
        5 => fd().prop_map(Step::RemoveWriter),
        2 => fd().prop_map(Step::Forget),
        1 => Just(Step::Drain),
    ]
}

/// What a poller would watch, had it been told every change and nothing else; and whether for one event only.
#[derive(Default)]
struct Poller(HashMap<Key, (Interest, bool)>);

impl Poller {
    fn tell(&mut self, key: Key, change: Change) {
        match change {
            Change::Unchanged => assert!(self.0.contains_key(&key)),
            Change::Add(interest) => assert_eq!(self.0.insert(key, (interest, false)), None),
            Change::Modify(interest) => {
                let before = self.0.insert(key, (interest, false));
                assert!(
                    before.is_some_and(|before| before != (interest, false)),
                    "an unknown or needless change"
                );
            }
            Change::Once(interest) => {
                assert_eq!(interest, Interest::READ);
                self.0.insert(key, (interest, true));
            }
            Change::Remove => assert!(self.0.remove(&key).is_some()),
        }
    }

    /// Reports an event; returns whether the descriptor is silent from now on.
    fn report(&mut self, key: Key) -> bool {
        let silent = self.0[&key].1;
        if silent {
            self.0.remove(&key);
        }
        silent
    }
}

type Sides = (Option<usize>, Option<usize>);

fn interest_of((reader, writer): Sides) -> Interest {
    let read = if reader.is_some() {
        Interest::READ
    } else {
        Interest::NONE
    };
    let write = if writer.is_some() {
        Interest::WRITE
    } else {
        Interest::NONE
    };
    read.union(write)
}

proptest! {
    #[test]
    fn table_and_poller_agree_with_the_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut sources = Sources::new();
        let mut poller = Poller::default();
        let mut keys: BTreeMap<i32, Key> = BTreeMap::new();
        let mut stale: Vec<Key> = Vec::new();
        let mut model: BTreeMap<i32, Sides> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::SetReader(fd) | Step::SetReaderOnce(fd) | Step::SetWriter(fd) => {
                    let sides = model.entry(fd).or_default();
                    let (side, registration) = match step {
                        Step::SetReader(_) => (&mut sides.0, sources.set_reader(fd, number)),
                        Step::SetReaderOnce(_) => (&mut sides.0, sources.set_reader_once(fd, number)),
                        _ => (&mut sides.1, sources.set_writer(fd, number)),
                    };
                    prop_assert_eq!(registration.replaced, side.replace(number));
                    prop_assert!(!stale.contains(&registration.key));
                    prop_assert_eq!(*keys.entry(fd).or_insert(registration.key), registration.key);
                    poller.tell(registration.key, registration.change);
                }
                Step::RemoveReader(fd) | Step::RemoveWriter(fd) => {
                    let sides = model.entry(fd).or_default();
                    let (side, removal) = match step {
                        Step::RemoveReader(_) => (&mut sides.0, sources.remove_reader(fd)),
                        _ => (&mut sides.1, sources.remove_writer(fd)),
                    };
                    prop_assert_eq!(removal.as_ref().map(|removal| removal.item), side.take());
                    if let Some(removal) = removal {
                        poller.tell(removal.key, removal.change);
                        prop_assert_eq!(keys[&fd], removal.key);
                    }
                }
                Step::Event(fd) => {
                    let Some(&key) = keys.get(&fd) else { continue };
                    let sides = model.entry(fd).or_default();
                    let silent = poller.report(key);
                    let fired = sources.take_fired_reader(key);
                    prop_assert_eq!(fired.as_ref().map(|fired| fired.item), sides.0.take());
                    match fired {
                        Some(fired) if silent => prop_assert_eq!(fired.change, Change::Unchanged),
                        Some(fired) => poller.tell(key, fired.change),
                        None => prop_assert!(!silent),
                    }
                }
                Step::Forget(fd) => {
                    prop_assert_eq!(sources.forget(fd), model.remove(&fd).unwrap_or_default());
                    if let Some(key) = keys.get(&fd) {
                        poller.0.remove(key);
                    }
                }
                Step::Drain => {
                    let mut drained = sources.drain();
                    let mut expected: Vec<_> = model.values().flat_map(|(r, w)| r.iter().chain(w)).copied().collect();
                    drained.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(drained, expected);
                    model.clear();
                    poller.0.clear();
                }
            }
            model.retain(|_, sides| *sides != (None, None));
            stale.extend(keys.extract_if(.., |fd, _| !model.contains_key(fd)).map(|(_, key)| key));
            prop_assert_eq!(sources.len(), model.len());
            prop_assert_eq!(poller.0.len(), model.len());
            for (fd, sides) in &model {
                prop_assert_eq!((sources.reader(*fd).copied(), sources.writer(*fd).copied()), *sides);
                prop_assert_eq!(sources.interest(*fd), interest_of(*sides));
                prop_assert_eq!(poller.0[&keys[fd]].0, interest_of(*sides));
                prop_assert_eq!(sources.fd(keys[fd]), Some(*fd));
                let (reader, writer) = sources.ready(keys[fd], true, true);
                prop_assert_eq!((reader.copied(), writer.copied()), *sides);
                prop_assert_eq!(sources.ready(keys[fd], false, false), (None, None));
            }
            for key in &stale {
                prop_assert_eq!(sources.ready(*key, true, true), (None, None));
            }
        }
    }
}

#[test]
fn both_ends_of_the_plain_table_are_found() {
    let mut sources = Sources::new();
    for fd in [0, (1 << 20) - 1, 1 << 20] {
        sources.set_reader(fd, fd);
    }
    assert_eq!(
        [0, (1 << 20) - 1, 1 << 20].map(|fd| sources.reader(fd).copied()),
        [Some(0), Some((1 << 20) - 1), Some(1 << 20)]
    );
    assert_eq!(sources.reader((1 << 20) - 2), None);
}
