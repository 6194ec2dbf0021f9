//! When shedding begins and ends, under random delays.

use maypole_flow::Shedder;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

proptest! {
    #[test]
    fn it_sheds_only_after_an_interval_above_the_target(
        delays in prop::collection::vec((0..60 * MS, prop_oneof![0..5 * MS, 6 * MS..200 * MS]), 1..400),
    ) {
        let (target_ns, interval_ns) = (5 * MS, 100 * MS);
        let mut shedder = Shedder::new(target_ns, interval_ns).unwrap();
        let mut now_ns = 0;
        let mut above_since_ns = None;
        let mut first = true;
        for (later_ns, delay_ns) in delays {
            now_ns += later_ns;
            shedder.observe(now_ns, delay_ns);
            if delay_ns <= target_ns {
                above_since_ns = None;
                prop_assert!(!shedder.sheds(), "one good delay ends it");
                continue;
            }
            let since_ns = *above_since_ns.get_or_insert(now_ns);
            if now_ns - since_ns >= interval_ns {
                prop_assert!(shedder.sheds(), "late for a whole interval");
                first = false;
            } else if first {
                prop_assert!(!shedder.sheds(), "a short delay is no overload");
            }
        }
    }
}
