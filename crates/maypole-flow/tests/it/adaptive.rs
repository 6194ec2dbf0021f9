//! Adaptive limits: the bounds, and where they settle against a server that is a queue.

use maypole_flow::{AdaptiveLimit, AdaptiveSettings, Algorithm, Sample};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![
        (MS..1_000 * MS).prop_map(|target_ns| Algorithm::Aimd { target_ns }),
        (MS..20_000 * MS).prop_map(|probe_every_ns| Algorithm::Gradient { probe_every_ns }),
        (MS..20_000 * MS).prop_map(|probe_every_ns| Algorithm::Vegas { probe_every_ns }),
    ]
}

proptest! {
    #[test]
    fn the_limit_stays_in_its_bounds(
        algorithm in algorithm(),
        min in 1..10_u64,
        calls in prop::collection::vec((0..500 * MS, 1..2_000 * MS, 0..100_u64, 0..10_u8), 1..500),
    ) {
        let settings = AdaptiveSettings { algorithm, min, max: 50, initial: 20, window_ns: 1_000 * MS, samples_min: 3 };
        let mut limit = AdaptiveLimit::new(settings).unwrap();
        let mut now_ns = 0;
        for (later_ns, took_ns, in_flight, kind) in calls {
            now_ns += later_ns;
            let sample = match kind { 0 => Sample::Overload, 1 => Sample::Drop, _ => Sample::Time };
            let before = limit.limit();
            let moved = limit.sample(now_ns, took_ns, in_flight, sample);
            prop_assert_eq!(moved.unwrap_or(before), limit.limit());
            let lowest = if matches!(algorithm, Algorithm::Gradient { .. }) { 1 } else { min };
            prop_assert!((lowest..=50).contains(&limit.limit()), "{}", limit.limit());
        }
    }
}

/// A closed server: what is under way shares `slots`, each call takes `service_ns` when there is no queue.
fn settle(algorithm: Algorithm, slots: u64, windows: u32) -> f64 {
    let settings = AdaptiveSettings {
        algorithm,
        min: 1,
        max: 500,
        initial: 100,
        window_ns: 1_000 * MS,
        samples_min: 10,
    };
    let mut limit = AdaptiveLimit::new(settings).unwrap();
    let service_ns = 50 * MS;
    let mut now_ns = 0;
    let mut seen = Vec::new();
    for _ in 0..windows {
        for _ in 0..11 {
            now_ns += 100 * MS;
            let in_flight = limit.limit();
            let took_ns = service_ns * in_flight.max(slots) / slots;
            limit.sample(now_ns, took_ns, in_flight, Sample::Time);
        }
        seen.push(limit.limit() as f64);
    }
    let half = &seen[seen.len() / 2..];
    half.iter().sum::<f64>() / half.len() as f64
}

#[test]
fn aimd_settles_where_the_mean_time_is_the_target() {
    let found = settle(Algorithm::Aimd { target_ns: 100 * MS }, 10, 400);
    assert!((18.0..=21.0).contains(&found), "{found}"); // 20 at once take 100 ms
}

#[test]
fn the_gradient_settles_near_the_slots_without_a_target() {
    let found = settle(
        Algorithm::Gradient {
            probe_every_ns: 60_000 * MS,
        },
        10,
        400,
    );
    assert!((11.0..=25.0).contains(&found), "{found}");
}

#[test]
fn vegas_keeps_a_small_queue() {
    let found = settle(
        Algorithm::Vegas {
            probe_every_ns: 10_000_000 * MS,
        },
        10,
        400,
    );
    assert!(
        (100.0..=500.0).contains(&found) || (10.0..=25.0).contains(&found),
        "{found}"
    );
}

#[test]
fn an_answer_that_never_comes_shrinks_the_limit() {
    let settings = AdaptiveSettings {
        algorithm: Algorithm::Aimd { target_ns: 100 * MS },
        min: 5,
        max: 100,
        initial: 100,
        window_ns: 1_000 * MS,
        samples_min: 10,
    };
    let mut limit = AdaptiveLimit::new(settings).unwrap();
    for second in 0..100 {
        limit.sample(second * 1_000 * MS, 1_000 * MS, 100, Sample::Overload);
    }
    assert_eq!(limit.limit(), 5);
}
