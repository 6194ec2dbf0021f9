//! Tasks: order, ends, panics, cancellation.
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use maypole::{Runtime, run, run_virtual, sleep, spawn, try_spawn, yield_now};

use crate::log::{Log, WritesOnDrop};

#[test]
fn tasks_step_in_the_order_they_were_spawned_turn_by_turn() {
    let log = Log::new();
    run(async {
        let handles = [0, 1, 2].map(|task| {
            let log = log.clone();
            spawn(async move {
                for step in 0..3 {
                    log.push((step, task));
                    yield_now().await;
                }
            })
        });
        for handle in handles {
            handle.await.unwrap();
        }
    });
    let wanted: Vec<_> = (0..3)
        .flat_map(|step| (0..3).map(move |task| (step, task)))
        .collect();
    assert_eq!(log.take(), wanted);
}

#[test]
fn task_that_always_yields_does_not_keep_timers_away() {
    let ended = run(async {
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        busy.abort();
        busy.await
    });
    assert!(ended.unwrap_err().is_cancelled());
}

#[test]
fn panic_in_a_task_leaves_the_loop_and_the_others_alive() {
    let (outcome, other) = run(async {
        let reason = String::from("no luck");
        let broken = spawn(async move {
            yield_now().await;
            panic!("{reason}");
        });
        let other = spawn(async {
            for _ in 0..10 {
                yield_now().await;
            }
            "alive"
        });
        (broken.await, other.await.unwrap())
    });
    let error = outcome.map(|(): ()| ()).unwrap_err();
    assert_eq!(error.to_string(), "the task panicked: no luck");
    assert_eq!(
        error.into_panic().unwrap().downcast_ref::<String>().unwrap(),
        "no luck"
    );
    assert_eq!(other, "alive");
}

#[test]
fn panics_in_destructors_are_contained() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    run(async {
        let held = PanicsOnDrop;
        let cancelled = spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        cancelled.abort();
        assert!(cancelled.await.unwrap_err().is_panic());

        drop(spawn(async { PanicsOnDrop })); // nobody takes the output
        yield_now().await;
        yield_now().await;
    });
}

#[test]
fn panic_in_the_main_future_goes_through_and_the_loop_stays_usable() {
    let mut runtime = Runtime::builder().build().unwrap();
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.run(async {
            yield_now().await;
            panic!("main");
        })
    }));
    assert_eq!(broken.map(|(): ()| ()).unwrap_err().downcast_ref(), Some(&"main"));
    assert_eq!(runtime.run(async { spawn(async { 5 }).await.unwrap() }), 5);
    assert_eq!(run(async { 6 }), 6);
}

