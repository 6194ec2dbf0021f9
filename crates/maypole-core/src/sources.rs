//! Which file descriptors are watched, for what, and for whom.
//!
//! Owns [`Sources`]. It is the book; the poller in the operating system is told
//! only by the [`Change`] that each method returns, so book and poller can be compared and neither guesses.
//!
//! Invariant: a source is in the table exactly while it has a reader or a writer; so its interest is never `NONE`.
//! Invariant: a source's key dies with it. An event that the poller still carries for a closed descriptor names the old
//! key and reaches nobody, even when the descriptor's number is in use again.
//! Invariant: a source that is watched once has a reader and no writer; the poller is silent about it after its event.
//! Invariant: no method drops a reader or writer; what leaves is handed to the caller.

use std::collections::{HashMap, TryReserveError};

use crate::interest::{Change, Interest};
use crate::key::{Key, Slots};

/// Descriptors below this are looked up in a plain table, the others in a hash map.
const TABLE_MAX: usize = 1 << 20;

/// What [`Sources::set_reader`] and [`Sources::set_writer`] did.
///
/// ```
/// let mut sources = maypole_core::Sources::new();
/// let first = sources.set_reader(3, "old");
/// let second = sources.set_reader(3, "new");
/// assert_eq!(second.key, first.key);
/// assert_eq!(second.replaced, Some("old"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration<T> {
    /// The source's key: what the poller carries and [`Sources::ready`] takes.
    pub key: Key,
    /// What the poller must be told.
    pub change: Change,
    /// The reader or writer that was there before.
    pub replaced: Option<T>,
}

/// What [`Sources::remove_reader`] and [`Sources::remove_writer`] took out.
///
/// ```
/// let mut sources = maypole_core::Sources::new();
/// sources.set_reader(3, "r");
/// let removal = sources.remove_reader(3).unwrap();
/// assert_eq!(removal.item, "r");
/// assert_eq!(removal.change, maypole_core::Change::Remove);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removal<T> {
    /// The source's key; stale already when `change` is [`Change::Remove`].
    pub key: Key,
    /// What the poller must be told.
    pub change: Change,
    /// The reader or writer taken out.
    pub item: T,
}

#[derive(Clone, Copy)]
enum Side {
    Read,
    Write,
}

#[derive(Clone, Debug)]
struct Source<T> {
    fd: i32,
    reader: Option<T>,
    writer: Option<T>,
    /// Whether the poller is to report one event only.
    once: bool,
}

impl<T> Source<T> {
    const fn interest(&self) -> Interest {
        let read = if self.reader.is_some() {
            Interest::READ
        } else {
            Interest::NONE
        };
        let write = if self.writer.is_some() {
            Interest::WRITE
        } else {
            Interest::NONE
        };
        read.union(write)
    }

    const fn side_mut(&mut self, side: Side) -> &mut Option<T> {
        match side {
            Side::Read => &mut self.reader,
            Side::Write => &mut self.writer,
        }
    }
}

/// The watched file descriptors, each with at most one reader and one writer.
///
/// ```
/// use maypole_core::Sources;
///
/// let mut sources = Sources::new();
/// let old = sources.set_reader(5, "first connection").key;
/// sources.remove_reader(5);
/// let new = sources.set_reader(5, "second connection").key; // the number is in use again
/// assert_eq!(sources.ready(old, true, false), (None, None)); // a late event of the first
/// assert_eq!(sources.ready(new, true, false), (Some(&"second connection"), None));
/// ```
#[derive(Clone, Debug)]
pub struct Sources<T> {
    slots: Slots<Source<T>>,
    table: Vec<Option<Key>>,
    high: HashMap<i32, Key>,
}

