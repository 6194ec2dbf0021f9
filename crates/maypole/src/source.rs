//! One owned descriptor and the futures that wait for it.
//!
//! Invariant: whoever gets `Poll::Pending` has its waker in `waiters`, and its side is watched.
//! Invariant: `quiet` is true only while the side is watched: then the poller tells when the quiet ends, and no call
//! has to be tried in between.
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::current;
use crate::scheduler::{Scheduler, contain};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Those who wait for one direction of one descriptor.
#[derive(Debug)]
pub(crate) struct Side {
    fd: RawFd,
    direction: Direction,
    waiters: RefCell<Vec<Waker>>,
    watched: Cell<bool>,
    quiet: Cell<bool>,
}

impl Side {
    fn new(fd: RawFd, direction: Direction) -> Rc<Self> {
        Rc::new(Self {
            fd,
            direction,
            waiters: RefCell::default(),
            watched: Cell::new(false),
            quiet: Cell::new(false),
        })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd
    }

    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// Wakes whoever waits for an event; `false` when nobody does.
    pub(crate) fn fire(&self) -> bool {
        self.quiet.set(false);
        let waiters = self.waiters.take();
        let any = !waiters.is_empty();
        for waiter in waiters {
            contain(|| waiter.wake());
        }
        any
    }

    pub(crate) fn unwatched(&self) {
        self.watched.set(false);
        self.quiet.set(false);
    }

    fn wait(&self, waker: &Waker) {
        let known = self.waiters.borrow().iter().any(|waiter| waiter.will_wake(waker));
        if !known {
            let waker = waker.clone();
            self.waiters.borrow_mut().push(waker);
        }
    }
}

/// A descriptor that the loop of its maker watches.
#[derive(Debug)]
pub(crate) struct Source {
    fd: OwnedFd,
    reading: Rc<Side>,
    writing: Rc<Side>,
    scheduler: Rc<Scheduler>,
}

impl Source {
    /// Takes over a nonblocking descriptor for the running loop.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let scheduler = current::scheduler().map_err(io::Error::other)?;
        let number = fd.as_raw_fd();
        let (reading, writing) = (
            Side::new(number, Direction::Read),
            Side::new(number, Direction::Write),
        );
        Ok(Self {
            fd,
            reading,
            writing,
            scheduler,
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Calls `attempt` until it gives something else than `WouldBlock`, and waits between the calls.
    pub(crate) async fn retry<T>(
        &self,
        direction: Direction,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        poll_fn(|context| self.poll(direction, context, &mut attempt)).await
    }

    /// Waits until the poller reports the direction, without a call to try.
    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        let mut waited = false;
        self.retry(direction, |_| {
            if std::mem::replace(&mut waited, true) {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })
        .await
    }

    /// Notes that a call took all there was: the next one would block, so the poller is asked first.
    pub(crate) fn exhausted(&self, direction: Direction) {
        let side = self.side(direction);
        side.quiet.set(side.watched.get());
    }

    fn poll<T>(
        &self,
        direction: Direction,
        context: &Context<'_>,
        attempt: &mut impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let side = self.side(direction);
        if !side.quiet.get() {
            match attempt(self.fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
        if let Err(error) = self.watch(side) {
            return Poll::Ready(Err(error));
        }
        side.quiet.set(true);
        side.wait(context.waker());
        Poll::Pending
    }

    fn watch(&self, side: &Rc<Side>) -> io::Result<()> {
        if current::with(|running| Rc::ptr_eq(running, &self.scheduler)) != Some(true) {
            return Err(io::Error::other(
                "the socket belongs to another maypole loop than the one that waits for it",
            ));
        }
        if !side.watched.get() {
            self.scheduler.reactor().watch(side)?;
            side.watched.set(true);
        }
        Ok(())
    }

    fn side(&self, direction: Direction) -> &Rc<Side> {
        match direction {
            Direction::Read => &self.reading,
            Direction::Write => &self.writing,
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.scheduler.reactor().forget(self.fd.as_raw_fd());
    }
}
