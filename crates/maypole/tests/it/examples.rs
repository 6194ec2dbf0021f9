//! The five tasks of the examples, on the virtual clock.
#[path = "../../examples/five_tasks/mod.rs"]
mod five_tasks;

use maypole::{Instant, run_virtual};

#[test]
fn wait_random_sleeps_what_it_returns() {
    run_virtual(async {
        for _ in 0..100 {
            let began = Instant::now();
            let delay = five_tasks::wait_random(10.0).await;
            assert!((0.0..=10.0).contains(&delay));
            assert_eq!(began.elapsed().as_secs_f64(), delay);
        }
    });
}

#[test]
fn wait_n_is_ascending_and_as_long_as_its_longest() {
    run_virtual(async {
        let began = Instant::now();
        let delays = five_tasks::wait_n(100_000, 10.0).await;
        assert!(delays.len() == 100_000 && delays.is_sorted());
        assert_eq!(Some(&began.elapsed().as_secs_f64()), delays.last());
        assert_eq!(five_tasks::wait_n(10, 0.0).await, [0.0; 10]);
        assert!(five_tasks::wait_n(0, 10.0).await.is_empty());
    });
}

#[test]
fn task_wait_n_is_ascending_too() {
    run_virtual(async {
        let delays = five_tasks::task_wait_n(10_000, 10.0).await.unwrap();
        assert!(delays.len() == 10_000 && delays.is_sorted());
    });
}

#[test]
fn task_wait_random_starts_by_itself() {
    run_virtual(async {
        let task = five_tasks::task_wait_random(5.0);
        maypole::sleep(std::time::Duration::from_secs(5)).await;
        assert!(task.is_finished());
        assert!((0.0..=5.0).contains(&task.await.unwrap()));
    });
}

#[test]
fn measure_time_is_time_per_wait() {
    assert!(five_tasks::measure_time(10, 0.01) <= 1.0);
    assert!(five_tasks::measure_time(0, 0.01).is_nan());
}