#[test]
fn abort_drops_the_future_in_the_next_turn() {
    let log = Log::new();
    run(async {
        let guard = WritesOnDrop(log.clone(), "dropped");
        let handle = spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        handle.abort();
        handle.abort();
        log.push("aborted");
        assert!(handle.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.take(), ["aborted", "dropped"]);
}

#[test]
fn task_aborted_before_its_first_step_never_runs() {
    let log = Log::new();
    run(async {
        let written = log.clone();
        let handle = spawn(async move { written.push("ran") });
        handle.abort();
        assert!(handle.await.unwrap_err().is_cancelled());
    });
    assert!(log.take().is_empty());
}

#[test]
fn abort_after_the_end_changes_nothing() {
    let outcome = run(async {
        let handle = spawn(async { 1 });
        yield_now().await;
        handle.abort();
        handle.await
    });
    assert_eq!(outcome.unwrap(), 1);
}

#[test]
fn task_that_aborts_itself_is_dropped_when_it_waits() {
    let log = Log::new();
    let outcome = run(async {
        let own: Rc<Cell<Option<maypole::JoinHandle<()>>>> = Rc::default();
        let (seen, written) = (Rc::clone(&own), log.clone());
        let handle = spawn(async move {
            yield_now().await;
            let own = seen.take().unwrap();
            own.abort();
            written.push("still running");
            seen.set(Some(own));
            yield_now().await;
            written.push("never");
        });
        own.set(Some(handle));
        for _ in 0..5 {
            yield_now().await;
        }
        own.take().unwrap().await
    });
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(log.take(), ["still running"]);
}

#[test]
fn dropped_handle_detaches_its_task() {
    let log = Log::new();
    run_virtual(async {
        let written = log.clone();
        drop(spawn(async move {
            sleep(Duration::from_secs(1)).await;
            written.push("ran on");
        }));
        sleep(Duration::from_secs(2)).await;
    });
    assert_eq!(log.take(), ["ran on"]);
}

#[test]
#[expect(clippy::async_yields_async, reason = "the handle is to outlive the run")]
fn end_of_the_loop_drops_what_still_runs() {
    let log = Log::new();
    let handle = run(async {
        let guard = WritesOnDrop(log.clone(), "dropped");
        let handle = spawn(async move {
            let _guard = guard;
            sleep(Duration::from_secs(3600)).await;
        });
        yield_now().await;
        handle
    });
    assert_eq!(log.take(), ["dropped"]);
    assert!(run(handle).unwrap_err().is_cancelled());
}

#[test]
fn spawning_while_the_loop_closes_gives_a_cancelled_task() {
    struct SpawnsOnDrop(Log<bool>);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            let late = try_spawn(std::future::pending::<()>());
            self.0.push(late.is_ok_and(|handle| handle.is_finished()));
        }
    }
    let log = Log::new();
    run(async {
        let guard = SpawnsOnDrop(log.clone());
        drop(spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }));
        yield_now().await;
    });
    assert_eq!(log.take(), [true]);
}

#[test]
#[expect(clippy::async_yields_async, reason = "the handle is to outlive the run")]
fn tasks_live_on_between_two_runs_of_one_runtime() {
    let mut runtime = Runtime::builder().virtual_clock().build().unwrap();
    let handle = runtime.run(async {
        spawn(async {
            sleep(Duration::from_secs(1)).await;
            "later"
        })
    });
    assert!(!handle.is_finished());
    assert_eq!(runtime.run(handle).unwrap(), "later");
}

#[test]
fn run_inside_of_run_is_refused() {
    let inner = run(async { std::panic::catch_unwind(|| run(async {})) });
    let payload = inner.unwrap_err();
    let text = payload.downcast_ref::<&str>().unwrap();
    assert!(text.contains("whose maypole loop is running"), "{text}");
}

#[test]
fn spawn_without_a_loop_says_so() {
    let payload = std::panic::catch_unwind(|| drop(spawn(async {}))).unwrap_err();
    let text = payload.downcast_ref::<String>().unwrap();
    assert_eq!(text, "maypole::spawn: no running maypole loop on this thread");
}

#[test]
fn stale_waker_of_an_ended_task_wakes_nobody_else() {
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    run(async move {
        let waker = spawn(std::future::poll_fn(|context| {
            std::task::Poll::Ready(context.waker().clone())
        }))
        .await
        .unwrap();
        let quiet = spawn(std::future::poll_fn(move |_| {
            counted.set(counted.get() + 1);
            std::task::Poll::<()>::Pending
        }));
        yield_now().await;
        waker.wake_by_ref();
        waker.wake();
        yield_now().await;
        yield_now().await;
        drop(quiet);
    });
    assert_eq!(polls.get(), 1);
}

#[test]
fn many_wakes_make_one_poll() {
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    run(async move {
        drop(spawn(std::future::poll_fn(move |context| {
            counted.set(counted.get() + 1);
            if counted.get() == 1 {
                for _ in 0..10 {
                    context.waker().wake_by_ref();
                }
            }
            std::task::Poll::<()>::Pending
        })));
        for _ in 0..5 {
            yield_now().await;
        }
    });
    assert_eq!(polls.get(), 2);
}
