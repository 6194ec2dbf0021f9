//! The virtual clock: jumps, deadlocks, spins.
use std::time::Duration;

use maypole::{Instant, join_all, run_virtual, sleep, spawn, yield_now};

fn panic_text(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
    std::panic::catch_unwind(run)
        .unwrap_err()
        .downcast_ref::<String>()
        .unwrap()
        .clone()
}

#[test]
fn hundred_thousand_sleepers_take_no_time_and_keep_their_order() {
    const SLEEPERS: u64 = 100_000;
    let (order, elapsed) = run_virtual(async {
        let began = Instant::now();
        let naps = (0..SLEEPERS).map(|number| async move {
            let seconds = number * 7_919 % SLEEPERS;
            sleep(Duration::from_secs(seconds)).await;
            seconds
        });
        let mut outputs = maypole::as_completed(naps);
        let mut order = Vec::new();
        while let Some(seconds) = outputs.next().await {
            order.push(seconds);
        }
        (order, began.elapsed())
    });
    assert!(order.into_iter().eq(0..SLEEPERS));
    assert_eq!(elapsed, Duration::from_secs(SLEEPERS - 1));
}

#[test]
fn hundred_thousand_tasks_sleep_too() {
    let total = run_virtual(async {
        let tasks = (0..100_000_u64).map(|number| {
            spawn(async move {
                sleep(Duration::from_millis(number * 31 % 10_007)).await;
                number
            })
        });
        join_all(tasks.collect::<Vec<_>>())
            .await
            .into_iter()
            .map(Result::unwrap)
            .sum::<u64>()
    });
    assert_eq!(total, (0..100_000).sum());
}

#[test]
fn time_stands_while_anything_runs() {
    run_virtual(async {
        let began = Instant::now();
        for _ in 0..1_000 {
            yield_now().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}

#[test]
fn deadlock_names_the_places_where_tasks_were_spawned() {
    let text = panic_text(|| {
        run_virtual(async {
            let waits_for_ever = spawn(std::future::pending::<()>());
            waits_for_ever.await.unwrap();
        });
    });
    assert!(text.starts_with("maypole: deadlock: "), "{text}");
    assert!(
        text.contains("; nor the task spawned at ") && text.contains("clock.rs:"),
        "{text}"
    );
}

#[test]
fn spin_is_found() {
    let text = panic_text(|| {
        run_virtual(async {
            loop {
                yield_now().await;
            }
        });
    });
    assert!(
        text.starts_with("maypole: spin: the loop turned 20000 times"),
        "{text}"
    );
}
