//! Seconds to nanoseconds and back.

use maypole_core::{NEVER_NS, deadline_ns, seconds};
use proptest::prelude::*;

/// Positive times over every magnitude that fits the clock.
fn when() -> impl Strategy<Value = f64> {
    prop_oneof![
        0.0..1.0,
        0.0..1e5,
        (0u64..NEVER_NS).prop_map(seconds),
        (-30.0..34.0).prop_map(f64::exp2),
        (0u64..NEVER_NS).prop_map(|ns| seconds(ns).next_up()),
        (0u64..1 << 52, 1u32..16).prop_map(|(ns, tenths)| seconds(ns) + f64::from(tenths) * 0.1),
    ]
}

/// Sums of tenths, as programs make them, and powers of two.
fn when_small() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-30.0..20.0).prop_map(f64::exp2),
        (0u64..1 << 51, 1u32..16).prop_map(|(ns, tenths)| seconds(ns) + f64::from(tenths) * 0.1),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn deadline_is_never_before_its_time(when_seconds in when()) {
        prop_assert!(seconds(deadline_ns(when_seconds)) >= when_seconds);
    }

    #[test]
    fn deadline_is_the_first_that_is_not_early(when_seconds in prop_oneof![0.0..4e6, when_small()]) {
        let ns = deadline_ns(when_seconds);
        prop_assert!(ns == 0 || seconds(ns - 1) < when_seconds);
    }

    #[test]
    fn deadline_of_a_long_lived_clock_is_late_by_two_gaps_at_most(when_seconds in 4e6f64..1.8e10) {
        // Neighbouring f64 values are up to 3.8 us apart near the end of the clock's range, 584 years from its start.
        let gap_ns = 1 + ((when_seconds.next_up() - when_seconds) * 1e9) as u64;
        prop_assert!(seconds(deadline_ns(when_seconds) - 2 * gap_ns) < when_seconds);
    }

    #[test]
    fn deadlines_keep_their_order(a in when(), b in when()) {
        prop_assert!(a > b || deadline_ns(a) <= deadline_ns(b));
    }

    #[test]
    fn nanoseconds_of_a_month_survive_the_trip(ns in 0u64..30 * 86_400 * 1_000_000_000) {
        prop_assert_eq!(deadline_ns(seconds(ns)), ns);
    }
}

#[test]
fn edges_of_the_clock() {
    assert_eq!(deadline_ns(f64::NAN), 0);
    assert_eq!(deadline_ns(f64::NEG_INFINITY), 0);
    assert_eq!(deadline_ns(-0.0), 0);
    assert_eq!(deadline_ns(f64::MIN_POSITIVE), 1);
    assert_eq!(deadline_ns(1e-9), 1);
    assert_eq!(deadline_ns(1e11), NEVER_NS);
    assert_eq!(deadline_ns(f64::MAX), NEVER_NS);
    assert_eq!(deadline_ns(f64::INFINITY), NEVER_NS);
    assert_eq!(seconds(0), 0.0);
}

#[test]
fn eighths_and_sixty_fourths_are_exact() {
    for n in 0..64_000_u32 {
        let when_seconds = f64::from(n) / 64.0;
        assert_eq!(deadline_ns(when_seconds), u64::from(n) * 15_625_000);
        assert_eq!(seconds(u64::from(n) * 15_625_000), when_seconds);
    }
}
