//! `join_all`.
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use maypole::{Instant, join_all, run, run_virtual, sleep, timeout, yield_now};

use crate::log::{Log, WritesOnDrop};

#[test]
fn outputs_come_in_the_order_of_the_input() {
    let outputs = run_virtual(join_all([5, 1, 3, 1].map(|seconds| async move {
        sleep(Duration::from_secs(seconds)).await;
        seconds
    })));
    assert_eq!(outputs, [5, 1, 3, 1]);
}

#[test]
fn nothing_to_join_is_done_at_once() {
    let outputs: Vec<u8> = run(join_all(std::iter::empty::<std::future::Ready<u8>>()));
    assert!(outputs.is_empty());
}

#[test]
fn all_run_at_once() {
    run_virtual(async {
        let began = Instant::now();
        join_all((0..1_000).map(|_| sleep(Duration::from_secs(7)))).await;
        assert_eq!(began.elapsed(), Duration::from_secs(7));
    });
}

#[test]
fn only_woken_children_are_polled() {
    let polls = Rc::new(Cell::new(0));
    run_virtual(async {
        let sleepers = (1..=100).map(|seconds| {
            let (mut nap, polls) = (Box::pin(sleep(Duration::from_secs(seconds))), Rc::clone(&polls));
            poll_fn(move |context| {
                polls.set(polls.get() + 1);
                nap.as_mut().poll(context)
            })
        });
        join_all(sleepers).await;
    });
    assert_eq!(polls.get(), 200, "once to begin and once to end");
}

#[test]
fn child_that_always_wakes_itself_leaves_the_others_their_turns() {
    let log = Log::new();
    run(async {
        let busy = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let written = log.clone();
        let modest = async move {
            for turn in 0..3 {
                written.push(turn);
                yield_now().await;
            }
        };
        let both: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 2] = [Box::pin(busy), Box::pin(modest)];
        assert!(timeout(Duration::from_millis(5), join_all(both)).await.is_err());
    });
    assert_eq!(log.take(), [0, 1, 2]);
}

#[test]
fn drop_cancels_what_is_not_done() {
    let log = Log::new();
    run_virtual(async {
        let children = [1, 10].map(|seconds| {
            let guard = WritesOnDrop(log.clone(), seconds);
            async move {
                let _guard = guard;
                sleep(Duration::from_secs(seconds)).await;
            }
        });
        assert!(timeout(Duration::from_secs(5), join_all(children)).await.is_err());
    });
    assert_eq!(log.take(), [1, 10]);
}

#[test]
fn children_may_borrow_from_the_caller() {
    let text = String::from("borrowed");
    let lengths = run(join_all([&text, &text].map(|text| async move { text.len() })));
    assert_eq!(lengths, [8, 8]);
}
