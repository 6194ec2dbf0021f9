//! The slab against a list of (key, value).

use maypole_core::{Key, Slots};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert,
    Remove(prop::sample::Index),
    RemoveStale(prop::sample::Index),
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Insert),
        8 => any::<prop::sample::Index>().prop_map(Step::Remove),
        4 => any::<prop::sample::Index>().prop_map(Step::RemoveStale),
        1 => Just(Step::Drain),
    ]
}

proptest! {
    #[test]
    fn stale_key_never_reaches_a_newer_value(steps in prop::collection::vec(step(), 1..300)) {
        let mut slots = Slots::new();
        let mut live: Vec<(Key, usize)> = Vec::new();
        let mut stale: Vec<Key> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert => {
                    let key = slots.insert(number);
                    prop_assert!(!stale.contains(&key), "a key came back");
                    prop_assert!(live.iter().all(|(other, _)| *other != key), "a key was given twice");
                    live.push((key, number));
                }
                Step::Remove(which) if !live.is_empty() => {
                    let (key, value) = live.swap_remove(which.index(live.len()));
                    prop_assert_eq!(slots.remove(key), Some(value));
                    stale.push(key);
                }
                Step::RemoveStale(which) if !stale.is_empty() => {
                    prop_assert_eq!(slots.remove(stale[which.index(stale.len())]), None);
                }
                Step::Drain => {
                    let mut drained = slots.drain();
                    drained.sort_unstable();
                    stale.extend(live.iter().map(|(key, _)| *key));
                    let mut expected: Vec<_> = live.drain(..).map(|(_, value)| value).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(drained, expected);
                }
                Step::Remove(_) | Step::RemoveStale(_) => {}
            }
            prop_assert_eq!(slots.len(), live.len());
            for (key, value) in &live {
                prop_assert_eq!(slots.get(*key), Some(value));
                prop_assert_eq!(Key::from_bits(key.to_bits()), *key);
            }
            prop_assert!(stale.iter().all(|key| !slots.contains(*key)));
            let mut walked: Vec<_> = slots.iter().map(|(key, value)| (key, *value)).collect();
            let mut expected = live.clone();
            walked.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(walked, expected);
        }
    }

    #[test]
    fn key_survives_packing(bits in any::<u64>()) {
        prop_assert_eq!(Key::from_bits(bits).to_bits(), bits);
    }
}

#[test]
fn freed_slots_are_reused_before_new_ones() {
    let mut slots = Slots::new();
    let keys: Vec<_> = (0..100).map(|number| slots.insert(number)).collect();
    for key in keys {
        slots.remove(key);
    }
    for number in 0..100 {
        let key = slots.insert(number);
        assert!(key.to_bits() & 0xffff_ffff < 100, "slot {key:?} is a new one");
    }
}
