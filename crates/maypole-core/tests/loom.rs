//! The inbox under every interleaving loom can find.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p maypole-core --release --test loom`
#![cfg(loom)]

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use maypole_core::Inbox;

/// The wake-up: like an eventfd it remembers that it was rung, and wakes for nothing else.
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn ring(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.0.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.1.wait(rung).unwrap();
        }
    }
}

struct Shared {
    inbox: Inbox<u32>,
    bell: Bell,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inbox: Inbox::new(),
            bell: Bell(Mutex::new(false), Condvar::new()),
        })
    }

    /// Pushes and rings if told so; says whether it rang.
    fn push(&self, item: u32) -> bool {
        let ring = self.inbox.push(item);
        if ring {
            self.bell.ring();
        }
        ring
    }

    /// Turns until `wanted` items came; gives the items and how often it slept. A lost item is a deadlock, which
    /// loom reports.
    fn run(&self, wanted: usize) -> (Vec<u32>, usize) {
        let (mut seen, mut sleeps) = (Vec::new(), 0);
        loop {
            self.inbox.drain_into(&mut seen);
            if seen.len() >= wanted {
                return (seen, sleeps);
            }
            if self.inbox.begin_sleep() {
                sleeps += 1;
                self.bell.wait();
                self.inbox.end_sleep();
            }
        }
    }
}

#[test]
fn two_pushers_are_both_heard() {
    loom::model(|| {
        let shared = Shared::new();
        let pushers: Vec<_> = (0..2)
            .map(|item| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.push(item))
            })
            .collect();
        let (mut seen, sleeps) = shared.run(2);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1]);
        let rings = pushers.into_iter().map(|pusher| pusher.join().unwrap());
        assert_eq!(
            rings.filter(|rang| *rang).count(),
            sleeps,
            "one ring for each sleep, none while awake"
        );
    });
}

#[test]
fn one_pushers_items_keep_their_order() {
    loom::model(|| {
        let shared = Shared::new();
        let pusher = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                [shared.push(1), shared.push(2)]
                    .into_iter()
                    .filter(|rang| *rang)
                    .count()
            })
        };
        let (seen, sleeps) = shared.run(2);
        assert_eq!(seen, [1, 2]);
        assert_eq!(pusher.join().unwrap(), sleeps);
    });
}

#[test]
fn loop_woken_by_something_else_misses_nothing() {
    loom::model(|| {
        let shared = Shared::new();
        let pusher = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.push(7))
        };
        // A sleep that ends at once, as when a descriptor is ready or a timer is due.
        let slept = shared.inbox.begin_sleep();
        if slept {
            shared.inbox.end_sleep();
        }
        let mut seen = Vec::new();
        shared.inbox.drain_into(&mut seen);
        let asleep = seen.is_empty() && shared.inbox.begin_sleep();
        let rang = pusher.join().unwrap();
        if asleep {
            assert!(
                rang || slept,
                "an item came after the loop lay down: somebody must ring"
            );
            shared.bell.wait();
            shared.inbox.end_sleep();
        }
        shared.inbox.drain_into(&mut seen);
        assert_eq!(seen, [7]);
    });
}
