//! Sleeping.
use std::time::Duration;

use maypole::{Instant, join_all, run, run_virtual, sleep, sleep_until, spawn, yield_now};

use crate::log::Log;

#[test]
fn real_sleep_is_never_early() {
    run(async {
        for length_us in [0, 1, 50, 999, 1_500] {
            let (length, began) = (Duration::from_micros(length_us), std::time::Instant::now());
            sleep(length).await;
            assert!(began.elapsed() >= length);
        }
    });
}

#[test]
fn sleep_of_nothing_lets_others_run() {
    let log = Log::new();
    run(async {
        let written = log.clone();
        let other = spawn(async move { written.push("other") });
        sleep(Duration::ZERO).await;
        log.push("sleeper");
        other.await.unwrap();
    });
    assert_eq!(log.take(), ["other", "sleeper"]);
}

#[test]
fn passed_deadlines_end_in_their_order() {
    let log = Log::new();
    run_virtual(async {
        let began = Instant::now();
        sleep(Duration::from_secs(100)).await;
        join_all([30, 10, 20].map(|seconds| {
            let log = log.clone();
            async move {
                sleep_until(began + Duration::from_secs(seconds)).await;
                log.push(seconds);
            }
        }))
        .await;
        assert_eq!(began.elapsed(), Duration::from_secs(100));
    });
    assert_eq!(log.take(), [10, 20, 30]);
}

#[test]
fn sleep_counts_from_its_first_poll() {
    run_virtual(async {
        let (began, nap) = (Instant::now(), sleep(Duration::from_secs(10)));
        sleep(Duration::from_secs(5)).await;
        nap.await;
        assert_eq!(began.elapsed(), Duration::from_secs(15));
    });
}

#[test]
fn sleep_moved_to_another_task_wakes_that_one() {
    run_virtual(async {
        let began = Instant::now();
        let mut nap = Box::pin(sleep(Duration::from_secs(10)));
        assert!(
            maypole::timeout(Duration::from_secs(1), nap.as_mut())
                .await
                .is_err()
        );
        spawn(nap).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    });
}

#[test]
fn dropped_sleep_holds_nothing_back() {
    run_virtual(async {
        let began = Instant::now();
        let mut nap = Box::pin(sleep(Duration::from_secs(3600)));
        std::future::poll_fn(|context| {
            assert!(nap.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(nap);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    });
}

#[test]
fn longest_sleep_does_not_overflow() {
    run_virtual(async {
        let forever = spawn(sleep(Duration::MAX));
        sleep(Duration::from_secs(1)).await;
        assert!(!forever.is_finished());
    });
}

#[test]
fn polled_again_after_its_end_a_sleep_is_over() {
    run_virtual(async {
        let mut nap = Box::pin(sleep(Duration::from_secs(1)));
        nap.as_mut().await;
        nap.as_mut().await;
    });
}

#[test]
fn sleep_without_a_loop_says_so() {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::pin::pin!(sleep(Duration::ZERO)).as_mut().poll(&mut context)
    }));
    let payload = polled.unwrap_err();
    assert_eq!(
        payload.downcast_ref::<String>().unwrap(),
        "maypole::sleep: no running maypole loop on this thread"
    );
}

#[test]
fn order_of_timers_is_their_order_however_many_turns_pass_between() {
    let log = Log::new();
    run_virtual(async {
        let naps = (0..1_000_u64).map(|number| {
            let log = log.clone();
            spawn(async move {
                for _ in 0..number % 5 {
                    yield_now().await;
                }
                let seconds = number * 7_919 % 1_000;
                sleep(Duration::from_secs(seconds)).await;
                log.push(seconds);
            })
        });
        join_all(naps.collect::<Vec<_>>()).await;
    });
    let order = log.take();
    assert!(order.len() == 1_000 && order.is_sorted());
}
