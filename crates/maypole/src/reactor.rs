//! Descriptors: who waits for which, and what the poller says about them.
//!
//! Invariant: the book (`Sources`) and the poller agree after every method.
//! Invariant: a side is watched from the first time somebody waits until an event finds nobody waiting. So a stream that
//! is read again and again costs one registration, and a level-triggered event nobody wants cannot repeat for ever.
use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;

use maypole_core::{Change, Inbox, Interest, Key, Sources};
use maypole_sys::{Events, Poller, Timeout};

use crate::source::{Direction, Side};
use crate::wake::Remote;

/// The poller's name for the doorbell; no key has these bits.
const DOORBELL_BITS: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Reactor {
    poller: Poller,
    sources: RefCell<Sources<Rc<Side>>>,
    /// Borrowed by [`Reactor::wait`] alone.
    events: RefCell<Events>,
    remote: Arc<Remote>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Poller::new()?;
        let remote = Arc::new(Remote {
            inbox: Inbox::new(),
            doorbell: maypole_sys::Waker::new()?,
        });
        poller.add(remote.doorbell.as_raw_fd(), DOORBELL_BITS, true, false)?;
        Ok(Self {
            poller,
            sources: RefCell::default(),
            events: RefCell::default(),
            remote,
        })
    }

    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Says whether any descriptor is watched, besides the doorbell.
    pub(crate) fn watches(&self) -> bool {
        !self.sources.borrow().is_empty()
    }

    /// Waits, tells whoever waits for what became ready, and says whether there was any event.
    ///
    /// # Panics
    /// When epoll fails in another way than by a signal: then no descriptor can be waited for any more.
    pub(crate) fn wait(&self, timeout: Timeout) -> bool {
        let mut events = self.events.borrow_mut();
        let sleeps = timeout != Timeout::Now && self.remote.inbox.begin_sleep();
        let outcome = self
            .poller
            .wait(&mut events, if sleeps { timeout } else { Timeout::Now });
        if sleeps {
            self.remote.inbox.end_sleep();
        }
        match outcome {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return false,
            Err(error) => panic!("maypole: epoll failed: {error}"),
        }
        for event in events.iter() {
            if event.key_bits == DOORBELL_BITS {
                if let Err(error) = self.remote.doorbell.drain() {
                    panic!("maypole: the doorbell failed: {error}");
                }
            } else {
                self.fire(Key::from_bits(event.key_bits), event.readable, event.writable);
            }
        }
        !events.is_empty()
    }

    /// Watches the descriptor of `side` for it.
    pub(crate) fn watch(&self, side: &Rc<Side>) -> io::Result<()> {
        let registration = {
            let mut sources = self.sources.borrow_mut();
            match side.direction() {
                Direction::Read => sources.set_reader(side.fd(), Rc::clone(side)),
                Direction::Write => sources.set_writer(side.fd(), Rc::clone(side)),
            }
        };
        let told = self.tell_poller(side.fd(), registration.key, registration.change);
        if told.is_err() {
            self.forget(side.fd());
        }
        told
    }

    /// Takes a descriptor out whole, before it is closed.
    pub(crate) fn forget(&self, fd: RawFd) {
        let sides = self.sources.borrow_mut().forget(fd);
        if let (None, None) = sides {
            return;
        }
        let removed = self.poller.remove(fd);
        // The close that follows takes it out of epoll as well: the descriptor is ours and has no duplicate.
        debug_assert!(removed.is_ok(), "epoll kept descriptor {fd}: {removed:?}");
    }

    fn fire(&self, key: Key, readable: bool, writable: bool) {
        let (reader, writer) = {
            let sources = self.sources.borrow();
            let (reader, writer) = sources.ready(key, readable, writable);
            (reader.cloned(), writer.cloned())
        };
        for side in [reader, writer].into_iter().flatten() {
            if !side.fire() {
                self.unwatch(&side);
            }
        }
    }

    fn unwatch(&self, side: &Side) {
        let removal = {
            let mut sources = self.sources.borrow_mut();
            match side.direction() {
                Direction::Read => sources.remove_reader(side.fd()),
                Direction::Write => sources.remove_writer(side.fd()),
            }
        };
        side.unwatched();
        if let Some(removal) = removal
            && let Err(error) = self.tell_poller(side.fd(), removal.key, removal.change)
        {
            panic!(
                "maypole: epoll would not watch less of descriptor {}: {error}",
                side.fd()
            );
        }
    }

    fn tell_poller(&self, fd: RawFd, key: Key, change: Change) -> io::Result<()> {
        match change {
            Change::Unchanged => Ok(()),
            Change::Add(interest) => self.poller.add(
                fd,
                key.to_bits(),
                interest.contains(Interest::READ),
                interest.contains(Interest::WRITE),
            ),
            Change::Modify(interest) => self.poller.modify(
                fd,
                key.to_bits(),
                interest.contains(Interest::READ),
                interest.contains(Interest::WRITE),
            ),
            Change::Once(interest) => self.poller.once(
                fd,
                key.to_bits(),
                interest.contains(Interest::READ),
                interest.contains(Interest::WRITE),
            ),
            Change::Remove => self.poller.remove(fd),
        }
    }
}
