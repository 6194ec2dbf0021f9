//! Orders among equals.

use std::collections::BTreeSet;

use maypole_core::{Ties, Turn};
use proptest::prelude::*;

proptest! {
    #[test]
    fn only_equal_neighbours_change_places(seed in any::<u64>(), keys in prop::collection::vec(0u8..5, 0..40)) {
        let mut keys = keys;
        keys.sort_unstable();
        let mut items: Vec<_> = keys.iter().copied().enumerate().collect();
        Ties::new(seed).permute(&mut items, |(_, key)| *key);
        prop_assert_eq!(items.iter().map(|(_, key)| *key).collect::<Vec<_>>(), keys);
        let numbers: BTreeSet<_> = items.iter().map(|(number, _)| *number).collect();
        prop_assert_eq!(numbers.len(), items.len());
    }
}

fn run(seed: Option<u64>) -> Vec<(u64, u32)> {
    let mut turn = Turn::new();
    turn.permute_ties(seed.map(Ties::new));
    for n in 0..12 {
        turn.schedule(u64::from(n % 3), (u64::from(n % 3), n));
    }
    turn.begin(2);
    std::iter::from_fn(|| turn.take()).collect()
}

#[test]
fn seeds_reach_every_order_of_three() {
    let orders: BTreeSet<_> = (0..100)
        .map(|seed| {
            let mut items = [1, 2, 3];
            Ties::new(seed).shuffle(&mut items);
            items
        })
        .collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn turn_permutes_only_timers_with_one_deadline() {
    let plain = run(None);
    let seeded: Vec<_> = (0..20).map(|seed| run(Some(seed))).collect();
    assert!(seeded.iter().any(|order| *order != plain));
    for order in seeded {
        assert!(order.is_sorted_by_key(|(deadline_ns, _)| *deadline_ns));
        assert_eq!(
            order.iter().collect::<BTreeSet<_>>(),
            plain.iter().collect::<BTreeSet<_>>()
        );
    }
}

#[test]
fn same_seed_gives_the_same_run() {
    assert_eq!(run(Some(5)), run(Some(5)));
}

#[test]
fn enqueued_items_stay_first_in_first_out() {
    let mut turn = Turn::new();
    turn.permute_ties(Some(Ties::new(1)));
    for n in 0..50 {
        turn.enqueue(n);
    }
    turn.begin(0);
    assert!(std::iter::from_fn(|| turn.take()).eq(0..50));
}
