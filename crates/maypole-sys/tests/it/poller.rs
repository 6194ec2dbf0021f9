//! What a poller promises: level-triggered, keyed, never early.
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use maypole_sys::{EVENTS_CAPACITY, Event, Events, Poller, Timeout, Waker, monotonic_ns};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn ready(poller: &Poller) -> Vec<Event> {
    let mut events = Events::new();
    let count = poller.wait(&mut events, Timeout::Now).unwrap();
    assert_eq!(count, events.len());
    events.iter().collect()
}

fn event(key_bits: u64, readable: bool, writable: bool) -> Event {
    Event {
        key_bits,
        readable,
        writable,
    }
}

#[test]
fn readable_descriptor_is_reported_until_it_is_read() {
    let poller = Poller::new().unwrap();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    poller.add(far.as_raw_fd(), 5, true, false).unwrap();
    assert_eq!(ready(&poller), []);
    near.write_all(b"ab").unwrap();
    let mut byte = [0];
    assert_eq!(ready(&poller), [event(5, true, false)]);
    assert_eq!(ready(&poller), [event(5, true, false)]);
    far.read_exact(&mut byte).unwrap();
    assert_eq!(ready(&poller), [event(5, true, false)], "one byte is left");
    far.read_exact(&mut byte).unwrap();
    assert_eq!(ready(&poller), []);
}

#[test]
fn both_interests_are_reported_in_one_event() {
    let poller = Poller::new().unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"x").unwrap();
    poller.add(far.as_raw_fd(), u64::MAX, true, true).unwrap();
    assert_eq!(ready(&poller), [event(u64::MAX, true, true)]);
    poller.modify(far.as_raw_fd(), u64::MAX, false, true).unwrap();
    assert_eq!(ready(&poller), [event(u64::MAX, false, true)]);
}

#[test]
fn hang_up_counts_as_readable_and_writable() {
    let poller = Poller::new().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    for (readable, writable) in [(true, false), (false, true), (false, false)] {
        poller.add(far.as_raw_fd(), 1, readable, writable).unwrap();
        poller.remove(far.as_raw_fd()).unwrap();
    }
    drop(near);
    for (readable, writable) in [(true, false), (false, true), (false, false)] {
        poller.add(far.as_raw_fd(), 1, readable, writable).unwrap();
        assert_eq!(ready(&poller), [event(1, true, true)]);
    }
}

#[test]
fn error_counts_as_readable_and_writable() {
    let poller = Poller::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    poller.add(writer.as_raw_fd(), 3, false, true).unwrap();
    assert_eq!(ready(&poller), [event(3, false, true)]);
    drop(reader);
    assert_eq!(ready(&poller), [event(3, true, true)]);
}

#[test]
fn half_closed_peer_is_readable_only() {
    let poller = Poller::new().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    poller.add(far.as_raw_fd(), 4, true, false).unwrap();
    near.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(ready(&poller), [event(4, true, false)]);
}

#[test]
fn timeout_in_nanoseconds_is_never_early() {
    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
    for timeout_ns in [1, 999, 20_000, 333_333, 1_000_001, 2_500_000] {
        let started_ns = monotonic_ns();
        assert_eq!(poller.wait(&mut events, Timeout::After(timeout_ns)).unwrap(), 0);
        let waited_ns = monotonic_ns() - started_ns;
        assert!(waited_ns >= timeout_ns, "waited {waited_ns} of {timeout_ns}");
    }
}

#[test]
fn event_ends_a_wait_without_end() {
    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
    let (mut near, far) = UnixStream::pair().unwrap();
    poller.add(far.as_raw_fd(), 8, true, false).unwrap();
    let writer = std::thread::spawn(move || near.write_all(b"x").map(|()| near));
    assert_eq!(poller.wait(&mut events, Timeout::After(u64::MAX)).unwrap(), 1);
    assert_eq!(events.iter().collect::<Vec<_>>(), [event(8, true, false)]);
    drop(writer.join().unwrap().unwrap());
}

#[test]
fn closed_and_reused_number_gets_its_new_key() {
    let poller = Poller::new().unwrap();
    let (near, _far) = UnixStream::pair().unwrap();
    let number = near.as_raw_fd();
    poller.add(number, 1, true, false).unwrap();

    // The kernel forgot the old file at its close: `modify` must register the new one.
    let (successor, mut other) = UnixStream::pair().unwrap();
    let mut reused = OwnedFd::from(near);
    rustix::io::dup2(&successor, &mut reused).unwrap();
    other.write_all(b"x").unwrap();
    assert_eq!(ready(&poller), []);
    poller.modify(number, 2, true, false).unwrap();
    assert_eq!(ready(&poller), [event(2, true, false)]);

    // The number is known already: `add` must give it its new key.
    poller.add(number, 3, true, false).unwrap();
    assert_eq!(ready(&poller), [event(3, true, false)]);
}

