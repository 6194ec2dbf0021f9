//! Level-triggered epoll: which of many sockets are ready.

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many ready sockets one wait reports at most; the rest come with the next.
const EVENTS_MAX: usize = 256;

/// What is ready on one socket.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The number the socket was registered with.
    pub token: u64,
    /// A read would not block, or the peer has gone.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
}

/// An epoll instance.
#[derive(Debug)]
pub struct Reactor {
    epoll: OwnedFd,
}

impl Reactor {
    /// A new instance.
    ///
    /// # Errors
    ///
    /// The system call failed, as when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Begins to watch `socket` for reading, under `token`.
    ///
    /// # Errors
    ///
    /// The system call failed.
    pub fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            EventData::new_u64(token),
            EventFlags::IN,
        )?)
    }

    /// Watches `socket` for reading, and for writing when `writing` holds.
    ///
    /// # Errors
    ///
    /// The system call failed.
    pub fn watch(&self, socket: impl AsFd, token: u64, writing: bool) -> io::Result<()> {
        let flags = if writing {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        Ok(epoll::modify(
            &self.epoll,
            socket,
            EventData::new_u64(token),
            flags,
        )?)
    }

    /// Stops watching `socket`.
    ///
    /// # Errors
    ///
    /// The system call failed.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Asks again and again for at most `spin`, then sleeps for the rest of `timeout`.
    ///
    /// A client that sleeps has to be woken by the server's write, and that cost, large on a virtual machine,
    /// would be billed to the server: all the more the *slower* it is, since a fast one finds the client awake.
    ///
    /// # Errors
    ///
    /// The system call failed for another reason than a signal.
    pub fn wait_awake(&self, ready: &mut Vec<Ready>, spin: Duration, timeout: Duration) -> io::Result<()> {
        let began = Instant::now();
        let spin = spin.min(timeout);
        loop {
            self.wait(ready, Some(Duration::ZERO))?;
            let spent = began.elapsed();
            if !ready.is_empty() {
                return Ok(());
            }
            if spent >= spin {
                return self.wait(ready, Some(timeout.saturating_sub(spent)));
            }
        }
    }

    /// Waits at most `timeout` (for ever when `None`) and fills `ready`; it stays empty on a timeout or a
    /// signal.
    ///
    /// # Errors
    ///
    /// The system call failed for another reason than a signal.
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let timeout = timeout
            .map(Timespec::try_from)
            .transpose()
            .map_err(io::Error::other)?;
        let mut space = [MaybeUninit::<Event>::uninit(); EVENTS_MAX];
        let events = match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        ready.extend(events.iter().map(|event| {
            let Event { flags, data } = *event;
            Ready {
                token: data.u64(),
                readable: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR),
                writable: flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR),
            }
        }));
        Ok(())
    }
}