impl<T> Default for Sources<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Sources<T> {
    /// Makes an empty table.
    ///
    /// ```
    /// assert!(maypole_core::Sources::<u8>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: Slots::new(),
            table: Vec::new(),
            high: HashMap::new(),
        }
    }

    /// Makes room for a descriptor, so that watching it next needs no memory.
    ///
    /// # Errors
    /// `TryReserveError` when there is no memory; the table is as it was.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.reserve(0)?;
    /// assert_eq!(sources.set_reader(0, "r").replaced, None);
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    pub fn reserve(&mut self, fd: i32) -> Result<(), TryReserveError> {
        self.slots.reserve()?;
        match in_table(fd) {
            Some(index) if index < self.table.len() => Ok(()),
            Some(index) => self.table.try_reserve(index + 1 - self.table.len()),
            None => self.high.try_reserve(1),
        }
    }

    /// Makes `item` the reader of `fd`, in the place of the one before.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// assert_eq!(sources.set_reader(0, "r").replaced, None);
    /// ```
    pub fn set_reader(&mut self, fd: i32, item: T) -> Registration<T> {
        self.set(fd, Side::Read, item)
    }

    /// Makes `item` the reader of `fd` for one event, after which [`Sources::take_fired_reader`] takes it out and the
    /// poller need not be told.
    ///
    /// A descriptor that has a writer is watched as by [`Sources::set_reader`].
    ///
    /// ```
    /// use maypole_core::{Change, Interest, Sources};
    ///
    /// let mut sources = Sources::new();
    /// let first = sources.set_reader_once(0, "r");
    /// assert_eq!(first.change, Change::Once(Interest::READ));
    /// assert_eq!(sources.take_fired_reader(first.key).unwrap().change, Change::Unchanged);
    /// assert_eq!(sources.set_reader_once(0, "r").change, Change::Once(Interest::READ));
    /// ```
    pub fn set_reader_once(&mut self, fd: i32, item: T) -> Registration<T> {
        let mut registration = self.set_reader(fd, item);
        // A known source is armed again: its event may have been reported already.
        if let Some(source) = self.slots.get_mut(registration.key)
            && source.writer.is_none()
        {
            source.once = true;
            registration.change = Change::Once(source.interest());
        }
        registration
    }

    /// Takes out the reader that an event of `key` has reached and that wants no other; `None` for a stale key, or when
    /// there is no reader.
    ///
    /// ```
    /// use maypole_core::{Change, Interest, Sources};
    ///
    /// let mut sources = Sources::new();
    /// sources.set_writer(0, "w");
    /// let key = sources.set_reader_once(0, "r").key;
    /// assert_eq!(sources.take_fired_reader(key).unwrap().change, Change::Modify(Interest::WRITE));
    /// assert_eq!(sources.take_fired_reader(key), None);
    /// ```
    pub fn take_fired_reader(&mut self, key: Key) -> Option<Removal<T>> {
        let source = self.slots.get(key)?;
        let (fd, silent) = (source.fd, source.once);
        let mut removal = self.remove_reader(fd)?;
        if silent {
            removal.change = Change::Unchanged;
        }
        Some(removal)
    }

    /// The descriptor of `key` and what the poller must be told, when the one event that was asked for came in vain;
    /// `None` where it reports all of them, and for a stale key.
    ///
    /// ```
    /// use maypole_core::{Change, Interest, Sources};
    ///
    /// let mut sources = Sources::new();
    /// let key = sources.set_reader_once(3, "r").key;
    /// assert_eq!(sources.arm_again(key), Some((3, Change::Once(Interest::READ))));
    /// sources.set_writer(3, "w");
    /// assert_eq!(sources.arm_again(key), None);
    /// ```
    #[must_use]
    pub fn arm_again(&self, key: Key) -> Option<(i32, Change)> {
        let source = self.slots.get(key).filter(|source| source.once)?;
        Some((source.fd, Change::Once(source.interest())))
    }

    /// Makes `item` the writer of `fd`, in the place of the one before.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_writer(0, "w");
    /// assert_eq!(sources.writer(0), Some(&"w"));
    /// ```
    pub fn set_writer(&mut self, fd: i32, item: T) -> Registration<T> {
        self.set(fd, Side::Write, item)
    }

    /// Takes the reader of `fd` out; `None` when it has none.
    ///
    /// ```
    /// use maypole_core::{Change, Interest, Sources};
    ///
    /// let mut sources = Sources::new();
    /// sources.set_reader(0, "r");
    /// sources.set_writer(0, "w");
    /// assert_eq!(sources.remove_reader(0).unwrap().change, Change::Modify(Interest::WRITE));
    /// assert_eq!(sources.remove_reader(0), None);
    /// ```
    pub fn remove_reader(&mut self, fd: i32) -> Option<Removal<T>> {
        self.remove(fd, Side::Read)
    }

    /// Takes the writer of `fd` out; `None` when it has none.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_writer(0, "w");
    /// assert_eq!(sources.remove_writer(0).unwrap().item, "w");
    /// assert!(sources.is_empty());
    /// ```
    pub fn remove_writer(&mut self, fd: i32) -> Option<Removal<T>> {
        self.remove(fd, Side::Write)
    }

    /// Who is to run for an event: the reader if `readable`, the writer if `writable`; nobody for a stale `key`.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// let key = sources.set_reader(0, "r").key;
    /// assert_eq!(sources.ready(key, true, true), (Some(&"r"), None));
    /// assert_eq!(sources.ready(key, false, true), (None, None));
    /// ```
    #[inline]
    #[must_use]
    pub fn ready(&self, key: Key, readable: bool, writable: bool) -> (Option<&T>, Option<&T>) {
        match self.slots.get(key) {
            Some(source) => (
                source.reader.as_ref().filter(|_| readable),
                source.writer.as_ref().filter(|_| writable),
            ),
            None => (None, None),
        }
    }

    /// The descriptor that `key` names; `None` for a stale key.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// let key = sources.set_reader(7, ()).key;
    /// assert_eq!(sources.fd(key), Some(7));
    /// ```
    #[must_use]
    pub fn fd(&self, key: Key) -> Option<i32> {
        self.slots.get(key).map(|source| source.fd)
    }

    /// The reader of `fd`.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_reader(0, "r");
    /// assert_eq!(sources.reader(0), Some(&"r"));
    /// ```
    #[must_use]
    pub fn reader(&self, fd: i32) -> Option<&T> {
        self.source(fd)?.reader.as_ref()
    }

    /// The writer of `fd`.
    ///
    /// ```
    /// assert_eq!(maypole_core::Sources::<()>::new().writer(0), None);
    /// ```
    #[must_use]
    pub fn writer(&self, fd: i32) -> Option<&T> {
        self.source(fd)?.writer.as_ref()
    }

    /// What `fd` is watched for; [`Interest::NONE`] when it is not.
    ///
    /// ```
    /// # use maypole_core::{Interest, Sources};
    /// let mut sources = Sources::new();
    /// sources.set_writer(0, ());
    /// assert_eq!(sources.interest(0), Interest::WRITE);
    /// assert_eq!(sources.interest(1), Interest::NONE);
    /// ```
    #[must_use]
    pub fn interest(&self, fd: i32) -> Interest {
        self.source(fd).map_or(Interest::NONE, Source::interest)
    }

    /// Takes `fd` out whole, with its reader and its writer. The caller takes it out of the poller.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_reader(0, "r");
    /// assert_eq!(sources.forget(0), (Some("r"), None));
    /// assert_eq!(sources.forget(0), (None, None));
    /// ```
    pub fn forget(&mut self, fd: i32) -> (Option<T>, Option<T>) {
        match self.lookup(fd).and_then(|key| self.slots.remove(key)) {
            Some(source) => {
                self.unname(fd);
                (source.reader, source.writer)
            }
            None => (None, None),
        }
    }

    /// How many descriptors are watched.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_reader(0, "r");
    /// sources.set_writer(0, "w");
    /// assert_eq!(sources.len(), 1);
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no descriptor is watched.
    ///
    /// ```
    /// assert!(maypole_core::Sources::<()>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Walks over all readers and writers.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_reader(0, 1);
    /// sources.set_writer(0, 2);
    /// assert_eq!(sources.iter().sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots
            .iter()
            .flat_map(|(_, source)| source.reader.iter().chain(&source.writer))
    }

    /// Walks over the watched descriptors, in no order.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_reader(3, "r");
    /// sources.set_writer(3, "w");
    /// assert_eq!(sources.descriptors().collect::<Vec<_>>(), [3]);
    /// ```
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        self.slots.iter().map(|(_, source)| source.fd)
    }

    /// Takes all readers and writers out. The caller takes the descriptors out of the poller.
    ///
    /// ```
    /// let mut sources = maypole_core::Sources::new();
    /// sources.set_reader(0, "r");
    /// assert_eq!(sources.drain(), ["r"]);
    /// assert!(sources.is_empty());
    /// ```
    #[must_use = "the items are handed over to be dropped by the caller"]
    pub fn drain(&mut self) -> Vec<T> {
        self.table.clear();
        self.high.clear();
        self.slots
            .drain()
            .into_iter()
            .flat_map(|source| [source.reader, source.writer])
            .flatten()
            .collect()
    }

    fn set(&mut self, fd: i32, side: Side, item: T) -> Registration<T> {
        if let Some(key) = self.lookup(fd)
            && let Some(source) = self.slots.get_mut(key)
        {
            let replaced = source.side_mut(side).replace(item);
            // What was watched for one event is watched for all from now on.
            let was_once = std::mem::take(&mut source.once);
            let change = if replaced.is_some() && !was_once {
                Change::Unchanged
            } else {
                Change::Modify(source.interest())
            };
            return Registration {
                key,
                change,
                replaced,
            };
        }
        let mut source = Source {
            fd,
            reader: None,
            writer: None,
            once: false,
        };
        *source.side_mut(side) = Some(item);
        let change = Change::Add(source.interest());
        let key = self.slots.insert(source);
        self.name(fd, key);
        Registration {
            key,
            change,
            replaced: None,
        }
    }

    fn remove(&mut self, fd: i32, side: Side) -> Option<Removal<T>> {
        let key = self.lookup(fd)?;
        let source = self.slots.get_mut(key)?;
        let item = source.side_mut(side).take()?;
        let left = source.interest();
        if !left.is_empty() {
            return Some(Removal {
                key,
                change: Change::Modify(left),
                item,
            });
        }
        self.slots.remove(key);
        self.unname(fd);
        Some(Removal {
            key,
            change: Change::Remove,
            item,
        })
    }

    fn source(&self, fd: i32) -> Option<&Source<T>> {
        self.slots.get(self.lookup(fd)?)
    }

    #[inline]
    fn lookup(&self, fd: i32) -> Option<Key> {
        match in_table(fd) {
            Some(index) => self.table.get(index).copied().flatten(),
            None => self.high.get(&fd).copied(),
        }
    }

    fn name(&mut self, fd: i32, key: Key) {
        match in_table(fd) {
            Some(index) => {
                if index >= self.table.len() {
                    self.table.resize(index + 1, None);
                }
                self.table[index] = Some(key);
            }
            None => {
                self.high.insert(fd, key);
            }
        }
    }

    fn unname(&mut self, fd: i32) {
        match in_table(fd) {
            Some(index) => {
                if let Some(name) = self.table.get_mut(index) {
                    *name = None;
                }
            }
            None => {
                self.high.remove(&fd);
            }
        }
    }
}

fn in_table(fd: i32) -> Option<usize> {
    usize::try_from(fd).ok().filter(|index| *index < TABLE_MAX)
}
