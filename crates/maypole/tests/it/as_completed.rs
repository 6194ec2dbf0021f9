//! `as_completed`.
use std::time::Duration;

use maypole::{as_completed, run, run_virtual, sleep, spawn, timeout};

async fn nap(seconds: u64) -> u64 {
    sleep(Duration::from_secs(seconds)).await;
    seconds
}

#[test]
fn outputs_come_in_the_order_of_completion() {
    let order = run_virtual(async {
        let mut outputs = as_completed([4, 2, 9, 1, 3].map(nap));
        let mut order = Vec::new();
        while let Some(seconds) = outputs.next().await {
            order.push((seconds, outputs.left()));
        }
        order
    });
    assert_eq!(order, [(1, 4), (2, 3), (3, 2), (4, 1), (9, 0)]);
}

#[test]
fn equal_times_come_in_the_order_of_the_input() {
    let order = run_virtual(async {
        let mut outputs = as_completed((0..50).map(|number| async move {
            sleep(Duration::from_secs(1)).await;
            number
        }));
        let mut order = Vec::new();
        while let Some(number) = outputs.next().await {
            order.push(number);
        }
        order
    });
    assert!(order.is_sorted() && order.len() == 50);
}

#[test]
fn tasks_come_in_the_order_of_completion_too() {
    let order = run_virtual(async {
        let mut outputs = as_completed([3, 1, 2].map(|seconds| spawn(nap(seconds))));
        let mut order = Vec::new();
        while let Some(outcome) = outputs.next().await {
            order.push(outcome.unwrap());
        }
        order
    });
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn next_that_is_given_up_loses_no_output() {
    let order = run_virtual(async {
        let mut outputs = as_completed([2, 4].map(nap));
        let mut order = Vec::new();
        while outputs.left() > 0 {
            if let Ok(Some(seconds)) = timeout(Duration::from_secs(1), outputs.next()).await {
                order.push(seconds);
            }
        }
        assert_eq!(outputs.next().await, None);
        order
    });
    assert_eq!(order, [2, 4]);
}

#[test]
fn early_leaver_drops_the_rest() {
    let first = run(async {
        let mut outputs = as_completed([nap(3600), nap(0)]);
        outputs.next().await
    });
    assert_eq!(first, Some(0));
}
