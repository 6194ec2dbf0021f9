//! The time line over clocks that start over.

use maypole_flow::Monotone;
use maypole_flow::clock::SAME_CLOCK_NS;
use proptest::prelude::*;

proptest! {
    #[test]
    fn the_time_line_never_goes_back(readings in prop::collection::vec(0..10_000_000_000_u64, 1..200)) {
        let mut clock = Monotone::new();
        let mut latest_ns = 0;
        for reading_ns in readings {
            let now_ns = clock.observe(reading_ns);
            prop_assert!(now_ns >= latest_ns);
            prop_assert_eq!(now_ns, clock.latest_ns());
            latest_ns = now_ns;
        }
    }

    #[test]
    fn falling_back_adds_no_time(first in 0..u64::MAX / 4, back in 0..u64::MAX / 8) {
        let mut clock = Monotone::new();
        let now_ns = clock.observe(first);
        prop_assert_eq!(clock.observe(first.saturating_sub(back)), now_ns);
    }

    #[test]
    fn a_deadline_is_given_back_on_the_clock_that_is_read(
        first in 200_000_000_000..400_000_000_000_u64, second in 0..100_000_000_000_u64, wait in 0..1_000_000_000_u64,
    ) {
        let mut clock = Monotone::new();
        clock.observe(first);
        let now_ns = clock.observe(second);
        prop_assert_eq!(clock.reading(now_ns + wait), second + wait);
        prop_assert_eq!(clock.observe(second + wait), now_ns + wait);
    }
}

#[test]
fn a_stale_reading_of_the_same_clock_changes_no_deadline() {
    let mut clock = Monotone::new();
    clock.observe(5_000_000_000);
    clock.observe(5_000_000_000 - SAME_CLOCK_NS);
    assert_eq!(clock.reading(6_000_000_000), 6_000_000_000);
}
