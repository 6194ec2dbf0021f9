//! `timeout`.
use std::time::Duration;

use maypole::{Instant, run_virtual, sleep, timeout};

use crate::log::{Log, WritesOnDrop};

#[test]
fn slow_future_is_dropped_when_the_time_is_over() {
    let log = Log::new();
    run_virtual(async {
        let (began, guard) = (Instant::now(), WritesOnDrop(log.clone(), "dropped"));
        let outcome = timeout(Duration::from_secs(5), async move {
            let _guard = guard;
            sleep(Duration::from_secs(10)).await;
        })
        .await;
        assert_eq!(outcome.unwrap_err().to_string(), "not done after 5s");
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    });
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn quick_future_takes_its_alarm_along() {
    run_virtual(async {
        let began = Instant::now();
        assert_eq!(timeout(Duration::from_secs(3600), async { 1 }).await, Ok(1));
        assert_eq!(
            timeout(Duration::from_secs(3600), sleep(Duration::from_secs(1))).await,
            Ok(())
        );
        sleep(Duration::from_secs(1)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    });
}

#[test]
fn no_time_at_all_is_enough_for_what_is_done() {
    run_virtual(async {
        assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
        assert!(
            timeout(Duration::ZERO, std::future::pending::<()>())
                .await
                .is_err()
        );
    });
}

#[test]
fn tie_goes_to_the_future() {
    run_virtual(async {
        let length = Duration::from_secs(1);
        assert_eq!(timeout(length, sleep(length)).await, Ok(()));
    });
}

#[test]
fn inner_timeout_of_two_ends_first() {
    run_virtual(async {
        let inner = timeout(Duration::from_secs(1), std::future::pending::<()>());
        let outer = timeout(Duration::from_secs(2), inner).await;
        assert!(outer.unwrap().is_err());
    });
}
