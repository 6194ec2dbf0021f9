//! The histogram's promise: counts and sums exact, quantiles at most a quarter too high.

use maypole_flow::Waits;
use proptest::prelude::*;

proptest! {
    #[test]
    fn quantiles_are_at_most_a_quarter_above_the_truth(
        mut values in prop::collection::vec(1_024..1_u64 << 46, 1..200), q in 0.0..=1.0_f64,
    ) {
        let mut waits = Waits::new();
        values.iter().for_each(|ns| waits.record(*ns));
        values.sort_unstable();
        prop_assert_eq!(waits.count(), values.len() as u64);
        prop_assert_eq!(waits.total_ns(), values.iter().sum::<u64>());
        prop_assert_eq!(waits.longest_ns(), *values.last().unwrap());
        let rank = ((values.len() as f64 * q).ceil() as usize).max(1);
        let truth = values[rank - 1];
        let found = waits.quantile_ns(q);
        prop_assert!(found >= truth, "{found} < {truth}");
        prop_assert!(found as f64 <= truth as f64 * 1.25, "{found} > {truth} * 1.25");
    }
}

#[test]
fn the_shortest_and_the_longest_durations_are_counted_too() {
    let mut waits = Waits::new();
    assert_eq!(waits.quantile_ns(0.5), 0);
    waits.record(0);
    waits.record(u64::MAX);
    assert_eq!(waits.count(), 2);
    assert_eq!(waits.quantile_ns(0.0), 1 << 10);
    assert_eq!(waits.quantile_ns(1.0), u64::MAX);
    assert_eq!(waits.total_ns(), u64::MAX);
}
