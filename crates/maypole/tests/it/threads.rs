//! Wakes from other threads.
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use maypole::{join_all, run, run_virtual, spawn, timeout, yield_now};

/// A value that one thread sets and a future of another waits for.
struct Letterbox<T> {
    slot: Mutex<(Option<T>, Option<Waker>)>,
}

impl<T> Letterbox<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: Mutex::new((None, None)),
        })
    }

    fn post(&self, letter: T) {
        let waker = {
            let mut slot = self.slot.lock().unwrap();
            slot.0 = Some(letter);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn receive(self: Arc<Self>) -> T {
        std::future::poll_fn(|context| {
            let mut slot = self.slot.lock().unwrap();
            slot.1 = Some(context.waker().clone());
            slot.0.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[test]
fn other_thread_wakes_the_sleeping_loop() {
    let letterbox = Letterbox::new();
    let sender = Arc::clone(&letterbox);
    let (asleep, wait_for_sleep) = mpsc::channel();
    let thread = thread::spawn(move || {
        wait_for_sleep.recv().unwrap();
        thread::sleep(Duration::from_millis(5)); // likely, not surely, in the poller: both ways must work
        sender.post("hello");
    });
    let letter = run(async {
        asleep.send(()).unwrap();
        letterbox.receive().await
    });
    thread.join().unwrap();
    assert_eq!(letter, "hello");
}

#[test]
fn no_letter_of_many_threads_is_lost() {
    const LETTERS: usize = 2_000;
    let letterboxes: Vec<_> = (0..LETTERS).map(|_| Letterbox::new()).collect();
    let threads = [0, 1].map(|half| {
        let mine: Vec<_> = letterboxes.iter().skip(half).step_by(2).map(Arc::clone).collect();
        thread::spawn(move || {
            for (number, letterbox) in mine.iter().enumerate() {
                letterbox.post(number);
            }
        })
    });
    let received = run(async {
        let tasks: Vec<_> = letterboxes
            .iter()
            .map(|letterbox| spawn(Arc::clone(letterbox).receive()))
            .collect();
        join_all(tasks)
            .await
            .into_iter()
            .map(Result::unwrap)
            .sum::<usize>()
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(received, (0..LETTERS / 2).sum::<usize>() * 2);
}

#[test]
fn loop_that_never_sleeps_hears_other_threads() {
    let letterbox = Letterbox::new();
    let sender = Arc::clone(&letterbox);
    run(async move {
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        let thread = thread::spawn(move || sender.post(1));
        assert_eq!(letterbox.receive().await, 1);
        busy.abort();
        thread.join().unwrap();
    });
}

#[test]
fn virtual_loop_waits_for_another_thread_when_nothing_else_can_happen() {
    let letterbox = Letterbox::new();
    let sender = Arc::clone(&letterbox);
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        sender.post(2);
    });
    assert_eq!(run_virtual(letterbox.receive()), 2);
    thread.join().unwrap();
}

#[test]
fn waker_outlives_its_loop() {
    let letterbox = Letterbox::<u8>::new();
    let waiting = Arc::clone(&letterbox);
    let outcome = run(timeout(Duration::from_millis(1), waiting.receive()));
    assert!(outcome.is_err());
    letterbox.post(1);
    thread::spawn(move || letterbox.post(2)).join().unwrap();
}

#[test]
fn loops_of_two_threads_wake_each_other() {
    const ROUNDS: usize = 500;
    let (there, back) = (Letterbox::new(), Letterbox::new());
    let (their_there, their_back) = (Arc::clone(&there), Arc::clone(&back));
    let thread = thread::spawn(move || {
        run(async {
            for _ in 0..ROUNDS {
                let number: usize = Arc::clone(&their_there).receive().await;
                their_back.post(number + 1);
            }
        });
    });
    let last = run(async {
        let mut number = 0;
        for _ in 0..ROUNDS {
            there.post(number);
            number = Arc::clone(&back).receive().await;
        }
        number
    });
    thread.join().unwrap();
    assert_eq!(last, ROUNDS);
}
