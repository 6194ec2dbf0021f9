use maypole_trace::Histogram;
use proptest::prelude::*;

fn of(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    values.iter().for_each(|value| histogram.record(*value));
    histogram
}

#[test]
fn small_values_are_exact() {
    let histogram = of(&[0, 0, 3, 15]);
    assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(0, 2), (3, 1), (15, 1)]);
}

#[test]
fn the_highest_value_has_a_bucket() {
    let histogram = of(&[u64::MAX, u64::MAX]);
    assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(u64::MAX, 2)]);
    assert_eq!((histogram.sum(), histogram.max()), (u64::MAX, u64::MAX));
}

#[test]
fn a_quantile_is_refused_until_its_tail_is_known() {
    for (q, needed) in [(0.5, 10), (0.9, 100), (0.99, 1_000), (0.999, 10_000), (0.1, 100)] {
        let mut histogram = of(&vec![7; needed - 1]);
        assert_eq!(histogram.quantile(q), None, "{q}");
        histogram.record(7);
        assert_eq!(histogram.quantile(q), Some(7), "{q}");
    }
}

#[test]
fn no_number_of_values_gives_a_quantile_that_is_none() {
    let histogram = of(&[1; 1000]);
    for q in [-0.1, 0.0, 1.0, 1.5, f64::NAN, f64::INFINITY] {
        assert_eq!(histogram.quantile(q), None, "{q}");
    }
}

proptest! {
    #[test]
    fn a_bucket_is_less_than_an_eighth_above_its_values(value in any::<u64>(), bits in 0_u32..64) {
        let value = value >> bits;
        let (upper, _) = of(&[value]).buckets().next().unwrap();
        prop_assert!(upper >= value);
        prop_assert!(upper - value <= value / 8);
    }

    #[test]
    fn buckets_rise_and_hold_every_value(values in prop::collection::vec(any::<u64>(), 0..200)) {
        let histogram = of(&values);
        let buckets: Vec<_> = histogram.buckets().collect();
        prop_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
        prop_assert_eq!(histogram.count(), values.len() as u64);
    }

    #[test]
    fn a_quantile_is_near_the_sorted_value(mut values in prop::collection::vec(0_u64..1_000_000, 100..300)) {
        let quantile = of(&values).quantile(0.9).unwrap();
        values.sort_unstable();
        let true_value = values[(values.len() * 9).div_ceil(10) - 1];
        prop_assert!((true_value..=true_value + true_value / 8).contains(&quantile));
    }

    #[test]
    fn merging_is_counting_both(left in prop::collection::vec(any::<u32>(), 0..50), right in prop::collection::vec(any::<u32>(), 0..50)) {
        let wide = |values: &[u32]| values.iter().map(|value| u64::from(*value)).collect::<Vec<_>>();
        let mut merged = of(&wide(&left));
        merged.merge(&of(&wide(&right)));
        let both = of(&[wide(&left), wide(&right)].concat());
        prop_assert_eq!(merged.buckets().collect::<Vec<_>>(), both.buckets().collect::<Vec<_>>());
        prop_assert_eq!((merged.count(), merged.sum(), merged.max()), (both.count(), both.sum(), both.max()));
    }
}
