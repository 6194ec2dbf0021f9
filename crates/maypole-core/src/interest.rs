//! For what a descriptor is watched, and what the poller must be told when that changes.

/// A set of readiness that somebody waits for: readable, writable, both or none.
///
/// ```
/// use maypole_core::Interest;
///
/// assert_eq!(Interest::READ.union(Interest::WRITE), Interest::BOTH);
/// assert_eq!(Interest::BOTH.without(Interest::READ), Interest::WRITE);
/// assert!(Interest::BOTH.contains(Interest::READ));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Interest(u8);

impl Interest {
    /// Waits for nothing.
    pub const NONE: Self = Self(0);
    /// Waits until the descriptor is readable.
    pub const READ: Self = Self(1);
    /// Waits until the descriptor is writable.
    pub const WRITE: Self = Self(2);
    /// Waits for both.
    pub const BOTH: Self = Self(3);

    /// What either of the two waits for.
    ///
    /// ```
    /// # use maypole_core::Interest;
    /// assert_eq!(Interest::NONE.union(Interest::READ), Interest::READ);
    /// ```
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is left when `other` is taken away.
    ///
    /// ```
    /// # use maypole_core::Interest;
    /// assert_eq!(Interest::READ.without(Interest::BOTH), Interest::NONE);
    /// ```
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether everything in `other` is waited for.
    ///
    /// ```
    /// # use maypole_core::Interest;
    /// assert!(!Interest::READ.contains(Interest::BOTH));
    /// ```
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is waited for.
    ///
    /// ```
    /// # use maypole_core::Interest;
    /// assert!(Interest::NONE.is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What the poller must be told after a change in [`Sources`](crate::Sources).
///
/// ```
/// use maypole_core::{Change, Interest, Sources};
///
/// let mut sources = Sources::new();
/// assert_eq!(sources.set_reader(3, "r").change, Change::Add(Interest::READ));
/// assert_eq!(sources.set_writer(3, "w").change, Change::Modify(Interest::BOTH));
/// assert_eq!(sources.set_writer(3, "v").change, Change::Unchanged);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the poller must be told"]
pub enum Change {
    /// Nothing: the interest is what it was.
    Unchanged,
    /// Watch a new source for this.
    Add(Interest),
    /// Watch a known source for this instead.
    Modify(Interest),
    /// Watch a source for this until the first event, and be silent about it from then on. The poller may still
    /// know the descriptor, silently, from an earlier time.
    Once(Interest),
    /// Watch the source no longer.
    Remove,
}
