//! The budget's bound, under random histories.

use maypole_flow::RetryBudget;
use proptest::prelude::*;

proptest! {
    #[test]
    fn retries_stay_within_the_budget_of_the_last_ten_seconds(
        ratio in 0.0..2.0_f64,
        per_s in 0.0..5.0_f64,
        steps in prop::collection::vec((0..2_000_000_000_u64, prop::bool::weighted(0.4)), 1..400),
    ) {
        let mut budget = RetryBudget::new(ratio, per_s).unwrap();
        let mut now_ns = 0;
        let mut calls: Vec<u64> = Vec::new();
        let mut retries: Vec<u64> = Vec::new();
        for (later_ns, call) in steps {
            now_ns += later_ns;
            let oldest = (now_ns / 1_000_000_000).saturating_sub(9);
            let recent = |times: &[u64]| times.iter().filter(|at| **at / 1_000_000_000 >= oldest).count() as f64;
            let balance = per_s * 10.0 + ratio * recent(&calls) - recent(&retries);
            prop_assert!((budget.balance(now_ns) - balance.max(0.0)).abs() < 1e-6);
            if call {
                budget.deposit(now_ns);
                calls.push(now_ns);
            } else if budget.try_withdraw(now_ns) {
                prop_assert!(balance >= 1.0 - 1e-6);
                retries.push(now_ns);
            } else {
                prop_assert!(balance < 1.0);
            }
        }
        prop_assert_eq!(budget.allowed(), retries.len() as u64);
    }
}
