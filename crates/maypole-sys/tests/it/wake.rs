//! The wake-up from other threads.
use std::sync::Arc;

use maypole_sys::{Events, Poller, Timeout, Waker};

fn registered() -> (Poller, Arc<Waker>, Events) {
    let (poller, waker) = (Poller::new().unwrap(), Arc::new(Waker::new().unwrap()));
    poller.add(waker.as_raw_fd(), 1, true, false).unwrap();
    (poller, waker, Events::new())
}

#[test]
fn wake_from_another_thread_ends_a_wait() {
    let (poller, waker, mut events) = registered();
    let other = Arc::clone(&waker);
    let thread = std::thread::spawn(move || other.wake());
    assert_eq!(poller.wait(&mut events, Timeout::Forever).unwrap(), 1);
    thread.join().unwrap().unwrap();
}

#[test]
fn wake_before_the_wait_ends_it() {
    let (poller, waker, mut events) = registered();
    waker.wake().unwrap();
    assert_eq!(poller.wait(&mut events, Timeout::Forever).unwrap(), 1);
}

#[test]
fn many_wakes_are_taken_by_one_drain() {
    let (poller, waker, mut events) = registered();
    for _ in 0..1_000 {
        waker.wake().unwrap();
    }
    waker.drain().unwrap();
    assert_eq!(poller.wait(&mut events, Timeout::Now).unwrap(), 0);
    waker.drain().unwrap();
}

#[test]
fn wake_of_a_full_counter_succeeds() {
    let (poller, waker, mut events) = registered();
    // SAFETY: the descriptor is open for as long as `waker` lives, which is to the end of this test.
    let eventfd = unsafe { std::os::fd::BorrowedFd::borrow_raw(waker.as_raw_fd()) };
    rustix::io::write(eventfd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    waker.wake().unwrap();
    assert_eq!(poller.wait(&mut events, Timeout::Forever).unwrap(), 1);
}