#[test]
fn removed_descriptor_is_silent_and_may_be_removed_again() {
    let poller = Poller::new().unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"x").unwrap();
    let number = far.as_raw_fd();
    poller.add(number, 1, true, false).unwrap();
    poller.remove(number).unwrap();
    assert_eq!(ready(&poller), []);
    poller.remove(number).unwrap();
    poller.remove(1_000_000).unwrap();
}

#[test]
fn once_reports_one_event_until_it_is_asked_for_again() {
    let (poller, (mut near, far)) = (Poller::new().unwrap(), UnixStream::pair().unwrap());
    near.write_all(b"x").unwrap();
    poller.once(far.as_raw_fd(), 1, true, false).unwrap();
    assert_eq!(ready(&poller), [event(1, true, false)]);
    assert_eq!(ready(&poller), []);
    poller.once(far.as_raw_fd(), 2, true, false).unwrap();
    assert_eq!(ready(&poller), [event(2, true, false)]);
    // Not even the end is reported while nobody asks.
    drop(near);
    assert_eq!(ready(&poller), []);
    poller.add(far.as_raw_fd(), 3, true, false).unwrap();
    for _ in 0..2 {
        assert_eq!(ready(&poller), [event(3, true, true)]);
    }
    poller.remove(far.as_raw_fd()).unwrap();
    poller.once(far.as_raw_fd(), 4, true, false).unwrap();
    assert_eq!(ready(&poller), [event(4, true, true)]);
}

#[test]
fn descriptors_that_cannot_be_watched_are_refused() {
    let poller = Poller::new().unwrap();
    assert_eq!(
        poller.add(1_000_000, 0, true, false).unwrap_err().raw_os_error(),
        Some(libc::EBADF)
    );
    assert_eq!(
        poller.modify(-1, 0, true, false).unwrap_err().raw_os_error(),
        Some(libc::EBADF)
    );
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let error = poller.add(file.as_raw_fd(), 0, true, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn more_events_than_fit_come_with_the_next_waits() {
    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"x").unwrap();
    let wanted = EVENTS_CAPACITY as u64 + 100;
    let limits = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limits.maximum,
            ..limits
        },
    )
    .unwrap();
    // One file under many numbers: each number is a registration of its own.
    let copies: Vec<_> = (0..wanted).map(|_| far.try_clone().unwrap()).collect();
    for (key_bits, copy) in (0..wanted).zip(&copies) {
        poller.add(copy.as_raw_fd(), key_bits, true, false).unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    assert_eq!(poller.wait(&mut events, Timeout::Now).unwrap(), EVENTS_CAPACITY);
    seen.extend(events.iter().map(|event| event.key_bits));
    poller.wait(&mut events, Timeout::Now).unwrap();
    seen.extend(events.iter().map(|event| event.key_bits));
    assert_eq!(seen.len() as u64, wanted);
}

#[test]
fn drop_of_a_copy_keeps_the_registrations_of_the_original() {
    // What a forked child does with its copy, seen through a duplicate of the descriptor.
    let (poller, waker) = (Poller::new().unwrap(), Waker::new().unwrap());
    poller.add(waker.as_raw_fd(), 6, true, false).unwrap();
    // SAFETY: fork is called with the memory of this process only read afterwards: the child drops its copy of the
    // poller (one close) and leaves by _exit, which runs nothing of the parent's.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(poller);
        // SAFETY: _exit ends the child without running anything else.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the exit status of our own child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    waker.wake().unwrap();
    assert_eq!(ready(&poller), [event(6, true, false)]);
}

extern "C" fn ignore_signal(_number: libc::c_int) {}

#[test]
fn signal_interrupts_a_wait() {
    // SAFETY: the handler touches nothing, and SIGUSR2 is not used by anything else in this test program.
    let before = unsafe { libc::signal(libc::SIGUSR2, ignore_signal as *const () as libc::sighandler_t) };
    assert_ne!(before, libc::SIG_ERR);
    // SAFETY: pthread_self has no preconditions.
    let waiting_thread = unsafe { libc::pthread_self() } as usize;
    let (poller, mut events) = (Poller::new().unwrap(), Events::new());
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&done);
    let sender = std::thread::spawn(move || {
        // Again and again: the first ones may come before the wait has begun.
        while !seen.load(std::sync::atomic::Ordering::SeqCst) {
            // SAFETY: the waiting thread lives until it has joined this one.
            unsafe { libc::pthread_kill(waiting_thread as libc::pthread_t, libc::SIGUSR2) };
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    let error = poller.wait(&mut events, Timeout::Forever).unwrap_err();
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    sender.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(events.is_empty());
}
