//! The clocks agree with each other.
use maypole_sys::{StampClock, monotonic_ns, stamp};

#[test]
fn stamps_convert_to_the_monotonic_clock() {
    let mut clock = StampClock::new();
    for _ in 0..3 {
        let before_ns = monotonic_ns();
        let stamped_ns = clock.to_ns(clock.now());
        let after_ns = monotonic_ns();
        // 0.2 % of this program's life is the most a trusted counter may be off.
        let tolerance_ns = 1_000_000;
        assert!(stamped_ns + tolerance_ns >= before_ns && stamped_ns <= after_ns + tolerance_ns);
        clock.refine();
    }
}

#[test]
fn stamps_of_all_clocks_compare() {
    let (one, other) = (StampClock::new(), StampClock::new());
    let (first, second, third) = (one.now(), stamp(), other.now());
    assert!(first <= second && second <= third);
    assert_eq!(one.source(), other.source());
}

#[test]
fn monotonic_clock_is_the_one_of_the_standard_library() {
    let (before, before_ns) = (std::time::Instant::now(), monotonic_ns());
    let spun = std::iter::repeat_with(monotonic_ns)
        .take_while(|now_ns| now_ns - before_ns < 100_000)
        .count();
    assert!(spun > 0);
    assert!(before.elapsed().as_nanos() >= 100_000);
}
